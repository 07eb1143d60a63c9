//! [`WarmUp`]: a rate that begins slowly after every pause.

mod builder;
mod curve;

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use crate::line::Line;
use crate::{AcquireCells, Denied, Grant, Limit, LimiterStats, Outcome, QuotaError, Rate, Waiting};
use curve::Curve;

pub use builder::WarmUpBuilder;

/// A rate that begins at a third of itself and rises to itself within the time of warming up; while nobody
/// asks it cools down again. For what is slow at first: caches, connection pools.
///
/// Cells are given out one after the other, a period apart. Whoever asks for several has them at once, and
/// the next one waits for them.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{Rate, WarmUp};
///
/// let limiter = WarmUp::new(Rate::per_second(10), Duration::from_secs(4)).unwrap();
/// limiter.try_acquire(1).unwrap();
/// // Cold: three periods to the next, less what it has warmed up.
/// let wait = limiter.try_acquire(1).unwrap_err().retry_after().unwrap();
/// assert!(wait > Duration::from_millis(280) && wait <= Duration::from_millis(300));
/// ```
pub struct WarmUp {
    line: Line<Curve>,
}

impl WarmUp {
    /// In real time, with room for 1024 who wait. It begins cold.
    ///
    /// # Errors
    /// [`QuotaError::NoWarmUp`] when the rate is zero or unlimited, or the time is zero or longer than 584
    /// years.
    pub fn new(rate: Rate, warm_up: Duration) -> Result<Self, QuotaError> {
        Self::builder(rate, warm_up).build()
    }

    /// Sets all that can be set.
    pub fn builder(rate: Rate, warm_up: Duration) -> WarmUpBuilder {
        WarmUpBuilder::new(rate, warm_up)
    }

    /// Takes `n` cells now, all or none, without overtaking those who wait.
    ///
    /// # Errors
    /// As [`RateLimiter::try_acquire`](crate::RateLimiter::try_acquire). Too large is what is more than would
    /// be given out in the time of warming up at the full rate.
    pub fn try_acquire(&self, n: u64) -> Result<Grant, Denied> {
        self.try_acquire_at(self.line.clock().now(), n)
    }

    /// [`try_acquire`](WarmUp::try_acquire) without a look at the clock.
    ///
    /// A `now` that lies before an earlier one stores nothing.
    ///
    /// # Errors
    /// As `try_acquire`.
    pub fn try_acquire_at(&self, now: Instant, n: u64) -> Result<Grant, Denied> {
        self.line.try_acquire_at(now, n)
    }

    /// Takes `n` cells, and waits for its turn.
    ///
    /// # Waiting
    /// First come, first served.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was taken, and the next in the queue has its turn.
    ///
    /// # Errors
    /// As [`RateLimiter::acquire`](crate::RateLimiter::acquire).
    pub fn acquire(&self, n: u64) -> AcquireCells<'_, Self> {
        AcquireCells::new(self, Waiting::new(n))
    }

    /// [`acquire`](WarmUp::acquire), if its turn comes by then, with all who wait already served.
    ///
    /// # Waiting
    /// As `acquire`.
    ///
    /// # Cancel safety
    /// As `acquire`.
    ///
    /// # Errors
    /// [`Denied::WouldMissDeadline`], and those of `acquire`.
    ///
    /// # Panics
    /// With debug assertions, when `deadline` comes from another clock.
    pub fn acquire_by(&self, n: u64, deadline: Instant) -> AcquireCells<'_, Self> {
        AcquireCells::new(self, Waiting::new(n).by(deadline))
    }

    /// From now on another rate, or another time of warming up. It stays as cold as it is, and what is still
    /// to be waited for has the new price of a warm cell. Those who wait are timed anew at once; whoever it
    /// makes wait for too long, or for too much, hears it at once.
    ///
    /// # Errors
    /// As [`new`](WarmUp::new); then nothing has changed.
    pub fn set_rate(&self, rate: Rate, warm_up: Duration) -> Result<(), QuotaError> {
        let now = self.line.clock().now();
        // Looked at before anybody who waits is held up.
        let terms = Curve::terms(rate, warm_up)?;
        self.line.change(now, |curve| curve.set(now, terms));
        Ok(())
    }

    /// The rate when it is warm.
    pub fn rate(&self) -> Rate {
        self.line.source.rate()
    }

    /// Admits nobody any more: everybody who waits or asks hears [`Denied::Closed`].
    pub fn close(&self) {
        self.line.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.line.is_closed()
    }

    /// What it looks like now.
    pub fn stats(&self) -> LimiterStats {
        self.line.stats()
    }

    /// The clock whose time counts.
    pub fn clock(&self) -> &Clock {
        self.line.clock()
    }
}

impl Limit for WarmUp {
    fn clock(&self) -> &Clock {
        self.line.clock()
    }

    fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied> {
        self.line.try_acquire_at(now, cost)
    }

    fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
        // Whoever takes leaves nothing: the next one waits, however much it was.
        self.line.peek_at(now, cost).map(|left| if cost == 0 { left } else { 0 })
    }

    fn poll_acquire(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        self.line.poll(waiting, cx)
    }

    fn cancel(&self, waiting: &mut Waiting) {
        self.line.cancel(waiting);
    }

    fn release(&self, grant: Grant, outcome: Outcome) {
        if outcome == Outcome::Unused {
            self.line.give_back(grant.cost());
        }
    }
}

impl fmt::Debug for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmUp")
            .field("rate", &format_args!("{}", self.rate()))
            .field("waiting", &self.line.waiting().0)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
