//! [`Gate`]: how many jobs begin where workers are no tasks, when a controller says how many there are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weirs_limiters::{OwnedPermit, Semaphore};
use weirs_runtime::{Clock, Instant};

use super::attempt::Duty;
use super::site::PipelineEvent;
use super::workers::Workers;
use crate::panics::{contain, let_go};
use crate::pool::{Measures, quantiles};
use crate::{Controller, Window};

/// Where jobs wait for their turn, in the order in which they come.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    clock: Clock,
    seen: Mutex<Seen>,
}

struct Seen {
    measures: Measures,
    /// Since when those wait that have not begun, beginning with this number.
    waiting: VecDeque<Option<Instant>>,
    first: u64,
    /// How many have not begun.
    queued: usize,
    running: usize,
    /// The time of all jobs together, until then.
    worked: Duration,
    until: Instant,
}

impl Gate {
    pub(super) fn new(workers: &Workers, clock: &Clock) -> Arc<Self> {
        let now = clock.now();
        let places = Semaphore::builder(workers.least as u64).max_waiters(usize::MAX).build();
        let seen = Seen {
            measures: Measures::new(now),
            waiting: VecDeque::new(),
            first: 0,
            queued: 0,
            running: 0,
            worked: Duration::ZERO,
            until: now,
        };
        Arc::new(Self { places: Arc::new(places), clock: clock.clone(), seen: Mutex::new(seen) })
    }

    /// The next job is handed in.
    pub(super) fn comes(&self) {
        let now = self.clock.now();
        let mut seen = self.lock();
        seen.waiting.push_back(Some(now));
        seen.queued += 1;
    }

    /// The turn of the job of that number. It ends when the pass is dropped.
    pub(super) async fn pass(self: Arc<Self>, number: u64) -> Pass {
        let permit = self.places.acquire_owned(1).await;
        let begun = self.clock.now();
        let since = self.lock().begins(number, begun);
        Pass { gate: self, since, begun, _permit: permit.ok() }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn begins(&mut self, number: u64, now: Instant) -> Instant {
        self.advance(now);
        self.running += 1;
        self.queued = self.queued.saturating_sub(1);
        let place = usize::try_from(number.saturating_sub(self.first)).ok();
        let since = place.and_then(|place| self.waiting.get_mut(place)).and_then(Option::take);
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.first += 1;
        }
        since.unwrap_or(now)
    }

    fn advance(&mut self, now: Instant) {
        let running = u32::try_from(self.running).unwrap_or(u32::MAX);
        self.worked += now.saturating_since(self.until).saturating_mul(running);
        self.until = self.until.max(now);
    }

    /// What there was since the last one.
    fn window(&mut self, workers: usize, now: Instant) -> Window {
        self.advance(now);
        let length = now.saturating_since(self.measures.window_began);
        let busy = self.worked.as_secs_f64() / (length.as_secs_f64() * workers as f64);
        let oldest = self.waiting.front().copied().flatten();
        let window = Window {
            length,
            workers,
            queued: self.queued,
            oldest: oldest.map_or(Duration::ZERO, |since| now.saturating_since(since)),
            wait: quantiles(&self.measures.window_waits),
            work: quantiles(&self.measures.window_works),
            busy: if busy.is_finite() { busy.min(1.0) } else { 0.0 },
        };
        self.worked = Duration::ZERO;
        self.measures.next_window(now);
        window
    }
}

/// The turn of a job.
pub(super) struct Pass {
    gate: Arc<Gate>,
    since: Instant,
    begun: Instant,
    _permit: Option<OwnedPermit>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let now = self.gate.clock.now();
        let nanos = |from: Instant, to: Instant| to.as_nanos().saturating_sub(from.as_nanos());
        let mut seen = self.gate.lock();
        seen.advance(now);
        seen.running -= 1;
        seen.measures.add(nanos(self.since, self.begun), nanos(self.begun, now));
    }
}

/// Asks the controller once in a window, for ever.
pub(super) async fn manage<T, F, E>(gate: Arc<Gate>, workers: Workers, duty: Arc<Duty<T, F, E>>) {
    let Workers { least, most, controller: Some(mut controller) } = workers else { return };
    let mut number = least;
    loop {
        gate.clock.sleep(controller.window()).await;
        let now = gate.clock.now();
        let window = gate.lock().window(number, now);
        match contain(|| controller.workers(&window)) {
            Ok(wanted) => {
                let wanted = wanted.clamp(least, most);
                if wanted != number {
                    gate.places.set_capacity(wanted as u64);
                    duty.resized(number, wanted);
                    number = wanted;
                }
            }
            Err(payload) => let_go(payload),
        }
    }
}

impl<T, F, E> Duty<T, F, E> {
    /// There are to be so many workers from now on.
    pub(super) fn resized(&self, from: usize, to: usize) {
        self.desk.resize(to);
        self.site.tell(&PipelineEvent::Resized { stage: self.desk.name, from, to });
    }
}
