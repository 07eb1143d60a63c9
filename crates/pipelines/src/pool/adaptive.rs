//! [`Controller`]: how many workers a pool has, by what a window of time has shown.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::measures::{Quantiles, quantiles};
use super::shutdown::Close;
use super::worker::{Factory, make};
use super::{BuildError, Starter};
use crate::panics::{contain, let_go};

/// Says how many workers a pool shall have, once for each window of time; a closure of the [`Window`] is one.
///
/// It is a function of what it has been shown, and of nothing else: so it can be tried without a pool, as in
/// the example of [`QueueWait`]. If it panics, the number stays as it is.
pub trait Controller: Send + 'static {
    /// How many workers there shall be from now on. Beyond the pool's least or most, it is these.
    fn workers(&mut self, window: &Window) -> usize;

    /// How long a window is: 250 milliseconds unless said otherwise. Asked once.
    fn window(&self) -> Duration {
        Duration::from_millis(250)
    }
}

impl<F: FnMut(&Window) -> usize + Send + 'static> Controller for F {
    fn workers(&mut self, window: &Window) -> usize {
        self(window)
    }
}

/// What a [`Controller`] is shown: a stretch of a pool's life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// How long it was.
    pub length: Duration,
    /// How many workers there are now.
    pub workers: usize,
    /// How many jobs wait now.
    pub queued: usize,
    /// How long the first of those has waited.
    pub oldest: Duration,
    /// How long the jobs have waited that ended in the window.
    pub wait: Quantiles,
    /// How long they took.
    pub work: Quantiles,
    /// The share of the workers' time in which they worked, from 0 to 1.
    pub busy: f64,
}

impl Window {
    /// How many jobs ended in a second.
    pub fn rate(&self) -> f64 {
        let seconds = self.length.as_secs_f64();
        if seconds > 0.0 { self.work.count as f64 / seconds } else { 0.0 }
    }

    /// How many jobs were done in a second, parts of jobs too; none if that is not to be seen.
    ///
    /// Unlike [`rate`](Self::rate) it does not leap where the ends of a round of jobs fall into one window or
    /// the next.
    fn throughput(&self) -> Option<f64> {
        let mean = self.work.mean.as_secs_f64();
        match self.work.count {
            0 => None,
            _ if mean > 0.0 => Some(self.busy * self.workers as f64 / mean),
            _ => Some(self.rate()),
        }
    }
}

/// Grows while jobs wait too long for a worker although the workers are busy, and shrinks slowly.
///
/// By a quarter, at least by one, when of a hundred jobs more than five have waited longer than the target,
/// and the workers are at work for more than four fifths of the time. By one, when for eight windows in a row
/// ninety-five of a hundred have waited less than a quarter of the target. After a change it sits out one
/// window.
///
/// Growing has to pay: where it brings less than a quarter of the throughput that the new workers should have
/// brought, and jobs still wait too long, something else is the bottleneck. Then it goes back, and tries
/// again after sixteen windows.
///
/// # Examples
/// A server that answers in 10 milliseconds as long as no more than 8 ask at a time. Here no pool is needed
/// to see what becomes of 200 jobs a second that come in, then 700, then 5000, which is more than the server
/// can do:
/// ```
/// use std::time::Duration;
/// use weirs_pipelines::{Controller, QueueWait, Window};
///
/// let mut controller = QueueWait::new(Duration::from_millis(20));
/// let (mut workers, mut backlog) = (1, 0.0_f64);
/// let mut seen = Vec::new();
/// for demand in [200.0, 700.0, 5000.0] {
///     for _ in 0..200 {
///         let capacity = 100.0 * (workers as f64).min(8.0);
///         let offered = backlog + demand * 0.25;
///         let done = offered.min(capacity * 0.25);
///         backlog = (offered - done).min(1000.0);
///         let mut window = Window { length: controller.window(), workers, ..Window::default() };
///         window.wait.p95 = Duration::from_secs_f64(backlog / capacity);
///         window.work.count = done as u64;
///         window.busy = done / (capacity * 0.25);
///         workers = controller.workers(&window).clamp(1, 64);
///     }
///     seen.push(workers);
/// }
/// assert!((2..=3).contains(&seen[0]), "{seen:?}");
/// assert!((7..=9).contains(&seen[1]), "{seen:?}");
/// // More would not help, and it knows.
/// assert!((7..=11).contains(&seen[2]), "{seen:?}");
/// ```
#[derive(Clone)]
pub struct QueueWait {
    target: Duration,
    /// For how many windows it has been calm.
    calm: u32,
    sits_out: bool,
    /// What there was before it grew, while nobody knows whether it was worth it.
    grew: Option<Grew>,
    /// For how many windows it does not grow.
    holds: u32,
}

#[derive(Clone, Copy, Debug)]
struct Grew {
    from: usize,
    to: usize,
    throughput: f64,
}

impl QueueWait {
    const BUSY: f64 = 0.8;
    const CALM_WINDOWS: u32 = 8;
    const HOLD_WINDOWS: u32 = 16;
    /// The share of the expected gain that growing has to bring.
    const WORTH: f64 = 0.25;

    /// Jobs shall not wait longer than this for a worker.
    pub const fn new(target: Duration) -> Self {
        Self { target, calm: 0, sits_out: false, grew: None, holds: 0 }
    }

    fn changed(&mut self) {
        self.calm = 0;
        self.sits_out = true;
    }
}

impl Controller for QueueWait {
    fn workers(&mut self, window: &Window) -> usize {
        let now = window.workers;
        // Of a queue that stands still nobody has ended.
        let waited = window.wait.p95.max(window.oldest);
        self.holds = self.holds.saturating_sub(1);
        if std::mem::take(&mut self.sits_out) {
            return now;
        }
        let is_late = waited > self.target && window.busy > Self::BUSY;
        if let Some(Grew { from, to, throughput }) = self.grew.take().filter(|_| is_late) {
            let Some(found) = window.throughput() else {
                // No job has ended: nobody knows yet.
                self.grew = Some(Grew { from, to, throughput });
                return now;
            };
            let expected = throughput * (to as f64 / from as f64 - 1.0);
            if found < throughput + expected * Self::WORTH {
                self.holds = Self::HOLD_WINDOWS;
                self.changed();
                return from;
            }
        }
        if is_late {
            self.calm = 0;
            if self.holds > 0 {
                return now;
            }
            let more = now + (now / 4).max(1);
            let grew = |throughput| Grew { from: now, to: more, throughput };
            self.grew = window.throughput().map(grew);
            self.changed();
            return more;
        }
        self.calm = if waited < self.target / 4 { self.calm + 1 } else { 0 };
        if self.calm < Self::CALM_WINDOWS {
            return now;
        }
        self.changed();
        now.saturating_sub(1)
    }
}

impl fmt::Debug for QueueWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueWait").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Grows by one when the slowest five of a hundred jobs take longer than the target, and shrinks by one when
/// they take less than half of it. Of fewer than ten jobs it learns nothing.
///
/// This is the rule that is often written by hand. It is right where more workers make a job faster, and
/// wrong where a job is slow because there are too many of them already: there [`QueueWait`] is the better
/// one.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_pipelines::{Controller, P95Latency, Window};
///
/// let mut controller = P95Latency::new(Duration::from_millis(100));
/// let mut window = Window { workers: 5, ..Window::default() };
/// window.work.count = 50;
/// window.work.p95 = Duration::from_millis(130);
/// assert_eq!(controller.workers(&window), 6);
/// window.work.p95 = Duration::from_millis(40);
/// assert_eq!(controller.workers(&window), 4);
/// window.work.p95 = Duration::from_millis(70);
/// assert_eq!(controller.workers(&window), 5);
/// ```
#[derive(Clone, Debug)]
pub struct P95Latency {
    target: Duration,
}

impl P95Latency {
    const LEAST_JOBS: u64 = 10;

    /// Jobs shall take no longer than this.
    pub const fn new(target: Duration) -> Self {
        Self { target }
    }
}

impl Controller for P95Latency {
    fn workers(&mut self, window: &Window) -> usize {
        match window.work.p95 {
            _ if window.work.count < Self::LEAST_JOBS => window.workers,
            p95 if p95 > self.target => window.workers + 1,
            p95 if p95 < self.target / 2 => window.workers.saturating_sub(1),
            _ => window.workers,
        }
    }
}

/// Asks the controller once in a window, until the pool has settled.
pub(super) async fn manage<F: Factory>(
    starter: Starter<F>,
    controller: Box<dyn Controller>,
    length: Duration,
    workers: RangeInclusive<usize>,
) {
    let mut controller = controller;
    let clock = starter.shared.clock.clone();
    let mut worked_before = Duration::ZERO;
    loop {
        if clock.timeout(length, Close::new(&starter.shared)).await.is_ok() {
            return;
        }
        let now = clock.now();
        let worked = starter.crew.worked(now);
        let window = starter.shared.measures(|measures, backlog| {
            let length = now.saturating_since(measures.window_began);
            let time = length.as_secs_f64() * backlog.workers as f64;
            let busy = worked.saturating_sub(worked_before).as_secs_f64() / time;
            let window = Window {
                length,
                workers: backlog.workers,
                queued: backlog.queued,
                oldest: backlog.oldest.map_or(Duration::ZERO, |since| now.saturating_since(since)),
                wait: quantiles(&measures.window_waits),
                work: quantiles(&measures.window_works),
                busy: if busy.is_finite() { busy.min(1.0) } else { 0.0 },
            };
            measures.next_window(now);
            window
        });
        worked_before = worked;
        let Some(window) = window else { return };
        match contain(|| controller.workers(&window)) {
            Ok(number) => {
                let number = number.clamp(*workers.start(), *workers.end());
                starter.shared.want(number);
                hire(&starter, number.saturating_sub(window.workers));
            }
            Err(payload) => let_go(payload),
        }
    }
}

/// Starts more workers; those that cannot be made are missing until the next window.
fn hire<F: Factory>(starter: &Starter<F>, number: usize) {
    let mut from = 0;
    for _ in 0..number {
        let place = starter.crew.vacancy(from);
        from = place + 1;
        match make(&*starter.factory, place) {
            Ok(worker) if starter.shared.join() => starter.start(place, worker),
            Ok(worker) => return let_go(worker),
            Err(error) => return let_go::<BuildError>(error),
        }
    }
}
