//! [`Gauge`]: how long the jobs of a stage wait and take, and how many pass in a second.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weirs_limiters::plumbing::Histogram;
use weirs_runtime::Instant;

use crate::pool::{Quantiles, Times, quantiles};

/// How many have passed of late, seen by a measured pipeline: within the last ten seconds, or since the
/// beginning if that is not as long ago.
///
/// # Examples
/// ```
/// use futures_lite::stream;
/// use weirs_pipelines::Pipeline;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let clock = runtime.clock().clone();
///     let slow = move |n: u32| {
///         let pause = clock.sleep(std::time::Duration::from_millis(20));
///         async move { pause.await; Ok::<_, std::fmt::Error>(n) }
///     };
///     let plan = Pipeline::source(stream::iter(0..1000)).stage("slow", 1, slow).collect().measured();
///     let stats = plan.run(&runtime).unwrap().await.unwrap().stats;
///     let recent = stats.stage("slow").unwrap().recent.unwrap();
///     assert!((recent.per_second() - 50.0).abs() < 1.0, "{recent:?}");
/// }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Throughput {
    /// How many.
    pub count: u64,
    /// In how long.
    pub within: Duration,
}

impl Throughput {
    /// How many in a second. Zero if no time has passed.
    pub fn per_second(&self) -> f64 {
        let seconds = self.within.as_secs_f64();
        if seconds > 0.0 { self.count as f64 / seconds } else { 0.0 }
    }
}

/// What is measured of a stage, in a few kilobytes whatever it does.
pub(super) struct Gauge(Mutex<Measured>);

struct Measured {
    /// None of the two ends of a pipeline: they have no jobs.
    times: Option<Box<(Histogram, Histogram)>>,
    recent: Recent,
}

impl Gauge {
    /// Of a stage, whose jobs take time.
    pub(super) fn of_stage(now: Instant) -> Self {
        Self(Mutex::new(Measured { times: Some(Box::default()), recent: Recent::new(now) }))
    }

    /// Of an end of the pipeline.
    pub(super) fn of_end(now: Instant) -> Self {
        Self(Mutex::new(Measured { times: None, recent: Recent::new(now) }))
    }

    /// An item has passed.
    pub(super) fn passes(&self, now: Instant) {
        self.lock().recent.add(now);
    }

    /// A job has ended that was taken and begun then.
    pub(super) fn ends(&self, taken: Instant, begun: Instant, now: Instant) {
        let mut measured = self.lock();
        if let Some(times) = &mut measured.times {
            times.0.add(nanos(taken, begun));
            times.1.add(nanos(begun, now));
        }
        measured.recent.add(now);
    }

    pub(super) fn look(&self, now: Instant) -> (Option<Times>, Throughput) {
        let mut measured = self.lock();
        let recent = measured.recent.look(now);
        let times = measured.times.as_deref();
        (times.map(|(waits, works)| Times { wait: quantiles(waits), work: quantiles(works) }), recent)
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauge")
    }
}

/// How long items wait in a buffer.
pub(super) struct Waits(Mutex<Box<Histogram>>);

impl Waits {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Box::default()))
    }

    pub(super) fn add(&self, since: Instant, now: Instant) {
        self.lock().add(nanos(since, now));
    }

    pub(super) fn look(&self) -> Quantiles {
        quantiles(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Box<Histogram>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waits")
    }
}

fn nanos(from: Instant, to: Instant) -> u64 {
    to.as_nanos().saturating_sub(from.as_nanos())
}

/// Counts by the second, and forgets what is ten seconds old.
struct Recent {
    began: Instant,
    /// The second that the newest count belongs to.
    newest: u64,
    counts: [u64; Self::SECONDS],
}

impl Recent {
    const SECONDS: usize = 10;
    const SECOND: u64 = 1_000_000_000;

    fn new(now: Instant) -> Self {
        Self { began: now, newest: now.as_nanos() / Self::SECOND, counts: [0; Self::SECONDS] }
    }

    fn add(&mut self, now: Instant) {
        let place = self.advance(now);
        self.counts[place] += 1;
    }

    /// Goes on to this second, and gives its place.
    fn advance(&mut self, now: Instant) -> usize {
        let second = now.as_nanos() / Self::SECOND;
        let place = |second: u64| (second % Self::SECONDS as u64) as usize;
        let passed = second.saturating_sub(self.newest).min(Self::SECONDS as u64);
        (0..passed).for_each(|back| self.counts[place(second - back)] = 0);
        self.newest = self.newest.max(second);
        place(self.newest)
    }

    fn look(&mut self, now: Instant) -> Throughput {
        self.advance(now);
        let oldest = (self.newest + 1).saturating_sub(Self::SECONDS as u64) * Self::SECOND;
        let from = oldest.max(self.began.as_nanos());
        let within = Duration::from_nanos(now.as_nanos().saturating_sub(from));
        Throughput { count: self.counts.iter().sum(), within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ten_seconds_old_is_forgotten() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let mut recent = Recent::new(at(500));
        assert_eq!(recent.look(at(500)).per_second(), 0.0);
        (0..40).for_each(|n| recent.add(at(500 + n * 100)));
        // Since the beginning: forty in four seconds.
        let look = recent.look(at(4500));
        assert_eq!((look.count, look.within, look.per_second()), (40, Duration::from_secs(4), 10.0));
        // Nine whole seconds and a half: the seconds from 2 on, which had ten each but the last.
        let look = recent.look(at(11_500));
        assert_eq!((look.count, look.within), (25, Duration::from_millis(9500)));
        assert_eq!(recent.look(at(60_000)).count, 0);
        // One that comes late counts for the newest second.
        recent.add(at(59_000));
        assert_eq!(recent.look(at(60_000)).count, 1);
    }
}
