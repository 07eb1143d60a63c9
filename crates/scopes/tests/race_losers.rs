//! What becomes of the losers.

mod common;

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use common::{Log, message};
use weirs_runtime::{Runtime, block_on};
use weirs_scopes::{Select, race, race_biased};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, yields};

#[apply(runtime_test)]
async fn they_are_dropped_before_the_result_is_given(runtime: Runtime) {
    let clock = runtime.clock();
    let in_flight = InFlight::new();
    let loser = || async {
        let _guard = in_flight.enter();
        pending::<()>().await;
    };
    let winner = || async {
        let _guard = in_flight.enter();
        yields(2).await;
    };
    let mut tuple = std::pin::pin!(race(clock, (loser(), winner(), loser())));
    (&mut tuple).await;
    assert_eq!(in_flight.now(), 0, "the race still exists, what it raced does not");
    for many in [2, 8, 9, 200] {
        let futures: Vec<_> = (0..many).map(|n| futures_lite::future::or(wait(n == 1), loser())).collect();
        let mut vec = race(clock, futures);
        assert_eq!((&mut vec).await, Some((1, ())));
        assert_eq!(in_flight.now(), 0);
        drop(vec);
    }
    assert!(in_flight.peak() >= 2);
}

async fn wait(is_winner: bool) {
    if !is_winner {
        pending::<()>().await;
    }
    yields(5).await;
}

#[test]
fn a_panic_in_a_destructor_waits_until_all_are_dropped() {
    let log = Log::default();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        block_on(race_biased((log.pending("a").panics(), log.ready("b"), log.pending("c").panics())))
    }));
    assert_eq!(message(panic.err().unwrap()), "a");
    assert_eq!(log.dropped(), ["a", "b", "c", "b's value"]);

    for number in [3, 50] {
        let log = Log::default();
        let mut futures: Vec<_> = (1..number).map(|_| log.pending("loser").panics()).collect();
        futures.push(log.ready("winner"));
        let panic = catch_unwind(AssertUnwindSafe(|| block_on(race_biased(futures)).is_some()));
        assert_eq!(message(panic.err().unwrap()), "loser");
        assert_eq!(log.dropped().len(), number + 1);
    }

    let log = Log::default();
    let mut select = Select::new();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        select.try_next((log.ready("a"), log.pending("b").panics(), log.pending("c"))).is_some()
    }));
    assert_eq!(message(panic.err().unwrap()), "b");
    assert_eq!(log.dropped().len(), 4);
}

#[test]
fn a_race_that_is_given_up_does_not_abort_for_two_panics() {
    let log = Log::default();
    let race = race_biased((log.pending("a").panics(), log.pending("b").panics()));
    assert_eq!(message(catch_unwind(AssertUnwindSafe(|| drop(race))).unwrap_err()), "a");
    let race = race_biased(vec![log.pending("a").panics(), log.pending("b").panics()]);
    assert_eq!(message(catch_unwind(AssertUnwindSafe(|| drop(race))).unwrap_err()), "a");
    assert_eq!(log.dropped(), ["a", "b", "a", "b"]);
}

#[test]
fn the_panic_of_a_future_takes_the_others_along() {
    let log = Log::default();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        block_on(race_biased((log.pending("a"), async { panic!("on purpose") }, log.pending("c"))))
    }));
    assert_eq!(message(panic.err().unwrap()), "on purpose");
    assert_eq!(log.dropped(), ["a", "c"]);
}

#[apply(runtime_test)]
async fn a_message_is_received_or_still_there(runtime: Runtime) {
    let clock = runtime.clock();
    let channels = &Mutex::new(None);
    let make = || {
        let (a, b) = (async_channel::bounded::<u32>(1), async_channel::bounded::<u32>(1));
        *channels.lock().unwrap() = Some((a.1.clone(), b.1.clone()));
        let clock = clock.clone();
        async move {
            let send = async {
                yields(2).await;
                a.0.send(1).await.unwrap();
                b.0.send(2).await.unwrap();
                pending::<()>().await;
            };
            let receive = race(&clock, (a.1.recv(), b.1.recv()));
            let first = race_biased((receive, send)).await;
            let left = usize::from(!a.1.is_empty()) + usize::from(!b.1.is_empty());
            assert_eq!(left, 1, "{first:?}");
            *channels.lock().unwrap() = None;
        }
    };
    let check = async |_: usize| {
        let left = channels.lock().unwrap().take();
        if let Some((a, b)) = left {
            assert_eq!(a.is_empty(), b.is_empty(), "one was taken by nobody");
        }
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(runtime_test)]
async fn a_big_race_may_be_dropped_at_any_point(runtime: Runtime) {
    let in_flight = InFlight::new();
    let make = || {
        let futures: Vec<_> = (0..100)
            .map(|n| {
                let guard = in_flight.enter();
                async move {
                    yields(3 + n).await;
                    drop(guard);
                    n
                }
            })
            .collect();
        let race = race(runtime.clock(), futures);
        async move { assert_eq!(race.await, Some((0, 0))) }
    };
    let polls = cancel_at_every_poll(make, async |_| assert_eq!(in_flight.now(), 0)).await;
    assert!(polls >= 4, "a hundred are more than a turn: {polls}");
    cancel_at_every_wake(make, async |_| assert_eq!(in_flight.now(), 0)).await;
}

#[apply(runtime_test)]
async fn a_wake_after_the_end_is_for_nobody(runtime: Runtime) {
    let (sender, receiver) = async_channel::bounded::<()>(1);
    let (woken, clock) = (std::sync::Arc::new(Mutex::new(Vec::new())), runtime.clock());
    let keeps_its_waker = |woken: std::sync::Arc<Mutex<Vec<std::task::Waker>>>| {
        std::future::poll_fn(move |cx| {
            woken.lock().unwrap().push(cx.waker().clone());
            std::task::Poll::<()>::Pending
        })
    };
    let futures: Vec<_> = (0..40).map(|_| keeps_its_waker(woken.clone())).collect();
    let race = race_biased((race_biased(futures), clock.sleep(Duration::from_micros(1)), receiver.recv()));
    race.await;
    let wakers = std::mem::take(&mut *woken.lock().unwrap());
    assert!(wakers.len() >= 40);
    wakers.into_iter().for_each(std::task::Waker::wake);
    drop(sender);
    assert_eq!(race_biased((ready(7), pending::<i32>())).await.into_inner(), 7);
}
