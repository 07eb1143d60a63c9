//! [`CorrelatedVegas`]: the default.

use super::algorithm::step;
use super::{LimitAlgorithm, Window};

/// The median of so many windows is looked at.
const RECENT: usize = 5;
/// So many windows are correlated, if there are [`ENOUGH`].
const HISTORY: usize = 20;
const ENOUGH: usize = 10;
/// So many times what is in flight is the most that the limit may be.
const HEADROOM: f64 = 5.0;
/// The share of overloads above which the limit shrinks, whatever the latency says.
const TOO_MANY: f64 = 0.05;

/// Vegas that looks twice.
///
/// - It measures the ninetieth percentile, takes the median of five windows, and compares that with a
///   baseline which is a moving average.
/// - The baseline falls quickly. While the limit is full it does not rise with the latency, because that may
///   be our own queue; unless those in flight and the throughput rise and fall together and the latency does
///   not: then the server itself is slower than it was. So a long incident does not become the new normal.
/// - When the limit is full, and the latency follows those in flight while the throughput does not, the
///   limit is too large, whatever the baseline says.
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

/// What goes with what: by how many percent each changes when one percent more is in flight.
#[derive(Default)]
struct Seen {
    throughput: f64,
    latency: f64,
    /// How much of the change in latency goes with those in flight: between -1 and 1.
    correlation: f64,
}

impl Seen {
    fn of(history: &Ring<Point, HISTORY>) -> Self {
        let points = history.as_slice();
        if points.len() < ENOUGH {
            return Self::default();
        }
        let in_flight = Series::of(points, |point| point.in_flight);
        let throughput = Series::of(points, |point| point.throughput);
        let latency = Series::of(points, |point| point.latency);
        // Those in flight do not vary: it is not to be told.
        if in_flight.deviation <= 0.01 * in_flight.mean {
            return Self::default();
        }
        Self {
            throughput: in_flight.elasticity(&throughput),
            latency: in_flight.elasticity(&latency),
            correlation: in_flight.correlation(&latency),
        }
    }

    /// More in flight bring more latency, and hardly anything else.
    fn queue_grows(&self) -> bool {
        self.throughput < 0.2 && self.correlation > 0.5
    }

    /// Fewer in flight bring less throughput, and hardly less latency.
    fn server_is_slower(&self) -> bool {
        self.throughput > 0.5 && self.latency < 0.2
    }
}

/// One quantity over the windows.
struct Series {
    values: [f64; HISTORY],
    count: usize,
    mean: f64,
    deviation: f64,
}

impl Series {
    fn of(points: &[Point], value: impl Fn(&Point) -> f64) -> Self {
        let (mut values, count) = ([0.0; HISTORY], points.len());
        values.iter_mut().zip(points).for_each(|(to, point)| *to = value(point));
        let mean = values[..count].iter().sum::<f64>() / count as f64;
        let variance = values[..count].iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
        Self { values, count, mean, deviation: variance.sqrt() }
    }

    fn covariance(&self, other: &Self) -> f64 {
        let products = self.values.iter().zip(&other.values).take(self.count);
        products.map(|(x, y)| (x - self.mean) * (y - other.mean)).sum::<f64>() / self.count as f64
    }

    fn correlation(&self, other: &Self) -> f64 {
        match other.deviation > 0.0 {
            true => self.covariance(other) / (self.deviation * other.deviation),
            false => 0.0,
        }
    }

    /// The slope of the other over this, both as shares of their means.
    fn elasticity(&self, other: &Self) -> f64 {
        match other.mean > 0.0 {
            true => self.covariance(other) / self.deviation.powi(2) * self.mean / other.mean,
            false => 0.0,
        }
    }
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
