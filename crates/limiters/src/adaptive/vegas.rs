//! [`Vegas`]: keeps the server's queue short.

use super::algorithm::step;
use super::{LimitAlgorithm, Window};

/// Reckons from the smallest mean latency it knows how many of those in flight stand in the server's queue,
/// and keeps that between three and six.
///
/// The smallest latency is looked for anew after thirty windows for each one of the limit, at odd times. It
/// is known to be too careful at low load, where the least of many means is lower than the usual one: see
/// [`CorrelatedVegas`](super::CorrelatedVegas).
#[derive(Clone, Debug, Default)]
pub struct Vegas {
    /// In seconds. None until the first window, and when it is time to look anew.
    least: Option<f64>,
    windows: f64,
    /// Between a half and one.
    jitter: f64,
}

impl Vegas {
    /// It begins with nothing known.
    pub fn new() -> Self {
        Self { least: None, windows: 0.0, jitter: 0.0 }
    }
}

impl LimitAlgorithm for Vegas {
    fn on_window(&mut self, window: &Window) -> f64 {
        let limit = window.limit;
        let step = step(limit);
        if window.successes == 0 {
            return if window.overloads > 0 { limit - step } else { limit };
        }
        let latency = window.mean.as_secs_f64();
        if self.jitter == 0.0 {
            // Not all that begin at once probe at once.
            self.jitter = 0.5 + window.chance / 2.0;
        }
        self.windows += 1.0;
        if self.windows >= 30.0 * limit * self.jitter {
            (self.windows, self.jitter) = (0.0, 0.5 + window.chance / 2.0);
            self.least = None;
        }
        let least = match self.least {
            Some(least) if least <= latency => least,
            _ => {
                self.least = Some(latency);
                return limit;
            }
        };
        let queued = (limit * (1.0 - least / latency)).ceil();
        if window.overloads > 0 {
            limit - step
        } else if !window.is_used() {
            limit
        } else if queued <= step {
            limit + 6.0 * step
        } else if queued < 3.0 * step {
            limit + step
        } else if queued > 6.0 * step {
            limit - step
        } else {
            limit
        }
    }
}
