//! The breaker's gate beside its lock: what is counted without it, while the circuit changes.
#![cfg(loom)]

use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use loom::thread;
use weirs_resilience::{Breaker, BreakerBuilder, Circuit, Recorded};
use weirs_runtime::{Clock, Instant, TimerDriver, TimerKey};

/// Time that stands.
struct Still;

impl TimerDriver for Still {
    fn now(&self) -> Instant {
        Instant::from_nanos(5)
    }

    fn insert(&self, _: Instant, _: &Waker) -> Option<TimerKey> {
        NonZeroU64::new(1).map(TimerKey::new)
    }

    fn refresh(&self, _: TimerKey, _: &Waker) -> bool {
        true
    }

    fn remove(&self, _: TimerKey) {}
}

/// Two windows that open at the second failure, whatever else there is.
fn windows() -> [fn() -> BreakerBuilder; 2] {
    [|| any().window_of_calls(3), || any().window_of_time(Duration::from_secs(1), 2)]
}

fn any() -> BreakerBuilder {
    Breaker::builder().failures(2).min_calls(1).clock(&Clock::new(Still))
}

/// A success goes through the gate while a failure is counted under the lock.
#[test]
fn no_count_is_lost() {
    for window in windows() {
        loom::model(move || {
            let breaker = window().build().unwrap();
            assert_eq!(breaker.try_acquire().unwrap().success(), Recorded::Counted);
            let good = breaker.try_acquire_owned().unwrap();
            let bad = breaker.try_acquire_owned().unwrap();
            let other = thread::spawn(move || good.success());
            assert_eq!(bad.failure(), Recorded::Counted);
            assert_eq!(other.join().unwrap(), Recorded::Counted);
            let counts = breaker.stats().counts;
            assert_eq!((counts.calls, counts.failures), (3, 1));
        });
    }
}

/// A success goes through the gate while the circuit opens and closes again: it is counted before, or it is
/// stale, and the new window does not know of it. Seen to fail while a window was cleared by a plain store.
#[test]
fn what_is_late_is_stale() {
    for window in windows() {
        loom::model(move || {
            let breaker = window().build().unwrap();
            assert_eq!(breaker.try_acquire().unwrap().success(), Recorded::Counted);
            let late = breaker.try_acquire_owned().unwrap();
            let other = thread::spawn(move || late.success());
            breaker.reset();
            let again = breaker.try_acquire().unwrap().success();
            assert_eq!(again, Recorded::Counted);
            let recorded = other.join().unwrap();
            assert!(matches!(recorded, Recorded::Counted | Recorded::Stale));
            let stats = breaker.stats();
            assert_eq!(stats.counts.calls, 1, "{recorded:?} {stats:?}");
        });
    }
}

/// Two want the only place of a probe.
#[test]
fn one_probe_is_let_through() {
    loom::model(|| {
        let breaker = Breaker::consecutive(1).clock(&Clock::new(Still)).build().unwrap();
        breaker.try_acquire().unwrap().failure();
        let mut kept = breaker.snapshot();
        kept.opens_in = Some(Duration::ZERO);
        breaker.restore(&kept);
        let other = {
            let breaker = Arc::clone(&breaker);
            thread::spawn(move || breaker.try_acquire_owned().ok())
        };
        let mine = breaker.try_acquire_owned().ok();
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some());
        mine.or(theirs).unwrap().success();
        assert_eq!(breaker.state(), Circuit::Closed);
    });
}
