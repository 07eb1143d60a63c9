//! [`LimitAlgorithm`]: how a limit is learned, and [`Window`]: what it is learned from.

use std::time::Duration;

/// Learns a limit from what was measured, window by window.
///
/// It is a state machine without a clock: whoever calls it says what happened. [`Windows`](super::Windows)
/// makes windows out of single samples; [`AdaptiveLimiter`](super::AdaptiveLimiter) does all of it.
///
/// # Examples
/// A limit that is halved when anything was refused further on:
/// ```
/// use weirs_limiters::{AdaptiveLimiter, LimitAlgorithm, Window};
///
/// #[derive(Debug)]
/// struct Halving;
///
/// impl LimitAlgorithm for Halving {
///     fn on_window(&mut self, window: &Window) -> f64 {
///         match window.overloads {
///             0 if window.is_used() => window.limit + 1.0,
///             0 => window.limit,
///             _ => window.limit / 2.0,
///         }
///     }
/// }
///
/// let limiter = AdaptiveLimiter::builder().initial_limit(8).algorithm(Halving).build();
/// assert_eq!(limiter.limit(), 8);
/// ```
pub trait LimitAlgorithm: Send {
    /// The limit from now on. It need not be whole: the limiter rounds down for whoever asks and gives back
    /// the exact number with the next window. It also keeps its own minimum and maximum. What is not a number
    /// changes nothing.
    fn on_window(&mut self, window: &Window) -> f64;
}

impl<A: LimitAlgorithm + ?Sized> LimitAlgorithm for Box<A> {
    fn on_window(&mut self, window: &Window) -> f64 {
        (**self).on_window(window)
    }
}

/// What was measured in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Window {
    /// The limit that was in force.
    pub limit: f64,
    /// The most that were in flight at once.
    pub in_flight: u64,
    /// How many were done. Only these have a latency.
    pub successes: u64,
    /// How many failed in a way that speaks of overload. They are in no latency: a refusal is quick.
    pub overloads: u64,
    /// The mean latency.
    pub mean: Duration,
    /// The smallest latency.
    pub min: Duration,
    /// Half of them were faster than this.
    pub median: Duration,
    /// Nine of ten were faster than this.
    pub p90: Duration,
    /// How long the window was.
    pub length: Duration,
    /// A random number in `0.0..1.0`, for whatever is not to be done by a whole fleet at once.
    pub chance: f64,
}

impl Window {
    /// Whether at least half of the limit was used. A limit that is not used says nothing, and must not grow.
    pub fn is_used(&self) -> bool {
        self.in_flight as f64 * 2.0 >= self.limit
    }

    /// Whether the limit was reached.
    pub fn is_full(&self) -> bool {
        self.in_flight as f64 >= self.limit.floor()
    }

    /// How many were done in a second.
    pub fn throughput(&self) -> f64 {
        match self.length.is_zero() {
            true => 0.0,
            false => self.successes as f64 / self.length.as_secs_f64(),
        }
    }
}

/// The step of the Vegas family: one, or the digits of the limit less one.
pub(super) fn step(limit: f64) -> f64 {
    limit.max(1.0).log10().floor().max(1.0)
}
