//! What sleeps, timeouts and intervals cost, and what they do when time is moved by hand.

use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use weirs_conformance::{fail, poll};
use weirs_runtime::{Elapsed, Instant, MissedTicks};
use weirs_testing::ManualClock;

const MS: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn at(time: Duration) -> Instant {
    Instant::from_nanos(0) + time
}

#[test]
fn a_sleep_that_is_never_polled_costs_nothing() {
    let time = ManualClock::new();
    let mut sleep = time.clock().sleep_until(at(5 * MS));
    sleep.reset(at(7 * MS));
    drop(sleep);
    assert_eq!((time.timers_set(), time.times_read()), (0, 0));
}

#[test]
fn a_sleep_that_is_due_sets_no_timer() {
    let time = ManualClock::new();
    time.set(at(10 * MS));
    assert!(poll(&mut time.clock().sleep(Duration::ZERO)).is_ready());
    assert!(poll(&mut time.clock().sleep_until(at(3 * MS))).is_ready());
    assert_eq!(time.timers_set(), 0);
}

#[test]
fn an_endless_sleep_sets_no_timer() {
    let time = ManualClock::new();
    let mut sleep = time.clock().sleep(Duration::MAX);
    assert!(poll(&mut sleep).is_pending());
    time.set(Instant::FAR_FUTURE);
    assert!(poll(&mut sleep).is_pending());
    assert_eq!(time.timers_set(), 0);
}

#[test]
fn a_dropped_sleep_removes_its_timer() {
    let time = ManualClock::new();
    let mut sleep = time.clock().sleep(MS);
    assert!(poll(&mut sleep).is_pending());
    assert!(poll(&mut sleep).is_pending());
    assert_eq!((time.timers(), time.timers_set()), (1, 1));
    drop(sleep);
    assert_eq!(time.timers(), 0);
}

#[test]
fn a_sleep_wakes_once_and_its_last_waker() {
    let time = ManualClock::new();
    let (first, last) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let mut sleep = pin!(time.clock().sleep(MS));
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&first.waker())).is_pending());
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&last.waker())).is_pending());
    time.advance(MS - Duration::from_nanos(1));
    assert_eq!(last.take(), 0);
    time.advance(Duration::from_nanos(1));
    time.advance(MS);
    assert_eq!((first.take(), last.take()), (0, 1));
    assert!(poll(&mut sleep).is_ready());
    assert!(poll(&mut sleep).is_ready(), "it stays ready");
    assert_eq!(time.timers_set(), 1);
}

#[test]
fn a_reset_sleep_leaves_its_old_time() {
    let time = ManualClock::new();
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.waker();
    let mut cx = Context::from_waker(&waker);
    let mut sleep = time.clock().sleep(10 * MS);
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_pending());

    // Earlier.
    sleep.reset(at(5 * MS));
    assert_eq!(time.timers(), 0, "registered again only when it is polled");
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_pending());
    time.set(at(5 * MS));
    assert_eq!(wakes.take(), 1);
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_ready());

    // Later, on the way.
    sleep.reset(at(8 * MS));
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_pending());
    sleep.reset(at(20 * MS));
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_pending());
    time.set(at(19 * MS));
    assert_eq!(wakes.take(), 0);
    time.set(at(20 * MS));
    assert_eq!(wakes.take(), 1);

    // Into the past.
    sleep.reset(at(MS));
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_ready());
    assert_eq!(time.timers(), 0);
}

#[test]
fn a_timeout_of_a_ready_future_looks_at_no_clock() {
    let time = ManualClock::new();
    let mut timeout = time.clock().timeout(MS, ready(7));
    assert_eq!(poll(&mut timeout), Poll::Ready(Ok(7)));
    let mut timeout = time.clock().timeout_at(at(MS), ready(7));
    assert_eq!(poll(&mut timeout), Poll::Ready(Ok(7)));
    drop(time.clock().timeout(MS, pending::<()>()));
    assert_eq!((time.timers_set(), time.times_read()), (0, 0));
}

#[test]
fn a_timeout_counts_from_its_first_pending_poll() {
    let time = ManualClock::new();
    let mut timeout = time.clock().timeout(10 * MS, pending::<()>());
    assert_eq!(timeout.deadline(), None);
    time.advance(50 * MS);
    assert!(poll(&mut timeout).is_pending());
    assert_eq!(timeout.deadline(), Some(at(60 * MS)));
    time.set(at(60 * MS) - Duration::from_nanos(1));
    assert!(poll(&mut timeout).is_pending());
    time.set(at(60 * MS));
    assert_eq!(poll(&mut timeout), Poll::Ready(Err(Elapsed)));
    assert_eq!((time.timers(), time.timers_set()), (0, 1));
}

#[test]
fn a_timeout_that_has_elapsed_goes_on_asking() {
    let time = ManualClock::new();
    let mut timeout = time.clock().timeout(MS, time.clock().sleep(5 * MS));
    assert!(poll(&mut timeout).is_pending());
    time.advance(MS);
    assert_eq!(poll(&mut timeout), Poll::Ready(Err(Elapsed)));
    assert_eq!(poll(&mut timeout), Poll::Ready(Err(Elapsed)));
    time.advance(4 * MS);
    assert_eq!(poll(&mut timeout), Poll::Ready(Ok(())));
}

#[test]
fn a_timeout_at_an_instant_is_exact() {
    let time = ManualClock::new();
    let mut timeout = time.clock().timeout_at(at(10 * MS), pending::<()>());
    time.set(at(10 * MS) - Duration::from_nanos(1));
    assert!(poll(&mut timeout).is_pending());
    time.set(at(10 * MS));
    assert_eq!(poll(&mut timeout), Poll::Ready(Err(Elapsed)));
    // In the past: the future still gets its poll, and no timer is set.
    assert_eq!(poll(&mut time.clock().timeout_at(at(MS), ready(7))), Poll::Ready(Ok(7)));
    assert_eq!(poll(&mut time.clock().timeout_at(at(MS), pending::<()>())), Poll::Ready(Err(Elapsed)));
    assert_eq!(time.timers_set(), 1);
}

#[test]
fn a_timeout_of_no_length_polls_once() {
    let time = ManualClock::new();
    let polls = Cell::new(0);
    let counted = std::future::poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::<()>::Pending
    });
    assert_eq!(poll(&mut time.clock().timeout(Duration::ZERO, counted)), Poll::Ready(Err(Elapsed)));
    assert_eq!((polls.get(), time.timers_set()), (1, 0));
}

#[test]
fn a_result_at_the_deadline_counts() {
    let time = ManualClock::new();
    let mut timeout = time.clock().timeout(MS, time.clock().sleep(MS));
    assert!(poll(&mut timeout).is_pending());
    time.advance(MS);
    assert_eq!(poll(&mut timeout), Poll::Ready(Ok(())));
}

#[test]
fn a_dropped_timeout_removes_its_timer() {
    let time = ManualClock::new();
    let mut timeout = time.clock().timeout(MS, time.clock().sleep(5 * MS));
    assert!(poll(&mut timeout).is_pending());
    assert_eq!(time.timers(), 2);
    let mut sleep = timeout.into_inner();
    assert_eq!(time.timers(), 1);
    time.advance(5 * MS);
    assert!(poll(&mut sleep).is_ready());
    assert_eq!(time.timers(), 0);
}

#[test]
fn a_panic_within_a_timeout_leaves_no_timer() {
    let time = ManualClock::new();
    let polls = Cell::new(0);
    let mut timeout = Box::pin(time.clock().timeout(MS, async {
        std::future::poll_fn(|_| {
            polls.set(polls.get() + 1);
            if polls.get() == 2 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        fail("within the timeout");
    }));
    assert!(poll(&mut timeout).is_pending());
    assert_eq!(time.timers(), 1);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut timeout))).is_err());
    drop(timeout);
    assert_eq!(time.timers(), 0);
}

#[test]
fn time_that_goes_backwards_makes_sleeps_longer_and_nothing_else() {
    let time = ManualClock::new();
    time.set(at(100 * MS));
    let clock = time.clock();
    let mut sleep = clock.sleep(10 * MS);
    let mut timeout = clock.timeout(10 * MS, pending::<()>());
    let mut ticks = clock.interval(10 * MS).unwrap();
    assert!(poll(&mut sleep).is_pending());
    assert!(poll(&mut timeout).is_pending());
    assert!(poll(&mut ticks.tick()).is_pending());

    time.set(at(Duration::ZERO));
    assert!(!sleep.is_elapsed());
    assert!(poll(&mut sleep).is_pending());
    assert!(poll(&mut timeout).is_pending());
    assert!(poll(&mut ticks.tick()).is_pending());
    assert!(poll(&mut clock.sleep(Duration::ZERO)).is_ready());
    assert_eq!(clock.now() - at(100 * MS), Duration::ZERO, "subtraction saturates");

    time.set(at(110 * MS));
    assert!(poll(&mut sleep).is_ready());
    assert_eq!(poll(&mut timeout), Poll::Ready(Err(Elapsed)));
    assert_eq!(poll(&mut ticks.tick()), Poll::Ready(at(110 * MS)));

    // Back after a tick was given: no tick is given twice.
    time.set(at(50 * MS));
    assert!(poll(&mut ticks.tick()).is_pending());
    time.set(at(120 * MS));
    assert_eq!(poll(&mut ticks.tick()), Poll::Ready(at(120 * MS)));
}

#[test]
fn an_interval_whose_period_never_ends() {
    let time = ManualClock::new();
    for missed in [MissedTicks::Skip, MissedTicks::Burst, MissedTicks::Delay] {
        let mut ticks =
            time.clock().interval_at(time.clock().now(), Duration::MAX).unwrap().missed_ticks(missed);
        assert!(poll(&mut ticks.tick()).is_ready());
        assert!(poll(&mut ticks.tick()).is_pending());
        assert_eq!(ticks.next_due(), Instant::FAR_FUTURE);
    }
}
