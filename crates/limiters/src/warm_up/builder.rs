//! [`WarmUpBuilder`]: everything that can be set of a rate that warms up.

use std::time::Duration;

use weirs_runtime::Clock;

use super::{Curve, WarmUp};
use crate::line::{Counts, Line, MAX_WAITERS};
use crate::{QuotaError, Rate};

/// Makes a [`WarmUp`]; made by [`WarmUp::builder`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{Rate, WarmUp};
/// use weirs_runtime::Clock;
///
/// let limiter = WarmUp::builder(Rate::per_second(10), Duration::from_secs(4))
///     .max_waiters(100)
///     .clock(Clock::default())
///     .build()
///     .unwrap();
/// limiter.try_acquire(1).unwrap();
/// assert!(WarmUp::builder(Rate::ZERO, Duration::from_secs(4)).build().is_err());
/// ```
#[derive(Clone, Debug)]
#[must_use = "it makes nothing until `build`"]
pub struct WarmUpBuilder {
    rate: Rate,
    warm_up: Duration,
    max_waiters: usize,
    clock: Option<Clock>,
    counts: bool,
}

impl WarmUpBuilder {
    pub(super) fn new(rate: Rate, warm_up: Duration) -> Self {
        Self { rate, warm_up, max_waiters: MAX_WAITERS, clock: None, counts: false }
    }

    /// How many may wait: 1024 without it. With zero nobody waits, and [`WarmUp::acquire`] fails as
    /// [`WarmUp::try_acquire`] does.
    pub fn max_waiters(mut self, most: usize) -> Self {
        self.max_waiters = most;
        self
    }

    /// The clock whose time counts: real time without it.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Whether [`WarmUp::stats`] tells how often it said what.
    pub fn counted(mut self, counted: bool) -> Self {
        self.counts = counted;
        self
    }

    /// Makes it. It begins cold.
    ///
    /// # Errors
    /// [`QuotaError::NoWarmUp`] when the rate is zero or unlimited, or the time is zero or longer than 584
    /// years.
    pub fn build(self) -> Result<WarmUp, QuotaError> {
        let clock = self.clock.unwrap_or_default();
        let curve = Curve::new(self.rate, self.warm_up, clock.now())?;
        Ok(WarmUp { line: Line::new(curve, clock, self.max_waiters, Counts::new(self.counts)) })
    }
}
