//! [`Settings`]: everything that a breaker decides by, as plain data, and what of it makes sense.

use std::time::Duration;

use super::window::Counts;
use crate::Invalid;
use crate::attempt::nanos;

/// How long a circuit stays open.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Breaker, OpenFor};
///
/// let seconds = Duration::from_secs;
/// let growing = OpenFor::exponential(seconds(5)).factor(3.0).cap(seconds(120)).jitter(0.2);
/// let breaker = Breaker::consecutive(5).open_for(growing).build().unwrap();
/// # let _ = breaker;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "it is nothing until a breaker has it"]
pub struct OpenFor {
    base: u64,
    factor: f64,
    cap: u64,
    jitter: f64,
}

impl OpenFor {
    /// Always so long.
    pub const fn fixed(time: Duration) -> Self {
        Self { base: nanos(time), factor: 1.0, cap: nanos(time), jitter: 0.0 }
    }

    /// So long at first, and twice as long each time that it opens again before it was closed for a while; up
    /// to 60 times as long.
    pub const fn exponential(base: Duration) -> Self {
        let base = nanos(base);
        Self { base, factor: 2.0, cap: base.saturating_mul(60), jitter: 0.0 }
    }

    /// By how much it grows: at least 1.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The longest time, jitter included.
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = nanos(cap);
        self
    }

    /// By which part it is longer or shorter by chance: between 0 and 1.
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// The time after so many openings in a row; `draw` is a number between 0 and 1.
    pub(super) fn span(&self, before: u32, draw: f64) -> u64 {
        if self.factor == 1.0 && self.jitter == 0.0 {
            return self.base;
        }
        let grown = self.base as f64 * self.factor.powi(before.min(1_000) as i32);
        let moved = grown.min(self.cap as f64) * (1.0 - self.jitter + 2.0 * self.jitter * draw);
        // A float that is too large for it becomes the largest integer.
        (moved as u64).clamp(1, self.cap)
    }

    pub(super) fn is_by_chance(&self) -> bool {
        self.jitter > 0.0
    }

    fn check(&self) -> Result<(), Invalid> {
        if self.base == 0 {
            return Err(Invalid::new("breaker.open_for", "no time at all; it would never refuse a call"));
        }
        if !(self.factor >= 1.0 && self.factor.is_finite()) {
            return Err(Invalid::new("breaker.open_for.factor", "it is at least 1, and finite"));
        }
        if self.cap < self.base {
            return Err(Invalid::new("breaker.open_for.cap", "below the time at first"));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(Invalid::new("breaker.open_for.jitter", "it lies between 0 and 1"));
        }
        Ok(())
    }
}

impl From<Duration> for OpenFor {
    fn from(time: Duration) -> Self {
        Self::fixed(time)
    }
}

/// What a call counts as that was dropped before it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Abandoned {
    /// A failure if it had run for as long as a slow call; nothing if it was younger. So a server that hangs
    /// opens the circuit though the limit of time stands outside, and callers who lose interest do not.
    #[default]
    ByAge,
    /// Nothing.
    Ignored,
    /// A failure.
    Failure,
}

/// Over what rates are reckoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// So many calls, the last ones.
    Calls(u32),
    /// The last so many nanoseconds, in so many buckets.
    Time { length: u64, buckets: u32 },
}

impl Span {
    /// What is in one bucket, at least a nanosecond.
    pub(super) fn bucket(length: u64, buckets: u32) -> u64 {
        (length / u64::from(buckets.max(1))).max(1)
    }
}

/// All settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) consecutive: Option<u32>,
    pub(super) failure_rate: Option<f64>,
    pub(super) slow_rate: Option<f64>,
    pub(super) failures: Option<u32>,
    pub(super) span: Option<Span>,
    pub(super) min_calls: Option<u32>,
    pub(super) slow_after: u64,
    pub(super) probes: u32,
    pub(super) needed: Option<u32>,
    pub(super) lease: Option<u64>,
    pub(super) pace: Option<u64>,
    pub(super) open_for: OpenFor,
    pub(super) heed: Option<u64>,
    pub(super) abandoned: Abandoned,
}

impl Settings {
    pub(super) const MAX_CALLS: u32 = 1 << 20;
    pub(super) const MAX_BUCKETS: u32 = 1 << 10;
    pub(super) const MAX_PROBES: u32 = 255;

    pub(super) const fn new() -> Self {
        Self {
            consecutive: None,
            failure_rate: None,
            slow_rate: None,
            failures: None,
            span: None,
            min_calls: None,
            slow_after: 1_000_000_000,
            probes: 1,
            needed: None,
            lease: None,
            pace: None,
            open_for: OpenFor::fixed(Duration::from_secs(5)),
            heed: None,
            abandoned: Abandoned::ByAge,
        }
    }

    fn has_rates(&self) -> bool {
        self.failure_rate.is_some() || self.slow_rate.is_some()
    }

    /// The window, if a rule looks at one.
    pub(super) fn window(&self) -> Option<Span> {
        let looks = self.has_rates() || self.failures.is_some();
        looks.then(|| self.span.unwrap_or(Span::Calls(100)))
    }

    /// How many calls it takes before a rate means anything.
    pub(super) fn min_calls(&self) -> u64 {
        let most = match self.window() {
            Some(Span::Calls(calls)) => calls,
            _ => u32::MAX,
        };
        u64::from(self.min_calls.unwrap_or(10.min(most)))
    }

    pub(super) fn needed(&self) -> u32 {
        self.needed.unwrap_or(self.probes)
    }

    pub(super) fn lease(&self) -> u64 {
        self.lease.unwrap_or(self.open_for.base.max(self.slow_after.saturating_mul(2)))
    }

    pub(super) fn pace(&self) -> u64 {
        self.pace.unwrap_or(self.open_for.base / 8)
    }

    /// Whether slow calls count at all.
    pub(super) fn times_calls(&self) -> bool {
        self.slow_rate.is_some()
    }

    /// Whether a window with this in it opens the circuit.
    pub(super) fn trips(&self, counts: Counts) -> bool {
        let over = |part: u64, rate: Option<f64>| {
            rate.is_some_and(|rate| part as f64 >= rate * counts.calls as f64 && part > 0)
        };
        self.failures.is_some_and(|most| counts.failures >= u64::from(most))
            || counts.calls >= self.min_calls()
                && (over(counts.failures, self.failure_rate) || over(counts.slow, self.slow_rate))
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        let rate = |field, rate: Option<f64>| match rate {
            Some(rate) if !(rate > 0.0 && rate <= 1.0) => {
                Err(Invalid::new(field, "a rate is above 0, and 1 at most"))
            }
            _ => Ok(()),
        };
        if self.consecutive.is_none() && self.window().is_none() {
            return Err(Invalid::new("breaker.trips", "no rule says when it opens"));
        }
        if self.consecutive == Some(0) {
            return Err(Invalid::new("breaker.consecutive_failures", "it would be open before any failed"));
        }
        rate("breaker.failure_rate", self.failure_rate)?;
        rate("breaker.slow_rate", self.slow_rate)?;
        self.check_window()?;
        if self.slow_after == 0 {
            return Err(Invalid::new("breaker.slow_after", "every call would be slow"));
        }
        if self.probes == 0 || self.probes > Self::MAX_PROBES {
            return Err(Invalid::new("breaker.probes", "it is between 1 and 255"));
        }
        if self.needed() == 0 {
            return Err(Invalid::new("breaker.successes_needed", "it would close before any call went well"));
        }
        if self.needed() > self.probes {
            return Err(Invalid::new("breaker.successes_needed", "more than there are probes"));
        }
        if self.lease == Some(0) {
            return Err(Invalid::new("breaker.lease", "every probe would be lost at once"));
        }
        if self.heed == Some(0) {
            return Err(Invalid::new("breaker.heed_retry_after", "no time at all"));
        }
        self.open_for.check()
    }

    fn check_window(&self) -> Result<(), Invalid> {
        match self.span {
            Some(Span::Calls(calls)) if calls == 0 || calls > Self::MAX_CALLS => {
                return Err(Invalid::new("breaker.window", "it holds between 1 and 1048576 calls"));
            }
            Some(Span::Time { length: 0, .. }) => {
                return Err(Invalid::new("breaker.window", "no time at all"));
            }
            Some(Span::Time { length, buckets })
                if buckets == 0 || buckets > Self::MAX_BUCKETS || u64::from(buckets) > length =>
            {
                return Err(Invalid::new("breaker.window", "it has between 1 and 1024 buckets"));
            }
            _ => {}
        }
        if self.min_calls == Some(0) {
            return Err(Invalid::new("breaker.min_calls", "it is at least 1"));
        }
        if self.failures == Some(0) {
            return Err(Invalid::new("breaker.failures", "it would be open before any failed"));
        }
        if let Some(Span::Calls(calls)) = self.window() {
            if self.min_calls.is_some_and(|least| least > calls) {
                return Err(Invalid::new("breaker.min_calls", "more than the window holds"));
            }
            if self.failures.is_some_and(|most| most > calls) {
                return Err(Invalid::new("breaker.failures", "more than the window holds"));
            }
        }
        Ok(())
    }
}
