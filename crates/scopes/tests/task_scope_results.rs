//! Results of parallel children as a stream: in which order, how many at once, and what becomes of those
//! that are not read.

use std::future::pending;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt, StreamExt};
use weirs_runtime::Runtime;
use weirs_scopes::{Ended, Reason, Refusal, Scope, TaskResultSet, task_scope, try_task_scope};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, sim_test, yields};

fn places(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (mut completed, spawned) = task_scope(&runtime, async |s| {
        let work = || [3_usize, 1, 2].map(|number| yields(4 * number).map(move |()| number));
        let completed: Vec<_> = s.stream(places(3), work()).map(Result::unwrap).collect().await;
        let spawned: Vec<_> = s.stream(places(3), work()).ordered().map(Result::unwrap).collect().await;
        (completed, spawned)
    })
    .await;
    completed.sort_unstable();
    assert_eq!((completed, spawned), (vec![1, 2, 3], vec![3, 1, 2]));
}

#[apply(sim_test)]
async fn results_come_when_the_children_end(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let numbers = task_scope(&runtime, async |s| {
        let work = [30_u64, 10, 20]
            .map(|number| clock.sleep(std::time::Duration::from_millis(number)).map(move |()| number));
        let numbers: Vec<_> = s.stream(places(3), work).map(Result::unwrap).collect().await;
        numbers
    });
    assert_eq!(numbers.await, [10, 20, 30]);
}

#[apply(runtime_test)]
async fn children_and_unread_results_are_at_most_the_places(runtime: Runtime) {
    for ordered in [false, true] {
        let (in_flight, asked) = (Arc::new(InFlight::new()), AtomicUsize::new(0));
        let read = task_scope(&runtime, async |s| {
            let work = (0..50_usize).map(|number| {
                asked.fetch_add(1, Ordering::Relaxed);
                let in_flight = Arc::clone(&in_flight);
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
                let number = result.unwrap();
                assert!(!ordered || number == read);
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

#[apply(runtime_test)]
async fn a_full_set_gives_the_future_back_and_reading_makes_place(runtime: Runtime) {
    task_scope(&runtime, async |s| {
        let mut set = s.results(places(1));
        let first = set.try_spawn(async { 1 }).unwrap();
        let rejected = set.try_spawn(async { 2 }).unwrap_err();
        assert_eq!(rejected.why(), Refusal::Full);
        while s.live() > 0 {
            yields(1).await;
        }
        // The child has ended, but its result is there.
        assert_eq!(set.len(), 1);
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
async fn spawners_wait_for_places_on_whatever_thread(runtime: Runtime) {
    let mut order = task_scope(&runtime, async |s| {
        let mut set = s.results(places(2));
        for producer in 0..3 {
            let spawner = set.spawner();
            s.spawn(async move {
                for number in 0..40 {
                    let child = async move {
                        yields(number % 3).await;
                        (producer, number)
                    };
                    spawner.spawn_when_free(child).await.unwrap();
                }
            });
        }
        let mut order = Vec::new();
        while let Some((_, result)) = set.next().await {
            assert!(set.len() <= 2);
            order.push(result.unwrap());
        }
        order
    })
    .await;
    order.sort_unstable();
    let all: Vec<_> = (0..3).flat_map(|producer| (0..40).map(move |number| (producer, number))).collect();
    assert_eq!(order, all);
}

#[apply(runtime_test)]
async fn dropping_the_set_cancels_its_children_and_tells_who_waits(runtime: Runtime) {
    let in_flight = Arc::new(InFlight::new());
    task_scope(&runtime, async |s| {
        let set = s.results(places(2));
        for _ in 0..2 {
            let in_flight = Arc::clone(&in_flight);
            set.try_spawn(async move {
                let _guard = in_flight.enter();
                pending::<()>().await;
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
async fn every_end_is_told(runtime: Runtime) {
    let result: Result<(), &str> = try_task_scope(&runtime, async |s| {
        let mut set = s.results(places(3)).ordered();
        set.try_spawn(async { Ok(1) }).unwrap();
        set.try_spawn(pending::<Result<u8, &str>>()).unwrap();
        set.try_spawn(async {
            yields(4).await;
            Err("the scope's")
        })
        .unwrap();
        assert_eq!(set.join_next().await.unwrap().1, Ok(1));
        // The body goes on until the scope drops it.
        pending().await
    })
    .await;
    assert_eq!(result, Err("the scope's"));

    let ends = Arc::new(std::sync::Mutex::new(Vec::new()));
    let caught = AssertUnwindSafe(task_scope(&runtime, async |s| {
        let mut set: TaskResultSet<()> = s.results(places(4)).ordered();
        set.try_spawn(pending()).unwrap();
        set.try_spawn(async { panic!("on purpose") }).unwrap();
        let ends = Arc::clone(&ends);
        s.defer(async move {
            while let Some((child, end)) = set.join_next().await {
                ends.lock().unwrap().push((child.number(), end));
            }
        });
        pending::<()>().await;
    }))
    .catch_unwind()
    .await;
    assert!(caught.is_err());
    assert_eq!(*ends.lock().unwrap(), [(1, Err(Ended::Cancelled)), (2, Err(Ended::Panicked))]);
}

#[apply(runtime_test)]
async fn a_scope_that_refuses_ends_the_stream_with_the_reason(runtime: Runtime) {
    task_scope(&runtime, async |s| {
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
    task_scope(&runtime, async |s| {
        let mut stream = s.stream(places(2), std::iter::repeat_with(pending::<()>)).ordered();
        assert!(stream.next().now_or_never().is_none());
        s.cancel(Reason::Requested);
        assert_eq!(stream.next().await, Some(Err(Ended::Cancelled)));
        assert_eq!(stream.next().await, Some(Err(Ended::Cancelled)));
        assert_eq!(stream.next().await, Some(Err(Ended::Refused(Refusal::Cancelled))));
        assert_eq!(stream.next().await, None);
    })
    .await;
}

/// The scope's own limit is smaller than the set's.
#[apply(runtime_test)]
async fn a_scope_with_less_room_than_the_set_makes_it_wait(runtime: Runtime) {
    let in_flight = Arc::new(InFlight::new());
    let builder = Scope::builder().limit(places(2));
    let read = builder.run_on(&runtime, async |s| {
        let work = (0..20_usize).map(|number| {
            let in_flight = Arc::clone(&in_flight);
            async move {
                let _guard = in_flight.enter();
                yields(number % 3).await;
                number
            }
        });
        let read: Vec<_> = s.stream(places(8), work).ordered().map(Result::unwrap).collect().await;
        read
    });
    assert_eq!(read.await.unwrap(), (0..20).collect::<Vec<_>>());
    assert!(in_flight.peak() <= 2, "{}", in_flight.peak());
}

#[apply(sim_test)]
async fn reading_and_spawning_may_be_given_up_at_any_poll(runtime: Runtime) {
    task_scope(&runtime, async |s| {
        let set = s.results(places(1));
        let set = futures::lock::Mutex::new(set);
        let polls = cancel_at_every_poll(
            || async {
                let mut set = set.lock().await;
                if set.is_empty() {
                    set.try_spawn(yields(3)).unwrap();
                }
                set.join_next().await.unwrap().1.unwrap();
            },
            async |_| {
                let mut set = set.lock().await;
                // What was not read is there.
                if !set.is_empty() {
                    set.join_next().await.unwrap().1.unwrap();
                }
                assert!(set.is_empty());
            },
        )
        .await;
        assert!(polls >= 1, "{polls}");
        let spawner = set.lock().await.spawner();
        let polls = cancel_at_every_poll(
            || async {
                // The only place is taken for a while.
                let mut set = set.lock().await;
                if set.is_empty() {
                    set.try_spawn(yields(2)).unwrap();
                }
                let (spawned, read) =
                    futures::future::join(spawner.spawn_when_free(yields(1)), set.join_next()).await;
                spawned.unwrap();
                read.unwrap().1.unwrap();
                set.join_next().await.unwrap().1.unwrap();
            },
            async |_| {
                let mut set = set.lock().await;
                while !set.is_empty() {
                    set.join_next().await.unwrap().1.unwrap();
                }
                assert_eq!(s.live(), 0);
            },
        )
        .await;
        assert!(polls >= 2, "{polls}");
    })
    .await;
}
