//! [`Timer`]: a sleep that is set while something waits for it, and only then.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::{Clock, Instant, Sleep, ZeroPeriod};

/// A sleep that is set while something waits for it, and only then.
pub(super) struct Timer {
    sleep: Sleep,
    is_set: bool,
}

impl Timer {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { sleep: clock.sleep_until(Instant::FAR_FUTURE), is_set: false }
    }

    pub(super) fn now(&self) -> Instant {
        self.sleep.clock().now()
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set
    }

    pub(super) fn set(&mut self, at: Instant) {
        self.is_set = true;
        self.sleep.reset(at);
    }

    /// Sets it to a while from now, unless it is set.
    pub(super) fn start(&mut self, after: Duration) {
        if !self.is_set {
            self.set(self.now() + after);
        }
    }

    pub(super) fn clear(&mut self) {
        if self.is_set {
            self.is_set = false;
            self.sleep.reset(Instant::FAR_FUTURE);
        }
    }

    /// When it is for, if it is set.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.is_set.then(|| self.sleep.deadline())
    }

    /// Ready when its time has come; then it is no longer set. One that is not set is pending.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        if !self.is_set {
            return Poll::Pending;
        }
        let poll = Pin::new(&mut self.sleep).poll(cx);
        poll.map(|()| {
            let at = self.sleep.deadline();
            self.clear();
            at
        })
    }
}

/// The period, unless it is zero.
pub(super) fn not_zero(period: Duration) -> Result<Duration, ZeroPeriod> {
    if period.is_zero() { Err(ZeroPeriod) } else { Ok(period) }
}

/// The end of the period that `now` lies in, when periods begin at `start`. A point between two belongs to
/// the later.
pub(super) fn end_of_period(start: Instant, now: Instant, period: Duration) -> Instant {
    let Ok(period) = u64::try_from(period.as_nanos()) else { return Instant::FAR_FUTURE };
    let passed = now.as_nanos().saturating_sub(start.as_nanos()) / period;
    let ends = (passed + 1).checked_mul(period);
    ends.map_or(Instant::FAR_FUTURE, |nanos| start + Duration::from_nanos(nanos))
}
