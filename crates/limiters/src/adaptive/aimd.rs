//! [`Aimd`]: one more when all is well, a tenth less when not.

use std::time::Duration;

use super::{LimitAlgorithm, Window};

/// Adds one in a window that went well and used the limit; takes a tenth away in one with an overload, or
/// with a mean latency above the bound.
///
/// Use it where the server says itself when it is overloaded, or a latency is known that is too much. It
/// needs windows that are short against the time in which the load changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aimd {
    too_slow: Duration,
}

impl Aimd {
    /// With the mean latency that counts as an overload.
    pub const fn new(too_slow: Duration) -> Self {
        Self { too_slow }
    }
}

impl LimitAlgorithm for Aimd {
    fn on_window(&mut self, window: &Window) -> f64 {
        if window.overloads > 0 || window.mean > self.too_slow {
            window.limit * 0.9
        } else if window.is_used() {
            window.limit + 1.0
        } else {
            window.limit
        }
    }
}
