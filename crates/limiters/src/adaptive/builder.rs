//! [`AdaptiveLimiterBuilder`]: everything that can be set of an adaptive limiter.

use std::time::Duration;

use weirs_runtime::Clock;

use super::{AdaptiveLimiter, CorrelatedVegas, LimitAlgorithm, Windows};
use crate::{Mode, Semaphore};

/// Makes an [`AdaptiveLimiter`]; made by [`AdaptiveLimiter::builder`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{AdaptiveLimiter, Aimd};
///
/// let limiter = AdaptiveLimiter::builder()
///     .limits(4..=200)
///     .initial_limit(16)
///     .window(Duration::from_millis(100), 5)
///     .algorithm(Aimd::new(Duration::from_millis(250)))
///     .build();
/// assert_eq!(limiter.limit(), 16);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it makes nothing until `build`"]
pub struct AdaptiveLimiterBuilder<A = CorrelatedVegas> {
    algorithm: A,
    min: u64,
    max: u64,
    initial: u64,
    length: Duration,
    samples: u64,
    max_waiters: Option<usize>,
    mode: Mode,
    clock: Option<Clock>,
    counts: bool,
}

impl AdaptiveLimiterBuilder {
    pub(super) fn new() -> Self {
        Self {
            algorithm: CorrelatedVegas::new(),
            min: 1,
            max: 1000,
            initial: 20,
            length: Duration::from_secs(1),
            samples: 10,
            max_waiters: None,
            mode: Mode::Fair,
            clock: None,
            counts: false,
        }
    }
}

impl<A: LimitAlgorithm> AdaptiveLimiterBuilder<A> {
    /// How the limit is learned: [`CorrelatedVegas`] without it.
    pub fn algorithm<B: LimitAlgorithm>(self, algorithm: B) -> AdaptiveLimiterBuilder<B> {
        AdaptiveLimiterBuilder {
            algorithm,
            min: self.min,
            max: self.max,
            initial: self.initial,
            length: self.length,
            samples: self.samples,
            max_waiters: self.max_waiters,
            mode: self.mode,
            clock: self.clock,
            counts: self.counts,
        }
    }

    /// The smallest and the largest limit: 1 and 1000 without it.
    ///
    /// # Panics
    /// When the smallest is zero, or above the largest, or the largest is above
    /// [`Semaphore::MAX_CAPACITY`].
    #[track_caller]
    pub fn limits(mut self, limits: std::ops::RangeInclusive<u64>) -> Self {
        let (min, max) = limits.into_inner();
        assert!(min > 0, "with a limit of zero nothing is ever learned");
        assert!(min <= max && max <= Semaphore::MAX_CAPACITY, "there is no limit between {min} and {max}");
        (self.min, self.max) = (min, max);
        self
    }

    /// The limit to begin with: 20 without it. It is brought between the smallest and the largest.
    pub fn initial_limit(mut self, limit: u64) -> Self {
        self.initial = limit;
        self
    }

    /// For how long at least, and how many samples at least, one learns before the limit changes: one second
    /// and ten without it.
    pub fn window(mut self, length: Duration, samples: u64) -> Self {
        (self.length, self.samples) = (length, samples);
        self
    }

    /// How many may wait: 1024 without it. With zero nobody waits.
    pub fn max_waiters(mut self, most: usize) -> Self {
        self.max_waiters = Some(most);
        self
    }

    /// Who is next of those who wait: [`Mode::Fair`] without it.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The clock by which latencies are measured: real time without it.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Whether [`AdaptiveLimiter::stats`] tells how often it said what, and for how long somebody has waited.
    pub fn counted(mut self, counted: bool) -> Self {
        self.counts = counted;
        self
    }

    /// Makes it.
    pub fn build(self) -> AdaptiveLimiter<A> {
        let initial = self.initial.clamp(self.min, self.max);
        let mut semaphore = Semaphore::builder(initial).mode(self.mode).clock(self.clock.unwrap_or_default());
        if let Some(most) = self.max_waiters {
            semaphore = semaphore.max_waiters(most);
        }
        let semaphore = semaphore.counted(self.counts);
        let windows = Windows::new(self.length, self.samples);
        AdaptiveLimiter::from_parts(semaphore.build(), windows, self.algorithm, (self.min, self.max))
    }
}
