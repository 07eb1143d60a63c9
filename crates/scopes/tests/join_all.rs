//! Joins: what they give, what they drop, whom they poll.

mod common;

use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use common::{Log, message};
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{join, try_join};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, yields};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let task = |n: u32| runtime.spawn(async move { n });
    let (one, two, three) = join((task(1), async { "two" }, task(3))).await;
    assert_eq!((one.unwrap(), two, three.unwrap()), (1, "two", 3));
    assert_eq!(try_join([task(1), task(2)]).await.unwrap(), [1, 2]);
    let all = join((0..500).map(task).collect::<Vec<_>>()).await;
    assert!(all.into_iter().map(Result::unwrap).eq(0..500));
}

#[test]
fn nobody_one_and_eight() {
    assert_eq!(block_on(join(Vec::<std::future::Ready<()>>::new())), []);
    assert_eq!(block_on(join::<[std::future::Ready<()>; 0]>([])), []);
    assert_eq!(block_on(try_join(Vec::<std::future::Ready<Result<(), ()>>>::new())), Ok(vec![]));
    assert_eq!(block_on(join([ready(7)])), [7]);
    let r = ready::<u8>;
    assert_eq!(block_on(join((r(1), r(2), r(3), r(4), r(5), r(6), r(7), r(8)))), (1, 2, 3, 4, 5, 6, 7, 8));
}

#[test]
fn outputs_stand_in_the_order_given_whoever_is_first() {
    for number in [2, 8, 9, 64, 65, 300] {
        let futures: Vec<_> = (0..number)
            .map(|n| async move {
                yields(number - n).await;
                n
            })
            .collect();
        assert!(block_on(join(futures)).into_iter().eq(0..number));
    }
}

#[test]
fn the_first_error_drops_the_rest() {
    let in_flight = InFlight::new();
    for number in [2, 8, 9, 31, 300] {
        let futures: Vec<_> = (0..number)
            .map(|n| {
                let guard = in_flight.enter();
                async move {
                    if n + 1 < number {
                        pending::<()>().await;
                    }
                    drop(guard);
                    Err::<(), _>("it")
                }
            })
            .collect();
        let mut join = try_join(futures);
        assert_eq!(block_on(&mut join), Err("it"));
        assert_eq!(in_flight.now(), 0, "of {number}");
    }
    let guard = in_flight.enter();
    let wait = async {
        let _guard = guard;
        pending::<Result<(), &str>>().await
    };
    let joined = block_on(try_join((wait, async { Ok::<i32, &str>(7) }, async { Err::<u8, _>("it") })));
    assert_eq!(joined, Err("it"));
    assert_eq!(in_flight.now(), 0);
}

#[test]
fn a_panic_in_a_destructor_waits_until_all_are_dropped() {
    let log = Log::default();
    let panicky = |name: &'static str| {
        let told = log.pending(name).panics();
        async move {
            told.await;
            Ok::<(), &str>(())
        }
    };
    let joined = catch_unwind(AssertUnwindSafe(|| {
        let value = async { Ok::<_, &str>(log.ready("c").await) };
        block_on(try_join((panicky("a"), panicky("b"), value, async { Err::<(), _>("it") }))).map(drop)
    }));
    assert_eq!(message(joined.unwrap_err()), "a");
    assert_eq!(log.dropped(), ["c", "a", "b", "c's value"]);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(join(vec![panicky("c"), panicky("d")]))));
    assert_eq!(message(dropped.unwrap_err()), "c");
}

#[test]
fn only_those_are_polled_that_were_woken() {
    let polls = AtomicUsize::new(0);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..1_000).map(|_| async_channel::bounded::<()>(1)).unzip();
    let futures = receivers.iter().map(|receiver| {
        let mut receive = Box::pin(receiver.recv());
        let polls = &polls;
        poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            receive.as_mut().poll(cx)
        })
    });
    block_on(async {
        let mut join = join(futures.collect::<Vec<_>>());
        for (number, sender) in senders.iter().enumerate() {
            // A thousand are more than a turn: only when all were asked is the first wake awaited.
            while polls.load(Ordering::Relaxed) < 1_000 + number {
                assert!(futures_lite::future::poll_once(&mut join).await.is_none());
            }
            sender.try_send(()).unwrap();
        }
        assert_eq!(join.await.len(), 1_000);
    });
    assert_eq!(polls.into_inner(), 2_000);
}

#[test]
fn one_that_wakes_itself_for_ever_holds_nobody_up() {
    let polls = AtomicUsize::new(0);
    let restless = |n: usize| {
        let polls = &polls;
        poll_fn(move |cx| {
            if n == 0 {
                polls.fetch_add(1, Ordering::Relaxed);
                if polls.load(Ordering::Relaxed) > 1_000 {
                    return Poll::Ready(true);
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(polls.load(Ordering::Relaxed) > 20)
        })
    };
    let late = block_on(join((0..500).map(restless).collect::<Vec<_>>()));
    assert_eq!(late.iter().filter(|&&late| late).count(), 1, "a turn each 64 was enough for all others");
}

#[apply(runtime_test)]
async fn a_join_may_be_dropped_at_any_point(runtime: Runtime) {
    let in_flight = InFlight::new();
    let work = |n: usize| {
        let guard = in_flight.enter();
        async move {
            yields(n % 4).await;
            guard
        }
    };
    let make = || {
        let joined = join((work(3), join([work(1), work(2)]), join((0..70).map(work).collect::<Vec<_>>())));
        async move { assert_eq!(joined.await.2.len(), 70) }
    };
    cancel_at_every_poll(make, async |_| assert_eq!(in_flight.now(), 0)).await;
    cancel_at_every_wake(make, async |_| assert_eq!(in_flight.now(), 0)).await;
    assert_eq!(join([runtime.spawn(async { 7 })]).await.map(Result::unwrap), [7]);
}

#[apply(runtime_test)]
async fn the_handles_of_many_tasks(runtime: Runtime) {
    // Quadratic, it would take the watchdog's minute.
    let number = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
    let tasks: Vec<_> = (0..number).map(|n| runtime.spawn(async move { n })).collect();
    assert!(join(tasks).await.into_iter().map(Result::unwrap).eq(0..number));
}

#[test]
#[should_panic(expected = "polled after it was over")]
fn a_join_that_is_over_says_so() {
    block_on(async {
        let mut join = join((ready(()), ready(())));
        (&mut join).await;
        (&mut join).await;
    });
}
