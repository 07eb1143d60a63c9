//! [`Latencies`]: how long attempts took lately, in fixed memory.

use std::fmt;
use std::time::Duration;

use weirs_limiters::plumbing::Histogram;
use weirs_runtime::Instant;

use crate::attempt::nanos;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

const UNKNOWN: u64 = u64::MAX;

/// The percentile of a period, which holds during the next one.
pub(super) struct Latencies {
    share: f64,
    min_samples: u32,
    period: Duration,
    known: AtomicU64,
    lately: Mutex<Lately>,
}

struct Lately {
    latencies: Box<Histogram>,
    since: Option<Instant>,
}

impl Latencies {
    pub(super) fn new(share: f64, min_samples: u32) -> Self {
        let lately = Lately { latencies: Box::default(), since: None };
        Self {
            share,
            min_samples,
            period: Duration::from_secs(10),
            known: AtomicU64::new(UNKNOWN),
            lately: Mutex::new(lately),
        }
    }

    pub(super) fn set_period(&mut self, period: Duration) {
        self.period = period;
    }

    pub(super) fn share(&self) -> f64 {
        self.share
    }

    pub(super) fn min_samples(&self) -> u32 {
        self.min_samples
    }

    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// The percentile, once there were enough samples.
    pub(super) fn known(&self) -> Option<Duration> {
        match self.known.load(Ordering::Relaxed) {
            UNKNOWN => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Something took so long, and ended now. What was ready at once is not worth a look at the clock.
    pub(super) fn record(&self, latency: Duration, now: Option<Instant>) {
        let mut lately = lock(&self.lately);
        lately.latencies.add(nanos(latency));
        let Some(now) = now else { return };
        let since = *lately.since.get_or_insert(now);
        let is_over = now.saturating_since(since) >= self.period;
        if lately.latencies.count() < u64::from(self.min_samples) || !(is_over || self.known().is_none()) {
            return;
        }
        self.known.store(lately.latencies.quantile(self.share).min(UNKNOWN - 1), Ordering::Relaxed);
        if is_over {
            lately.latencies.clear();
            lately.since = Some(now);
        }
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latencies").field("share", &self.share).field("known", &self.known()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_of_a_period_and_a_sixteenth_off_at_most() {
        let mut latencies = Latencies::new(0.95, 100);
        latencies.set_period(Duration::from_secs(1));
        let start = Instant::from_nanos(0);
        let at = |millis: u64| Some(start + Duration::from_millis(millis));
        for sample in 0..99 {
            latencies.record(Duration::from_micros(sample + 1), at(sample));
        }
        assert_eq!(latencies.known(), None, "one is missing");
        latencies.record(Duration::from_micros(100), at(99));
        let close = |expected: f64| {
            let known = latencies.known().unwrap().as_secs_f64();
            assert!((known / expected - 1.0).abs() < 1.0 / 16.0, "{known} {expected}");
        };
        close(95e-6);
        // The rest of the period does not move it; its end does.
        (100..1_000).for_each(|millis| latencies.record(Duration::from_millis(1), at(millis)));
        close(95e-6);
        latencies.record(Duration::from_millis(1), at(1_000));
        close(1e-3);
        // A period with too few samples goes on.
        (2_000..2_099).for_each(|millis| latencies.record(Duration::from_millis(9), at(millis)));
        close(1e-3);
        latencies.record(Duration::from_millis(9), None);
        latencies.record(Duration::from_millis(9), at(2_100));
        close(9e-3);
    }
}
