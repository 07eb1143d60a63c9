//! [`Meter`]: how long the last calls took.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

/// So many calls are remembered.
const LAST: usize = 500;

/// How long the last calls took, whether they ended or were dropped.
#[derive(Default)]
pub(crate) struct Meter(Mutex<VecDeque<Duration>>);

/// Half of the last calls, nineteen of twenty, and ninety-nine of a hundred took no longer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
}

impl Meter {
    pub(crate) async fn time<T>(&self, clock: &Clock, work: impl Future<Output = T>) -> T {
        let _watch = Stopwatch { meter: self, clock, since: clock.now() };
        work.await
    }

    pub(crate) fn add(&self, took: Duration) {
        let mut last = self.lock();
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back(took);
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let mut sorted: Vec<_> = self.lock().iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| match sorted.len() {
            0 => Duration::ZERO,
            len => sorted[(len * percent).div_ceil(100) - 1],
        };
        Percentiles { p50: at(50), p95: at(95), p99: at(99) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Stopwatch<'m> {
    meter: &'m Meter,
    clock: &'m Clock,
    since: Instant,
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        self.meter.add(self.clock.now().saturating_since(self.since));
    }
}
