//! [`Gradient2`]: follows the ratio of two means of the latency.

use super::{LimitAlgorithm, Window};

/// So many windows are in the long mean.
const LONG: f64 = 600.0;
/// So many windows are averaged plainly at first.
const FIRST: u32 = 10;

/// Compares the latency with its mean over ten minutes, and shrinks the limit in that ratio when it is more
/// than half as much again.
///
/// As it was published it creeps: under a steady overload the long mean follows the latency, and the limit
/// follows the mean, without end. So here the limit grows only while the latency is not above the mean's
/// bound, and the mean does not rise while the limit is full: what is measured then is our own queue. But
/// when half the limit does not make the latency better, it is no queue, and the mean begins anew.
/// [`as_published`](Self::as_published) has none of this.
#[derive(Clone, Debug)]
pub struct Gradient2 {
    long: f64,
    windows: u32,
    gated: bool,
    /// The limit and the latency when the limit began to shrink.
    shrinks: Option<(f64, f64)>,
}

impl Gradient2 {
    /// It begins with nothing known.
    pub fn new() -> Self {
        Self { long: 0.0, windows: 0, gated: true, shrinks: None }
    }

    /// Without the gate: it creeps. To compare with.
    pub fn as_published() -> Self {
        Self { gated: false, ..Self::new() }
    }
}

impl Gradient2 {
    /// Whether shrinking helps.
    fn watch(&mut self, limit: f64, short: f64, gradient: f64) {
        match self.shrinks {
            _ if gradient == 1.0 => self.shrinks = None,
            Some((from, latency)) if limit <= from / 2.0 => {
                if short > 0.75 * latency {
                    self.long = short;
                }
                self.shrinks = Some((limit, short));
            }
            Some(_) => {}
            None => self.shrinks = Some((limit, short)),
        }
    }
}

impl Default for Gradient2 {
    fn default() -> Self {
        Self::new()
    }
}

impl LimitAlgorithm for Gradient2 {
    fn on_window(&mut self, window: &Window) -> f64 {
        let limit = window.limit;
        if window.successes == 0 {
            return if window.overloads > 0 { limit * 0.9 } else { limit };
        }
        let short = window.mean.as_secs_f64().max(1e-9);
        if self.windows < FIRST {
            self.windows += 1;
            self.long += (short - self.long) / f64::from(self.windows);
        } else if !(self.gated && window.is_full() && short > self.long) {
            self.long += (short - self.long) * 2.0 / (LONG + 1.0);
        }
        if self.long > 2.0 * short {
            self.long *= 0.95;
        }
        if !window.is_used() {
            return limit;
        }
        let gradient = (1.5 * self.long / short).clamp(0.5, 1.0);
        if self.gated {
            self.watch(limit, short, gradient);
        }
        let growth = if self.gated && gradient < 1.0 { 0.0 } else { 4.0 };
        0.8 * limit + 0.2 * (limit * gradient + growth)
    }
}
