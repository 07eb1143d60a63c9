//! [`Times`]: how long jobs wait and how long they take.

use std::fmt;
use std::time::Duration;

use weirs_runtime::Instant;

use weirs_limiters::plumbing::Histogram;

/// How long jobs waited in the queue, and how long workers took over them; measured by a pool that is
/// [told to](crate::WorkerPoolBuilder::measured).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// From when a job was taken to when a worker began it.
    pub wait: Quantiles,
    /// From there to its end.
    pub work: Quantiles,
}

/// Half, nineteen of twenty, and ninety-nine of a hundred took no longer than this, give or take a sixteenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quantiles {
    /// Of how many.
    pub count: u64,
    /// The mean of them, exactly.
    pub mean: Duration,
    /// Half of them.
    pub p50: Duration,
    /// 95 of 100.
    pub p95: Duration,
    /// 99 of 100.
    pub p99: Duration,
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p95, p99, .. } = self;
        write!(f, "p50 {p50:.1?}, p95 {p95:.1?}, p99 {p99:.1?}")
    }
}

/// What is measured of all jobs, and of those since the last window.
pub(crate) struct Measures {
    waits: Histogram,
    works: Histogram,
    pub(crate) window_waits: Histogram,
    pub(crate) window_works: Histogram,
    pub(crate) window_began: Instant,
}

impl Measures {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            waits: Histogram::default(),
            works: Histogram::default(),
            window_waits: Histogram::default(),
            window_works: Histogram::default(),
            window_began: now,
        }
    }

    /// Of one job, in nanoseconds.
    pub(crate) fn add(&mut self, waited: u64, took: u64) {
        self.waits.add(waited);
        self.works.add(took);
        self.window_waits.add(waited);
        self.window_works.add(took);
    }

    pub(super) fn times(&self) -> Times {
        Times { wait: quantiles(&self.waits), work: quantiles(&self.works) }
    }

    pub(crate) fn next_window(&mut self, now: Instant) {
        self.window_waits.clear();
        self.window_works.clear();
        self.window_began = now;
    }
}

/// What waits, and for whom.
pub(super) struct Backlog {
    pub(super) queued: usize,
    /// Since when the first in the queue waits.
    pub(super) oldest: Option<Instant>,
    pub(super) workers: usize,
}

pub(crate) fn quantiles(histogram: &Histogram) -> Quantiles {
    let at = |share| Duration::from_nanos(histogram.quantile(share));
    let mean = Duration::from_nanos(histogram.mean());
    Quantiles { count: histogram.count(), mean, p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}
