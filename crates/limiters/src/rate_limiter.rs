//! [`RateLimiter`]: so many cells in so long a time, exactly.

mod acquire;
mod builder;
mod estimate;
mod lease;
mod reservation;
mod source;

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use crate::credit::Credit;
use crate::line::Line;
use crate::{Denied, Grant, Keep, Limit, LimiterStats, Outcome, Quota, Waiting};

pub use acquire::AcquireCells;
pub use builder::RateLimiterBuilder;
pub use estimate::Estimate;
pub use lease::{AcquireLeased, Lease};
pub use reservation::Reservation;

/// Admits so many cells in so long a time: in any time `W` at most `burst + rate * W`.
///
/// Counting is exact for any rate, so nothing drifts, and a refusal is one only if the quota says so. Cells
/// are counted in 65,536ths, so what is there may be off by one of these, and never by more. An admission is
/// one atomic exchange; a refusal writes nothing. Waiting is first come, first served, with one timer for all
/// who wait. The quota may be changed at any time.
///
/// # Examples
/// ```
/// use weirs_limiters::{Denied, Quota, Rate, RateLimiter};
/// use weirs_runtime::block_on;
///
/// // A thousand a second, two at once.
/// let limiter = RateLimiter::new(Quota::new(Rate::per_second(1_000), 2).unwrap());
/// limiter.try_acquire(2).unwrap();
/// assert!(matches!(limiter.try_acquire(1), Err(Denied::Later { .. })));
/// block_on(async {
///     for _ in 0..3 {
///         limiter.acquire(1).await.unwrap();
///     }
/// });
/// ```
pub struct RateLimiter {
    line: Line<Credit>,
}

impl RateLimiter {
    /// A limiter that begins full, in real time, with room for 1024 who wait.
    pub fn new(quota: Quota) -> Self {
        Self::builder(quota).build()
    }

    /// Sets all that can be set.
    pub fn builder(quota: Quota) -> RateLimiterBuilder {
        RateLimiterBuilder::new(quota)
    }

    /// Takes `n` cells now, all or none, without overtaking those who wait.
    ///
    /// # Errors
    /// [`Denied::Later`] says when it is worth asking again, [`Denied::TooLarge`] that it never is: `n` is
    /// above the burst. [`Denied::Closed`]. Nothing was taken.
    #[inline]
    pub fn try_acquire(&self, n: u64) -> Result<Grant, Denied> {
        self.line.try_acquire_at(self.line.clock().now(), n)
    }

    /// [`try_acquire`](RateLimiter::try_acquire) without a look at the clock.
    ///
    /// A `now` that lies before an earlier one generates nothing.
    ///
    /// # Errors
    /// As `try_acquire`.
    #[inline]
    pub fn try_acquire_at(&self, now: Instant, n: u64) -> Result<Grant, Denied> {
        self.line.try_acquire_at(now, n)
    }

    /// Takes `n` cells, and waits for them.
    ///
    /// # Waiting
    /// First come, first served: a large request is not overtaken by small ones. Only the first in the queue
    /// has a timer, so a future that is not polled holds up those behind it.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was taken, and the next in the queue has its turn.
    ///
    /// # Errors
    /// At once: [`Denied::TooLarge`], [`Denied::QueueFull`], [`Denied::Closed`], and [`Denied::Later`] when
    /// nobody may wait or nothing is ever given out. While it waits: [`Denied::Closed`], and what a change of
    /// the quota makes impossible.
    pub fn acquire(&self, n: u64) -> AcquireCells<'_> {
        AcquireCells::new(self, Waiting::new(n))
    }

    /// [`acquire`](RateLimiter::acquire), if the cells are there by then, with all who wait already served.
    ///
    /// It is known at the beginning how long the wait is, so nobody waits in vain: only a change of the quota
    /// or a debt can end a wait that began. A timer that is late does not.
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
    pub fn acquire_by(&self, n: u64, deadline: Instant) -> AcquireCells<'_> {
        AcquireCells::new(self, Waiting::new(n).by(deadline))
    }

    /// Takes `n` cells at a time to come, which the reservation tells: for whoever does the waiting himself.
    ///
    /// It comes after all who wait, and all who come later come after it.
    ///
    /// # Errors
    /// [`Denied::WouldMissDeadline`] if it were more than `max_wait` from now; [`Denied::TooLarge`],
    /// [`Denied::Closed`], and [`Denied::Later`] when nothing is ever given out.
    pub fn reserve(&self, n: u64, max_wait: Duration) -> Result<Reservation<'_>, Denied> {
        let now = self.line.clock().now();
        let reserved =
            self.line.reserve(now, n, max_wait, |credit, latest| credit.reserve(now, n, latest))?;
        Ok(Reservation::new(self, now, n, reserved))
    }

    /// Takes `n` cells now for something whose cost is known only afterwards.
    ///
    /// # Errors
    /// As [`try_acquire`](RateLimiter::try_acquire).
    pub fn estimate(&self, n: u64) -> Result<Estimate<'_>, Denied> {
        self.try_acquire(n).map(|grant| Estimate::new(self, grant))
    }

    /// Cells taken `size` at a time, for one thread or task to hand out by itself: see [`Lease`], and
    /// [`Lease::new`] for one that keeps its limiter.
    pub fn lease(&self, size: u64) -> Lease<&Self> {
        Lease::new(self, size)
    }

    /// Puts `n` cells back, or there in the first place; no more than the burst are kept.
    pub fn credit(&self, n: u64) {
        self.line.source.give_back(n);
        self.line.brought();
    }

    /// Takes `n` cells whether or not they are there: a debt, which everybody else waits for.
    pub fn debit(&self, n: u64) {
        let now = self.line.clock().now();
        self.line.source.owe(now, n);
        self.line.owed(now);
    }

    /// From now on another quota. Those who wait are timed anew at once; whom it makes wait for ever, too
    /// long, or for more than the burst, hears it at once.
    pub fn set_quota(&self, quota: Quota, keep: Keep) {
        let now = self.line.clock().now();
        self.line.change(now, |credit| credit.set_quota(quota, keep, now));
    }

    /// The quota.
    pub fn quota(&self) -> Quota {
        self.line.source.quota()
    }

    /// How many cells are there now. Those who wait may want them.
    pub fn available(&self) -> u64 {
        self.line.source.left(self.line.clock().now())
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

impl Limit for RateLimiter {
    fn clock(&self) -> &Clock {
        self.line.clock()
    }

    fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied> {
        self.line.try_acquire_at(now, cost)
    }

    fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
        self.line.peek_at(now, cost)
    }

    fn poll_acquire(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        self.line.poll(waiting, cx)
    }

    fn cancel(&self, waiting: &mut Waiting) {
        self.line.cancel(waiting);
    }

    fn release(&self, grant: Grant, outcome: Outcome) {
        if outcome == Outcome::Unused {
            self.credit(grant.cost());
        }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("quota", &format_args!("{}", self.quota()))
            .field("waiting", &self.line.waiting().0)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
