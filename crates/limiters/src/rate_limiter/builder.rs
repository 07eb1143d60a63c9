//! [`RateLimiterBuilder`]: everything that can be set of a rate limiter.

use weirs_runtime::Clock;

use super::RateLimiter;
use crate::Quota;
use crate::credit::Credit;
use crate::line::{Counts, Line, MAX_WAITERS};

/// Makes a [`RateLimiter`]; made by [`RateLimiter::builder`].
///
/// # Examples
/// ```
/// use weirs_limiters::{Quota, Rate, RateLimiter};
/// use weirs_runtime::Clock;
///
/// let limiter = RateLimiter::builder(Quota::new(Rate::per_minute(60), 10).unwrap())
///     .initial(0)
///     .max_waiters(100)
///     .clock(Clock::default())
///     .build();
/// assert!(limiter.try_acquire(1).is_err());
/// ```
#[derive(Clone, Debug)]
#[must_use = "it makes nothing until `build`"]
pub struct RateLimiterBuilder {
    quota: Quota,
    initial: u64,
    max_waiters: usize,
    clock: Option<Clock>,
    counts: bool,
}

impl RateLimiterBuilder {
    pub(super) fn new(quota: Quota) -> Self {
        let initial = quota.burst();
        Self { quota, initial, max_waiters: MAX_WAITERS, clock: None, counts: false }
    }

    /// How many cells are there at the beginning, at most the burst. Without it the limiter begins full.
    pub fn initial(mut self, cells: u64) -> Self {
        self.initial = cells;
        self
    }

    /// How many may wait: 1024 without it. With zero nobody waits, and [`RateLimiter::acquire`] fails as
    /// [`RateLimiter::try_acquire`] does.
    pub fn max_waiters(mut self, most: usize) -> Self {
        self.max_waiters = most;
        self
    }

    /// The clock whose time counts: real time without it.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Whether [`RateLimiter::stats`] tells how often it said what. Each answer then writes a counter, a
    /// refusal too.
    pub fn counted(mut self, counted: bool) -> Self {
        self.counts = counted;
        self
    }

    /// Makes it.
    pub fn build(self) -> RateLimiter {
        let clock = self.clock.unwrap_or_default();
        let credit = Credit::new(self.quota, self.initial, clock.now());
        RateLimiter { line: Line::new(credit, clock, self.max_waiters, Counts::new(self.counts)) }
    }
}
