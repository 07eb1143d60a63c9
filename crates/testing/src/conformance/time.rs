//! Sleeps, timeouts and intervals: that they end, not when.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_runtime::{Elapsed, Instant, Runtime, Sleep, ZeroPeriod};

use super::tools::panic_quietly;
use crate::yields;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A sleep of no length, or until a time in the past, is ready at its first poll.
pub async fn a_sleep_that_is_due_is_ready(runtime: Runtime) {
    let clock = runtime.clock();
    assert!(poll_once(&mut clock.sleep(Duration::ZERO)));
    let now = clock.now();
    assert!(poll_once(&mut clock.sleep_until(now)));
    assert!(poll_once(&mut clock.sleep_until(now - HOUR)));
    assert!(poll_once(&mut clock.sleep_until(Instant::from_nanos(0))));
}

/// A sleep ends, and not before its time.
pub async fn a_sleep_ends_when_it_is_due(runtime: Runtime) {
    for length in [Duration::from_nanos(1), Duration::from_micros(50), MS, 3 * MS] {
        let sleep = runtime.clock().sleep(length);
        let deadline = sleep.deadline();
        sleep.await;
        assert!(runtime.clock().now() >= deadline);
    }
}

/// A sleep of the longest duration there is waits for ever, and may be dropped.
pub async fn an_endless_sleep_may_be_dropped(runtime: Runtime) {
    let mut endless = runtime.clock().sleep(Duration::MAX);
    assert_eq!(endless.deadline(), Instant::FAR_FUTURE);
    assert!(!poll_once(&mut endless));
    drop(endless);
    let mut nearly = runtime.clock().sleep_until(Instant::FAR_FUTURE - Duration::from_nanos(1));
    assert!(!poll_once(&mut nearly));
    drop(nearly);
    a_sleep_ends_when_it_is_due(runtime).await;
}

/// A sleep that is under way may be set to an earlier time, or to a later one.
pub async fn a_sleep_may_be_reset(runtime: Runtime) {
    let clock = runtime.clock();
    let mut sleep = clock.sleep(HOUR);
    assert!(!registered(&mut sleep).await);
    sleep.reset_after(MS);
    (&mut sleep).await;

    // After its end as well.
    sleep.reset_after(MS);
    let earlier = sleep.deadline();
    if !registered(&mut sleep).await {
        sleep.reset(earlier + MS);
    }
    let later = sleep.deadline();
    sleep.await;
    assert!(clock.now() >= later);
}

/// A sleep that one task has begun to wait for may be awaited by another.
pub async fn a_sleep_may_change_hands(runtime: Runtime) {
    let mut sleep = runtime.clock().sleep(MS);
    let _ = registered(&mut sleep).await;
    runtime.spawn(sleep).await.unwrap();
}

/// A sleep that is over stays ready.
pub async fn a_sleep_stays_ready(runtime: Runtime) {
    let mut sleep = runtime.clock().sleep(MS);
    (&mut sleep).await;
    assert!(sleep.is_elapsed());
    for _ in 0..3 {
        assert!(poll_once(&mut sleep));
    }
}

/// Many sleeps at once, many of which are dropped, all end.
pub async fn many_sleeps_all_end(runtime: Runtime) {
    let tasks: Vec<_> = (0..200_u32)
        .map(|number| {
            let clock = runtime.clock().clone();
            runtime.spawn(async move {
                let abandoned = clock.timeout(HOUR, clock.sleep(HOUR));
                let _ = clock.timeout(MS / 10, abandoned).await;
                clock.sleep(number % 5 * MS).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// A timeout gives the result of a future that ends before it.
pub async fn a_timeout_lets_a_result_through(runtime: Runtime) {
    let clock = runtime.clock();
    assert_eq!(clock.timeout(HOUR, async { 7 }).await, Ok(7));
    let waits = async {
        yields(3).await;
        7
    };
    assert_eq!(clock.timeout(HOUR, waits).await, Ok(7));
    assert_eq!(clock.timeout(Duration::MAX, clock.sleep(MS)).await, Ok(()));
}

/// A timeout elapses, and leaves the future that it was given by reference as it is.
pub async fn a_timeout_elapses(runtime: Runtime) {
    let clock = runtime.clock();
    assert_eq!(clock.timeout(MS, pending::<()>()).await, Err(Elapsed));
    let mut sleep = clock.sleep(20 * MS);
    if clock.timeout(MS, &mut sleep).await.is_err() {
        sleep.await;
    }
    assert_eq!(clock.timeout_at(clock.now() + MS, pending::<()>()).await, Err(Elapsed));
}

/// A timeout of no length, or until a time in the past, polls its future once.
pub async fn a_timeout_polls_at_least_once(runtime: Runtime) {
    let clock = runtime.clock();
    let past = Instant::from_nanos(0);
    assert_eq!(clock.timeout(Duration::ZERO, async { 7 }).await, Ok(7));
    assert_eq!(clock.timeout_at(past, async { 7 }).await, Ok(7));
    assert_eq!(clock.timeout(Duration::ZERO, pending::<()>()).await, Err(Elapsed));
    assert_eq!(clock.timeout_at(past, pending::<()>()).await, Err(Elapsed));
}

/// A panic passes through a timeout.
pub async fn a_panic_passes_through_a_timeout(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let task = runtime.spawn(async move {
        let fails = async {
            yields(1).await;
            panic_quietly("within the timeout");
        };
        let _: Result<(), Elapsed> = clock.timeout(HOUR, fails).await;
    });
    assert!(task.await.unwrap_err().is_panic());
}

/// An interval ticks, and a tick that was not waited for to its end is not lost.
pub async fn an_interval_ticks(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let mut ticks = clock.interval_at(start + MS, MS).unwrap();
    let _ = clock.timeout(Duration::ZERO, ticks.tick()).await;
    let mut last = start;
    for _ in 0..5 {
        let due = ticks.tick().await;
        assert!(due <= clock.now());
        // However late we are, a tick is due a whole number of periods after the start.
        assert_eq!((due - start).as_nanos() % MS.as_nanos(), 0);
        assert!(due > last);
        last = due;
    }
}

/// An interval of zero is refused.
pub async fn an_interval_of_zero_is_an_error(runtime: Runtime) {
    assert_eq!(runtime.clock().interval(Duration::ZERO).unwrap_err(), ZeroPeriod);
    let now = runtime.clock().now();
    assert_eq!(runtime.clock().interval_at(now, Duration::ZERO).unwrap_err(), ZeroPeriod);
}

/// Polls it once, with a waker that nobody hears; says whether it is over.
fn poll_once(sleep: &mut Sleep) -> bool {
    Pin::new(sleep).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Polls it once with this task's waker, so that it is registered; says whether it is over.
async fn registered(sleep: &mut Sleep) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *sleep).poll(cx).is_ready())).await
}
