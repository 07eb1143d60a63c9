//! [`Interval`]: ticks at a steady pace.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use crate::{Clock, Instant, Sleep};

/// Ticks once a period; made by [`Clock::interval`] and [`Clock::interval_at`].
///
/// Each tick gives the instant it was due at, not the instant it was noticed at. It is also a [`Stream`]
/// that never ends. A period that reaches beyond the end of time never ticks. What happens to ticks that
/// nobody was there to take is for [`MissedTicks`] to say.
///
/// # Cancel safety
/// A tick that was not given out is not lost: dropping the future of [`tick`](Interval::tick) changes
/// nothing.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Clock, block_on};
///
/// # fn main() -> Result<(), weirs_runtime::ZeroPeriod> {
/// let clock = Clock::default();
/// let period = Duration::from_millis(1);
/// let mut ticks = clock.interval(period)?;
/// block_on(async {
///     let first = ticks.tick().await;
///     let second = ticks.tick().await;
///     assert!(second - first >= period);
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTicks,
}

/// What an [`Interval`] does about ticks that were due while nobody asked for one.
///
/// Say the period is 10 ms and the ticks at 10, 20 and 30 were not taken because somebody was busy until 35:
///
/// | | ticks are given at | and are said to be due at | like |
/// |---|---|---|---|
/// | `Skip` | 35, 40, 50 | 10, 40, 50 | Go's `time.Ticker`, tokio's `Skip` |
/// | `Burst` | 35, 35, 35, 40 | 10, 20, 30, 40 | tokio's default |
/// | `Delay` | 35, 45, 55 | 10, 45, 55 | tokio's `Delay` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTicks {
    /// One tick for all that were missed, then on with the old rhythm. The default: it cannot flood anybody.
    /// A tick that falls due at the very moment is among those that were missed.
    #[default]
    Skip,
    /// All that were missed, at once: their number comes out right in the long run.
    Burst,
    /// One tick for all that were missed, then a new rhythm from there: two ticks are never closer than a
    /// period, and every lateness, however small, shifts all that follow.
    Delay,
}

impl Interval {
    pub(crate) fn new(clock: Clock, start: Instant, period: Duration) -> Result<Self, ZeroPeriod> {
        if period.is_zero() {
            return Err(ZeroPeriod);
        }
        Ok(Self { sleep: clock.sleep_until(start), period, missed: MissedTicks::default() })
    }

    /// The same interval with another rule for missed ticks.
    #[must_use]
    pub fn missed_ticks(mut self, missed: MissedTicks) -> Self {
        self.missed = missed;
        self
    }

    /// Time from one tick to the next.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// When the next tick is due.
    pub fn next_due(&self) -> Instant {
        self.sleep.deadline()
    }

    /// Waits for the next tick and gives the instant at which it was due.
    pub fn tick(&mut self) -> Tick<'_> {
        Tick { interval: self }
    }

    /// The next tick is a period from now.
    pub fn reset(&mut self) {
        self.sleep.reset_after(self.period);
    }

    /// [`tick`](Interval::tick) for whoever polls by hand.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let next = match self.missed {
            MissedTicks::Burst => due + self.period,
            MissedTicks::Skip => next_in_rhythm(due, self.sleep.clock().now(), self.period),
            MissedTicks::Delay => self.sleep.clock().now() + self.period,
        };
        self.sleep.reset(next);
        Poll::Ready(due)
    }
}

/// The first of `due + period`, `due + 2 * period`, ... that is after `now`.
fn next_in_rhythm(due: Instant, now: Instant, period: Duration) -> Instant {
    let Ok(period_nanos) = u64::try_from(period.as_nanos()) else {
        return Instant::FAR_FUTURE;
    };
    let into_the_period = (now - due).as_nanos() as u64 % period_nanos;
    let missed = Duration::from_nanos((now - due).as_nanos() as u64 - into_the_period);
    due + missed + period
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}

/// The future of [`Interval::tick`].
#[derive(Debug)]
#[must_use = "a tick is waited for only when it is awaited"]
pub struct Tick<'a> {
    interval: &'a mut Interval,
}

impl Future for Tick<'_> {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.interval.poll_tick(cx)
    }
}

/// An [`Interval`] was asked for with a period of zero. Ask for a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZeroPeriod;

impl fmt::Display for ZeroPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an interval needs a period longer than zero")
    }
}

impl Error for ZeroPeriod {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rhythm_goes_on_after_missed_ticks() {
        let at = Instant::from_nanos;
        let ten = Duration::from_nanos(10);
        assert_eq!(next_in_rhythm(at(10), at(10), ten), at(20));
        assert_eq!(next_in_rhythm(at(10), at(19), ten), at(20));
        assert_eq!(next_in_rhythm(at(10), at(20), ten), at(30));
        assert_eq!(next_in_rhythm(at(10), at(35), ten), at(40));
        assert_eq!(next_in_rhythm(at(10), at(35), Duration::MAX), Instant::FAR_FUTURE);
        assert_eq!(next_in_rhythm(at(u64::MAX - 1), at(u64::MAX - 1), ten), Instant::FAR_FUTURE);
    }
}
