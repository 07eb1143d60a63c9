//! [`AdaptiveLimiter`]: how much at once, learned from how it goes.

mod aimd;
mod algorithm;
mod builder;
mod correlated;
mod gradient;
mod histogram;
mod vegas;
mod windows;

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use crate::sync::{Mutex, lock};
use crate::{Acquire, Counted, Denied, Grant, Held, Limit, Outcome, Semaphore, Waiting};

pub use aimd::Aimd;
pub use algorithm::{LimitAlgorithm, Window};
pub use builder::AdaptiveLimiterBuilder;
pub use correlated::CorrelatedVegas;
pub use gradient::Gradient2;
pub use histogram::Histogram;
pub use vegas::Vegas;
pub use windows::Windows;

/// Admits as many at once as the other side can serve, which it finds out by itself.
///
/// Every admitted request is told how it ended: it was done ([`success`](Held::success)), it was refused or
/// too slow for its caller ([`overload`](Held::overload)), or it says nothing ([`ignore`](Held::ignore), and
/// so does dropping it). Once a window the algorithm looks at the latencies of those that were done, and
/// says the limit for the next one.
///
/// Who is turned away comes back later or goes elsewhere: use [`try_acquire`](Self::try_acquire) in a
/// server. Who waits, waits in order, in a bounded queue; the wait is not part of the latency.
///
/// A limit that is not used does not grow. A limit that became smaller is reached as requests end.
///
/// # Examples
/// ```
/// use weirs_limiters::AdaptiveLimiter;
/// use weirs_runtime::block_on;
///
/// let limiter = AdaptiveLimiter::new();
/// block_on(async {
///     let request = limiter.acquire().await.unwrap();
///     match Ok::<_, std::io::Error>("an answer") {
///         Ok(_) => request.success(),
///         Err(_) => request.overload(),
///     }
/// });
/// assert_eq!((limiter.stats().in_flight, limiter.stats().successes), (0, 1));
/// ```
///
/// The algorithms need no clock and no limiter. Here a server has room for 10 at once and takes 20 ms; what
/// is more waits in its queue. The limit ends near the room:
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{CorrelatedVegas, LimitAlgorithm, Window};
///
/// let (mut algorithm, mut limit) = (CorrelatedVegas::new(), 5.0_f64);
/// for _ in 0..600 {
///     let in_flight = limit.floor();
///     let latency = Duration::from_secs_f64(0.020 * (in_flight / 10.0).max(1.0));
///     let mut window = Window::default();
///     (window.limit, window.in_flight, window.length) = (limit, in_flight as u64, Duration::from_secs(1));
///     window.successes = (in_flight.min(10.0) / 0.020) as u64;
///     (window.mean, window.median, window.p90) = (latency, latency, latency);
///     limit = algorithm.on_window(&window).max(1.0);
/// }
/// assert!((10.0..20.0).contains(&limit), "{limit}");
/// ```
pub struct AdaptiveLimiter<A = CorrelatedVegas> {
    semaphore: Semaphore,
    state: Mutex<State<A>>,
    min: u64,
    max: u64,
}

/// What is held of an adaptive limiter: one request. Dropped, it ended in a way that says nothing.
pub type InFlight<'a, A = CorrelatedVegas> = Held<&'a AdaptiveLimiter<A>>;

struct State<A> {
    windows: Windows,
    /// Taken out while it runs: it is the user's code, and no lock is held then.
    algorithm: Option<A>,
    limit: f64,
    successes: u64,
    overloads: u64,
    ignored: u64,
    learned: u64,
}

/// A look at an [`AdaptiveLimiter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdaptiveStats {
    /// The limit.
    pub limit: u64,
    /// How many are in flight: more than the limit for a while after it became smaller.
    pub in_flight: u64,
    /// How many wait.
    pub waiting: usize,
    /// How long the one who came first of them has waited; zero unless it was
    /// [built](AdaptiveLimiterBuilder::counted) to count.
    pub oldest_wait: Duration,
    /// How often it said what, if it was [built](AdaptiveLimiterBuilder::counted) to know.
    pub counted: Option<Counted>,
    /// How many were done so far.
    pub successes: u64,
    /// How many failed in a way that speaks of overload.
    pub overloads: u64,
    /// How many said nothing.
    pub ignored: u64,
    /// How many windows the algorithm has seen.
    pub windows: u64,
}

impl AdaptiveLimiter {
    /// With [`CorrelatedVegas`], limits from 1 to 1000, 20 at first, windows of a second, and room for 1024
    /// who wait.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets all that can be set.
    pub fn builder() -> AdaptiveLimiterBuilder {
        AdaptiveLimiterBuilder::new()
    }
}

impl Default for AdaptiveLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: LimitAlgorithm> AdaptiveLimiter<A> {
    fn from_parts(semaphore: Semaphore, windows: Windows, algorithm: A, (min, max): (u64, u64)) -> Self {
        let state = State {
            windows,
            algorithm: Some(algorithm),
            limit: semaphore.capacity() as f64,
            successes: 0,
            overloads: 0,
            ignored: 0,
            learned: 0,
        };
        Self { semaphore, state: Mutex::new(state), min, max }
    }

    /// Admits one request now, or says why not.
    ///
    /// # Errors
    /// [`Denied::Busy`], [`Denied::Closed`].
    pub fn try_acquire(&self) -> Result<InFlight<'_, A>, Denied> {
        crate::try_acquire(self, 1)
    }

    /// Waits until one request is admitted. With [`by`](Acquire::by) it gives up at a deadline.
    ///
    /// # Waiting
    /// First come, first served, unless the [`Mode`](crate::Mode) was set otherwise.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was admitted and nothing was measured.
    ///
    /// # Errors
    /// [`Denied::QueueFull`], [`Denied::Closed`], [`Denied::DeadlinePassed`].
    pub fn acquire(&self) -> Acquire<&Self> {
        crate::acquire(self, 1)
    }

    /// How many may be in flight at once now.
    pub fn limit(&self) -> u64 {
        lock(&self.state).limit as u64
    }

    /// Admits nobody any more: everybody who waits or asks hears [`Denied::Closed`].
    pub fn close(&self) {
        self.semaphore.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.semaphore.is_closed()
    }

    /// What it looks like now.
    pub fn stats(&self) -> AdaptiveStats {
        let semaphore = self.semaphore.stats();
        let state = lock(&self.state);
        AdaptiveStats {
            limit: state.limit as u64,
            in_flight: semaphore.held,
            waiting: semaphore.waiting,
            oldest_wait: semaphore.oldest_wait,
            counted: semaphore.counted,
            successes: state.successes,
            overloads: state.overloads,
            ignored: state.ignored,
            windows: state.learned,
        }
    }

    /// The grant remembers when it was given.
    fn stamped(grant: Grant, now: Instant) -> Grant {
        grant.with_note(now.as_nanos())
    }

    /// Counts one that ended. It gives a window, and the algorithm to show it to, when there is one.
    fn record(&self, now: Instant, began: Instant, outcome: Outcome) -> Option<(Window, A)> {
        let free = self.semaphore.available();
        let mut state = lock(&self.state);
        match outcome {
            Outcome::Success => state.successes += 1,
            Outcome::Overload => state.overloads += 1,
            Outcome::Ignore => state.ignored += 1,
            Outcome::Unused => return None,
        }
        // What is in flight is most right before one ends, so looking then misses no peak.
        let in_flight = (state.limit as u64).saturating_sub(free);
        state.windows.record(now, outcome, now.saturating_since(began), in_flight);
        // Who says nothing may be dropped by a panic, so the algorithm, which may panic too, is not run then.
        if outcome == Outcome::Ignore || !state.windows.is_full(now) {
            return None;
        }
        // While it runs elsewhere, the window goes on.
        let algorithm = state.algorithm.take()?;
        let limit = state.limit;
        state.learned += 1;
        Some((state.windows.take(now, limit), algorithm))
    }

    #[cold]
    fn learn(&self, mut window: Window, algorithm: A) {
        window.chance = self.semaphore.clock().random_f64();
        let mut back = Back { limiter: self, algorithm: Some(algorithm), limit: window.limit };
        let learned = back.algorithm.as_mut().map_or(window.limit, |algorithm| algorithm.on_window(&window));
        if !learned.is_nan() {
            back.limit = learned.clamp(self.min as f64, self.max as f64);
        }
        // Before the algorithm is back, so that two changes keep their order.
        if back.limit as u64 != window.limit as u64 {
            self.semaphore.set_capacity(back.limit as u64);
        }
    }
}

/// Puts the algorithm back, also when it panics.
struct Back<'a, A> {
    limiter: &'a AdaptiveLimiter<A>,
    algorithm: Option<A>,
    limit: f64,
}

impl<A> Drop for Back<'_, A> {
    fn drop(&mut self) {
        let mut state = lock(&self.limiter.state);
        state.algorithm = self.algorithm.take();
        state.limit = self.limit;
    }
}

impl<A: LimitAlgorithm> Limit for AdaptiveLimiter<A> {
    fn clock(&self) -> &Clock {
        self.semaphore.clock()
    }

    fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied> {
        self.semaphore.try_acquire_at(now, cost).map(|grant| Self::stamped(grant, now))
    }

    fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
        self.semaphore.peek_at(now, cost)
    }

    fn poll_acquire(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        let polled = self.semaphore.poll_acquire(waiting, cx);
        polled.map_ok(|grant| Self::stamped(grant, self.clock().now()))
    }

    fn cancel(&self, waiting: &mut Waiting) {
        self.semaphore.cancel(waiting);
    }

    fn release(&self, grant: Grant, outcome: Outcome) {
        if grant.cost() == 0 {
            return;
        }
        let now = self.clock().now();
        let learns = self.record(now, Instant::from_nanos(grant.note()), outcome);
        // First of all the others: an algorithm that panics keeps nobody waiting.
        self.semaphore.release(grant, outcome);
        if let Some((window, algorithm)) = learns {
            self.learn(window, algorithm);
        }
    }
}

impl<A> fmt::Debug for AdaptiveLimiter<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = lock(&self.state).limit as u64;
        f.debug_struct("AdaptiveLimiter")
            .field("limit", &limit)
            .field("semaphore", &self.semaphore)
            .finish_non_exhaustive()
    }
}
