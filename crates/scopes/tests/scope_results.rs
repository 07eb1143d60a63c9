//! Results as a stream: in which order, how many at once, and what becomes of those that are not read.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt, StreamExt};
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{Ended, Reason, Refusal, ResultSet, Scope, local_scope, scope, try_scope};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, sim_test, yields};

fn places(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

#[apply(runtime_test)]
async fn smoke(_: Runtime) {
    let numbers = [3_usize, 1, 2];
    let (completed, spawned) = scope(async |s| {
        let work = || numbers.iter().map(|number| yields(4 * number).map(move |()| *number));
        let completed: Vec<_> = s.stream(places(3), work()).map(Result::unwrap).collect().await;
        let spawned: Vec<_> = s.stream(places(3), work()).ordered().map(Result::unwrap).collect().await;
        (completed, spawned)
    })
    .await;
    assert_eq!((completed, spawned), (vec![1, 2, 3], vec![3, 1, 2]));
}

#[apply(runtime_test)]
async fn children_and_unread_results_are_at_most_the_places(_: Runtime) {
    let asked = AtomicUsize::new(0);
    for ordered in [false, true] {
        let in_flight = InFlight::new();
        asked.store(0, Ordering::Relaxed);
        let read = scope(async |s| {
            let work = (0..50_usize).map(|number| {
                asked.fetch_add(1, Ordering::Relaxed);
                let in_flight = &in_flight;
                async move {
                    let _guard = in_flight.enter();
                    yields(number % 7).await;
                    number
                }
            });
            let stream = s.stream(places(4), work);
            let mut stream = if ordered { stream.ordered() } else { stream };
            let mut read = 0;
            while let Some(result) = stream.join_next().await {
                result.unwrap();
                read += 1;
                yields(5).await;
                assert!(asked.load(Ordering::Relaxed) <= read + 4);
            }
            read
        })
        .await;
        assert_eq!((read, in_flight.entered(), in_flight.now()), (50, 50, 0));
        assert!(in_flight.peak() <= 4, "{}", in_flight.peak());
    }
}

/// The trap of `buffered`: what it holds is not polled while the reader does something else.
#[apply(runtime_test)]
async fn children_go_on_while_the_reader_does_not_read(_: Runtime) {
    let lock = futures::lock::Mutex::new(0);
    scope(async |s| {
        let work = (0..2).map(|_| async {
            let mut held = lock.lock().await;
            yields(3).await;
            *held += 1;
        });
        let mut stream = s.stream(places(2), work);
        while let Some(result) = stream.next().await {
            result.unwrap();
            *lock.lock().await += 1;
        }
    })
    .await;
    assert_eq!(lock.into_inner(), 4);
}

#[apply(runtime_test)]
async fn a_full_set_gives_the_future_back_and_reading_makes_place(_: Runtime) {
    scope(async |s| {
        let mut set = s.results(places(1));
        let first = set.try_spawn(async { 1 }).unwrap();
        let rejected = set.try_spawn(async { 2 }).unwrap_err();
        assert_eq!(rejected.why(), Refusal::Full);
        yields(3).await;
        // The child has ended, but its result is there.
        assert_eq!((s.live(), set.len()), (0, 1));
        assert_eq!(set.try_spawn(async { 3 }).unwrap_err().why(), Refusal::Full);
        assert_eq!(set.join_next().await, Some((first, Ok(1))));
        assert!(set.is_empty());
        assert_eq!(rejected.into_inner().await, 2);
        assert_eq!(set.join_next().await, None);
        set.try_spawn(async { 4 }).unwrap();
        assert_eq!(set.join_next().await.unwrap().1, Ok(4));
    })
    .await;
}

#[apply(runtime_test)]
async fn a_spawner_waits_for_a_place_in_its_turn(_: Runtime) {
    let order = scope(async |s| {
        let mut set = s.results(places(2));
        for producer in 0..3 {
            let spawner = set.spawner();
            s.spawn(async move {
                for _ in 0..4 {
                    spawner.spawn_when_free(async move { producer }).await.unwrap();
                }
            });
        }
        let mut order = Vec::new();
        while let Some((_, result)) = set.next().await {
            assert!(set.len() <= 2);
            order.push(result.unwrap());
            yields(2).await;
        }
        order
    })
    .await;
    assert_eq!(order.len(), 12);
    // Who came first is served first: nobody gets ahead by more than his turn.
    for producer in 0..3 {
        assert!(order[..6].iter().filter(|one| **one == producer).count() >= 1, "{order:?}");
    }
}

#[apply(runtime_test)]
async fn dropping_the_set_cancels_its_children_and_tells_who_waits(_: Runtime) {
    let in_flight = InFlight::new();
    scope(async |s| {
        let set = s.results(places(2));
        for _ in 0..2 {
            let guard = in_flight.enter();
            set.try_spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            })
            .unwrap();
        }
        let spawner = set.spawner();
        let waits = s.spawn(async move { spawner.spawn_when_free(async {}).await.unwrap_err().why() });
        yields(2).await;
        assert!(!waits.is_finished());
        drop(set);
        assert_eq!(waits.await, Ok(Refusal::Closed));
        // The scope ends: nobody waits for the children.
    })
    .await;
    assert_eq!(in_flight.now(), 0);
}

#[apply(runtime_test)]
async fn every_end_is_told(_: Runtime) {
    let result: Result<(), &str> = try_scope(async |s| {
        let mut set = s.results(places(3)).ordered();
        set.try_spawn(async { Ok(1) }).unwrap();
        set.try_spawn(std::future::pending::<Result<u8, &str>>()).unwrap();
        let spawner = set.spawner();
        s.spawn(async move {
            yields(4).await;
            spawner.try_spawn(async { Err("the scope's") }).unwrap();
            Ok(())
        });
        assert_eq!(set.join_next().await.unwrap().1, Ok(1));
        std::future::pending().await
    })
    .await;
    assert_eq!(result, Err("the scope's"));

    let ends = std::sync::Mutex::new(Vec::new());
    let caught = AssertUnwindSafe(scope(async |s| {
        let mut set: ResultSet<'_, ()> = s.results(places(4));
        let spawner = set.spawner();
        let ends = &ends;
        s.defer(async move {
            drop(spawner);
            while let Some((_, end)) = set.join_next().await {
                ends.lock().unwrap().push(end);
            }
        });
        let spawner = s.results::<()>(places(1));
        drop(spawner);
    }))
    .catch_unwind()
    .await;
    assert!(caught.is_ok());
    assert!(ends.into_inner().unwrap().is_empty());
}

#[apply(runtime_test)]
async fn cancelled_and_panicked_children_have_ends(_: Runtime) {
    let ends = std::sync::Mutex::new(Vec::new());
    let caught = AssertUnwindSafe(scope(async |s| {
        let mut set: ResultSet<'_, ()> = s.results(places(4));
        set.try_spawn(std::future::pending()).unwrap();
        set.try_spawn(async { panic!("on purpose") }).unwrap();
        let ends = &ends;
        s.defer(async move {
            while let Some((child, end)) = set.join_next().await {
                ends.lock().unwrap().push((child.number(), end));
            }
        });
        std::future::pending::<()>().await;
    }))
    .catch_unwind()
    .await;
    assert!(caught.is_err());
    assert_eq!(ends.into_inner().unwrap(), [(2, Err(Ended::Panicked)), (1, Err(Ended::Cancelled))]);
}

#[apply(runtime_test)]
async fn a_scope_that_refuses_ends_the_stream_with_the_reason(_: Runtime) {
    scope(async |s| {
        let mut stream = s.stream(places(2), std::iter::repeat_with(|| yields(1)));
        assert_eq!(stream.next().await, Some(Ok(())));
        s.close();
        assert_eq!(stream.next().await, Some(Ok(())));
        assert_eq!(stream.next().await, Some(Ok(())));
        assert_eq!(stream.next().await, Some(Err(Ended::Refused(Refusal::Closed))));
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.next().await, None);
    })
    .await;
    scope(async |s| {
        let mut stream = s.stream(places(2), std::iter::repeat_with(std::future::pending::<()>)).ordered();
        assert!(stream.next().now_or_never().is_none());
        s.cancel(Reason::Requested);
        assert_eq!(stream.next().await, Some(Err(Ended::Cancelled)));
        assert_eq!(stream.next().await, Some(Err(Ended::Cancelled)));
        assert_eq!(stream.next().await, Some(Err(Ended::Refused(Refusal::Cancelled))));
        assert_eq!(stream.next().await, None);
    })
    .await;
}

/// The scope's own limit is smaller than the set's, and others have all of its room.
#[apply(runtime_test)]
async fn the_limit_of_the_scope_counts_too(_: Runtime) {
    let result = Scope::builder()
        .limit(places(2))
        .run(async |s| {
            let others = [s.spawn(yields(5)), s.spawn(yields(9))];
            let mut stream = s.stream(places(8), (0..20).map(async |number| number)).ordered();
            let mut next = 0;
            while let Some(result) = stream.join_next().await {
                assert_eq!(result, Ok(next));
                assert!(s.live() <= 2);
                next += 1;
            }
            assert!(others.iter().any(weirs_scopes::Child::is_finished));
            next
        })
        .await;
    assert_eq!(result.unwrap(), 20);
}

#[test]
#[allow(clippy::await_holding_refcell_ref, reason = "a future that is given up is dropped before the next")]
fn a_reader_that_is_given_up_loses_nothing() {
    block_on(scope(async |s| {
        let set = std::cell::RefCell::new(s.results(places(3)).ordered());
        let (sum, next) = (std::cell::Cell::new(0), std::cell::Cell::new(1_u32));
        let polls = cancel_at_every_poll(
            || async {
                let mut set = set.borrow_mut();
                for _ in 0..3 {
                    let number = next.get();
                    let child = async move {
                        yields(2).await;
                        number
                    };
                    if set.try_spawn(child).is_ok() {
                        next.set(number + 1);
                    }
                }
                while let Some((_, result)) = set.join_next().await {
                    sum.set(sum.get() + result.unwrap());
                }
            },
            async |_| (),
        )
        .await;
        assert!(polls >= 1);
        let all = next.get() - 1;
        assert_eq!(sum.get(), all * (all + 1) / 2);
    }));
}

#[apply(runtime_test)]
async fn a_spawner_that_is_given_up_takes_no_place(_: Runtime) {
    scope(async |s| {
        let mut set = s.results(places(1));
        let spawner = set.spawner();
        set.try_spawn(std::future::pending::<()>()).unwrap();
        let mut first = Box::pin(spawner.spawn_when_free(async {}));
        let mut second = Box::pin(spawner.spawn_when_free(async {}));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        s.cancel(Reason::Requested);
        assert_eq!(second.await.unwrap_err().why(), Refusal::Cancelled);
        assert_eq!(set.join_next().await.unwrap().1, Err(Ended::Cancelled));
        assert!(set.is_empty());
    })
    .await;

    let in_flight = InFlight::new();
    scope(async |s| {
        let polls = cancel_at_every_poll(
            || async {
                let mut set = s.results(places(1));
                let spawner = set.spawner();
                set.try_spawn(yields(2)).unwrap();
                let guard = in_flight.enter();
                let wait = spawner.spawn_when_free(async move { drop(guard) });
                let (read, spawned) = futures::join!(set.join_next(), wait);
                assert_eq!(read.unwrap().1, Ok(()));
                spawned.unwrap();
                drop(spawner);
                assert_eq!(set.join_next().await.unwrap().1, Ok(()));
            },
            async |_| {
                // What the set cancelled is dropped at the next turn.
                yields(2).await;
                assert_eq!(in_flight.now(), 0);
            },
        )
        .await;
        assert!(polls >= 2, "{polls}");
    })
    .await;
}

/// Random producers and a random reader: every child that was taken is read once, in the order asked for.
#[apply(sim_test)]
async fn random_scripts_lose_and_double_nothing(runtime: Runtime) {
    let clock = runtime.clock();
    let ordered = clock.random_below(2) == 0;
    let limit = places(1 + clock.random_below(4) as usize);
    let in_flight = InFlight::new();
    let spawned = std::sync::Mutex::new(Vec::new());
    let read = scope(async |s| {
        let set = s.results(limit);
        let mut set = if ordered { set.ordered() } else { set };
        for producer in 0..=clock.random_below(3) {
            let (spawner, spawned, in_flight) = (set.spawner(), &spawned, &in_flight);
            s.spawn(async move {
                for number in 0..clock.random_below(6) {
                    let guard = in_flight.enter();
                    let child = async move {
                        let _guard = guard;
                        yields(clock.random_below(4) as usize).await;
                        (producer, number)
                    };
                    let id = match clock.random_below(2) {
                        0 => match spawner.try_spawn(child) {
                            Ok(id) => id,
                            Err(rejected) => {
                                assert_eq!(rejected.why(), Refusal::Full);
                                continue;
                            }
                        },
                        _ => spawner.spawn_when_free(child).await.unwrap(),
                    };
                    spawned.lock().unwrap().push((id, (producer, number)));
                    yields(clock.random_below(3) as usize).await;
                }
            });
        }
        let mut read = Vec::new();
        while let Some((id, result)) = set.join_next().await {
            assert!(set.len() <= limit.get());
            read.push((id, result.unwrap()));
            yields(clock.random_below(3) as usize).await;
        }
        read
    })
    .await;
    let mut spawned = spawned.into_inner().unwrap();
    let mut sorted = read.clone();
    sorted.sort_unstable();
    spawned.sort_unstable();
    assert_eq!(sorted, spawned);
    assert!(!ordered || sorted == read, "{read:?}");
    assert_eq!(in_flight.now(), 0);
}

#[test]
fn local_sets_take_what_is_not_send() {
    let sum = block_on(local_scope(async |s| {
        let shared = std::rc::Rc::new(7);
        let work = (0..3).map(|number| {
            let shared = std::rc::Rc::clone(&shared);
            async move { std::rc::Rc::new(*shared + number) }
        });
        let mut stream = s.stream(places(2), work).ordered();
        let mut sum = 0;
        while let Some(result) = stream.join_next().await {
            sum += *result.unwrap();
        }
        sum
    }));
    assert_eq!(sum, 24);
}
