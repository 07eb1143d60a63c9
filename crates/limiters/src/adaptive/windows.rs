//! [`Windows`]: makes windows out of single samples.

use std::time::Duration;

use weirs_runtime::Instant;

use super::Window;
use super::histogram::Histogram;
use crate::Outcome;

/// A window that is not full after so many times its length is begun anew: its first samples are stale.
const STALE: u32 = 10;

/// Gathers samples until there are enough for a [`Window`].
///
/// A window is full when it has lasted long enough and has enough samples. It has no clock: time is what it
/// is told.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{Aimd, LimitAlgorithm, Outcome, Windows};
/// use weirs_runtime::Instant;
///
/// let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
/// let mut windows = Windows::new(Duration::from_secs(1), 3);
/// windows.record(at(10), Outcome::Success, Duration::from_millis(5), 7);
/// windows.record(at(600), Outcome::Overload, Duration::from_millis(1), 9);
/// assert!(!windows.is_full(at(600)));
/// windows.record(at(1_010), Outcome::Success, Duration::from_millis(7), 8);
/// assert!(windows.is_full(at(1_010)));
///
/// let window = windows.take(at(1_010), 10.0);
/// assert_eq!((window.successes, window.overloads, window.in_flight), (2, 1, 9));
/// assert_eq!(window.mean, Duration::from_millis(6));
/// assert_eq!(Aimd::new(Duration::from_millis(100)).on_window(&window), 9.0);
/// ```
#[derive(Debug)]
pub struct Windows {
    length: Duration,
    samples: u64,
    began: Option<Instant>,
    in_flight: u64,
    overloads: u64,
    /// In nanoseconds: 2^64 samples of 2^64 nanoseconds fit.
    sum: u128,
    min: u64,
    latencies: Box<Histogram>,
}

impl Windows {
    /// Windows that last so long at least, and have so many samples at least.
    pub fn new(length: Duration, samples: u64) -> Self {
        Self {
            length,
            samples: samples.max(1),
            began: None,
            in_flight: 0,
            overloads: 0,
            sum: 0,
            min: u64::MAX,
            latencies: Box::default(),
        }
    }

    /// Something ended now, so long after it was admitted; `in_flight` were there, itself among them.
    pub fn record(&mut self, now: Instant, outcome: Outcome, latency: Duration, in_flight: u64) {
        let began = *self.began.get_or_insert(now);
        if now.saturating_since(began) > self.length.saturating_mul(STALE) {
            self.clear();
            self.began = Some(now);
        }
        self.in_flight = self.in_flight.max(in_flight);
        match outcome {
            Outcome::Success => {
                let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
                self.sum += u128::from(nanos);
                self.min = self.min.min(nanos);
                self.latencies.add(nanos);
            }
            Outcome::Overload => self.overloads += 1,
            Outcome::Ignore | Outcome::Unused => {}
        }
    }

    /// Whether there are enough for a window.
    pub fn is_full(&self, now: Instant) -> bool {
        let long_enough = self.began.is_some_and(|began| now.saturating_since(began) >= self.length);
        long_enough && self.latencies.count() + self.overloads >= self.samples
    }

    /// The window as it is, full or not; the next one is begun by the next sample.
    pub fn take(&mut self, now: Instant, limit: f64) -> Window {
        let successes = self.latencies.count();
        let none = successes == 0;
        let window = Window {
            limit,
            in_flight: self.in_flight,
            successes,
            overloads: self.overloads,
            mean: nanos(self.sum.checked_div(u128::from(successes)).unwrap_or(0) as u64),
            min: nanos(if none { 0 } else { self.min }),
            median: nanos(self.latencies.quantile(0.5)),
            p90: nanos(self.latencies.quantile(0.9)),
            length: self.began.map_or(Duration::ZERO, |began| now.saturating_since(began)),
            chance: 0.5,
        };
        self.clear();
        window
    }

    fn clear(&mut self) {
        self.began = None;
        (self.in_flight, self.overloads, self.sum, self.min) = (0, 0, 0, u64::MAX);
        self.latencies.clear();
    }
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}
