//! [`CorrelatedVegas`]: the default.

use super::algorithm::step;
use super::{LimitAlgorithm, Window};

/// The median of so many windows is looked at.
const RECENT: usize = 5;
/// So many windows are correlated, if there are [`ENOUGH`].
const HISTORY: usize = 30;
const ENOUGH: usize = 10;
/// So many times what is in flight is the most that the limit may be.
const HEADROOM: f64 = 5.0;
/// The share of overloads above which the limit shrinks, whatever the latency says.
const TOO_MANY: f64 = 0.05;

/// Vegas that looks twice.
///
/// - It measures the ninetieth percentile, takes the median of five windows, and compares that with a baseline
///   which is a moving average.
/// - The baseline falls quickly. While the limit is full it does not rise with the latency, because that may be
///   our own queue; unless those in flight and the throughput rise and fall together and the latency does not:
///   then the server itself is slower than it was. So a long incident does not become the new normal.
/// - When the limit is full, and the latency follows those in flight while the throughput does not, the limit is
///   too large, whatever the baseline says.
/// - The limit is at most five times what is in flight, so a quiet time does not leave a limit that lets the
///   next flood in.
///
/// It does not grow when less than half of the limit was used.
#[derive(Clone, Debug, Default)]
pub struct CorrelatedVegas {
    recent: Ring<f64, RECENT>,
    history: Ring<Point, HISTORY>,
    baseline: Option<f64>,
    windows: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    in_flight: f64,
    throughput: f64,
    latency: f64,
}

impl CorrelatedVegas {
    /// It begins with nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the latency is when there is no queue, as far as it knows, in seconds.
    pub fn baseline(&self) -> Option<f64> {
        self.baseline
    }
}

impl LimitAlgorithm for CorrelatedVegas {
    fn on_window(&mut self, window: &Window) -> f64 {
        let limit = window.limit;
        let all = window.successes + window.overloads;
        if all == 0 {
            return limit;
        }
        let refused = window.overloads as f64 > TOO_MANY * all as f64;
        if window.successes == 0 {
            return limit * 0.9;
        }
        self.recent.push(window.p90.as_secs_f64().max(1e-9));
        let latency = median(&self.recent);
        self.history.push(Point {
            in_flight: window.in_flight as f64,
            throughput: window.throughput(),
            latency,
        });
        let seen = Seen::of(&self.history);
        let baseline = self.learn(latency, window.is_full(), &seen);

        let queued = (limit * (1.0 - baseline / latency)).ceil();
        let step = step(limit);
        let most = (HEADROOM * window.in_flight as f64).max(1.0);
        if refused {
            limit * 0.9
        } else if limit > most || queued > 6.0 * step || (window.is_full() && seen.queue_grows()) {
            limit - step
        } else if queued < 3.0 * step && window.is_used() && window.overloads == 0 {
            (limit + step).min(most)
        } else {
            limit
        }
    }
}

impl CorrelatedVegas {
    fn learn(&mut self, latency: f64, full: bool, seen: &Seen) -> f64 {
        self.windows = self.windows.saturating_add(1);
        let age = match self.baseline {
            None => 1.0,
            // A plain mean at first.
            Some(_) if self.windows <= ENOUGH as u32 => f64::from(self.windows),
            Some(baseline) if latency <= baseline => 5.5,
            Some(_) if full && seen.server_is_slower() => 5.5,
            // So slow that the other guard sees the growth long before it counts.
            Some(_) if full => 2_000.0,
            Some(_) => 30.0,
        };
        let old = self.baseline.unwrap_or(0.0);
        *self.baseline.insert(old + (latency - old) / age)
    }
}

/// What goes with what.
struct Seen {
    throughput: f64,
    latency: f64,
    /// The deviation of the throughput, as a share of it.
    spread: f64,
    enough: bool,
}

impl Seen {
    fn of(history: &Ring<Point, HISTORY>) -> Self {
        let points = history.as_slice();
        let in_flight = |point: &Point| point.in_flight;
        let throughput = |point: &Point| point.throughput;
        let (mean, deviation) = mean_and_deviation(points, throughput);
        Self {
            throughput: correlation(points, in_flight, throughput),
            latency: correlation(points, in_flight, |point| point.latency),
            spread: if mean > 0.0 { deviation / mean } else { 0.0 },
            enough: points.len() >= ENOUGH,
        }
    }

    /// More in flight brings more latency, and nothing else.
    fn queue_grows(&self) -> bool {
        let flat = self.throughput < 0.3 || self.spread < 0.2;
        self.enough && (self.throughput < 0.0 && self.latency > 0.0 || flat && self.latency > 0.5)
    }

    /// Fewer in flight bring less throughput, and no less latency.
    fn server_is_slower(&self) -> bool {
        self.enough && self.throughput > 0.7 && self.latency < 0.3
    }
}

fn mean_and_deviation(points: &[Point], of: impl Fn(&Point) -> f64) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = points.iter().map(&of).sum::<f64>() / count;
    let variance = points.iter().map(|point| (of(point) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Zero when one of them does not vary.
fn correlation(points: &[Point], x: impl Fn(&Point) -> f64, y: impl Fn(&Point) -> f64) -> f64 {
    let ((x_mean, x_deviation), (y_mean, y_deviation)) =
        (mean_and_deviation(points, &x), mean_and_deviation(points, &y));
    if x_deviation <= f64::EPSILON * x_mean || y_deviation <= f64::EPSILON * y_mean {
        return 0.0;
    }
    let products = points.iter().map(|point| (x(point) - x_mean) * (y(point) - y_mean));
    products.sum::<f64>() / points.len() as f64 / (x_deviation * y_deviation)
}

fn median(values: &Ring<f64, RECENT>) -> f64 {
    let mut sorted = values.items;
    let sorted = &mut sorted[..values.as_slice().len()];
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The last so many; in which order does not matter.
#[derive(Clone, Debug)]
struct Ring<T, const N: usize> {
    items: [T; N],
    pushed: usize,
}

impl<T: Copy + Default, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self { items: [T::default(); N], pushed: 0 }
    }
}

impl<T, const N: usize> Ring<T, N> {
    fn push(&mut self, item: T) {
        self.items[self.pushed % N] = item;
        self.pushed += 1;
    }

    fn as_slice(&self) -> &[T] {
        &self.items[..self.pushed.min(N)]
    }
}
