//! [`Throttle`]: spares a server that refuses.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use crate::sync::{Mutex, lock};
use crate::{Denied, Grant, Held, Limit, Outcome, Waiting};

/// A window is so many slices, so what is old leaves bit by bit.
const SLICES: usize = 16;

/// Turns requests away at the client when the server refuses too many, so that refusing does not keep it
/// busy.
///
/// Over a sliding window it counts requests that ended and those that were done. As long as enough are done,
/// everybody goes. Below that it turns away a share, by chance, of
/// `(requests - done / healthy) / (requests + 1)`, but never more than the largest share, so it notices when
/// the server is well again.
///
/// It is a [`Limit`] that never waits: whoever asks goes at once or is turned away at once. Unlike others it
/// counts those whom it turned away.
///
/// # Examples
/// ```
/// use weirs_limiters::Throttle;
///
/// let throttle = Throttle::builder().healthy(0.5).build();
/// for _ in 0..100 {
///     match throttle.try_acquire() {
///         Ok(request) => request.overload(), // the server refused
///         Err(_) => { /* not even asked */ }
///     }
/// }
/// assert!(throttle.stats().rejection > 0.8);
/// ```
pub struct Throttle {
    clock: Clock,
    healthy: f64,
    max_rejection: f64,
    /// In nanoseconds.
    slice: u64,
    state: Mutex<Slices>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    requests: u64,
    done: u64,
}

struct Slices {
    slices: [Counts; SLICES],
    /// The number of the newest slice, since the clock's beginning.
    newest: u64,
    sum: Counts,
}

/// A look at a [`Throttle`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ThrottleStats {
    /// The requests that ended within the window, those turned away here among them.
    pub requests: u64,
    /// How many of them were done.
    pub done: u64,
    /// The share that is turned away now.
    pub rejection: f64,
}

/// Makes a [`Throttle`]; made by [`Throttle::builder`].
#[derive(Clone, Debug)]
#[must_use = "it makes nothing until `build`"]
pub struct ThrottleBuilder {
    window: Duration,
    healthy: f64,
    max_rejection: f64,
    clock: Option<Clock>,
}

impl Throttle {
    /// A window of two minutes; nobody is turned away while half of the requests are done, and nine of ten
    /// at most.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets all that can be set.
    pub fn builder() -> ThrottleBuilder {
        ThrottleBuilder { window: Duration::from_secs(120), healthy: 0.5, max_rejection: 0.9, clock: None }
    }

    /// Lets one request go, or turns it away. Say then how it ended: [`success`](Held::success) when the
    /// server took it, [`overload`](Held::overload) when it refused, else it counts as not asked.
    ///
    /// # Errors
    /// [`Denied::Throttled`].
    pub fn try_acquire(&self) -> Result<Held<&Self>, Denied> {
        crate::try_acquire(self, 1)
    }

    /// What it looks like now.
    pub fn stats(&self) -> ThrottleStats {
        let sum = lock(&self.state).at(self.slice(self.clock.now())).sum;
        ThrottleStats { requests: sum.requests, done: sum.done, rejection: self.rejection(sum) }
    }

    /// The share to be turned away.
    fn rejection(&self, counts: Counts) -> f64 {
        let (requests, done) = (counts.requests as f64, counts.done as f64);
        ((requests - done / self.healthy) / (requests + 1.0)).clamp(0.0, self.max_rejection)
    }

    fn slice(&self, now: Instant) -> u64 {
        now.as_nanos() / self.slice
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl ThrottleBuilder {
    /// How long requests count: two minutes without it.
    ///
    /// # Panics
    /// When it is zero.
    #[track_caller]
    pub fn window(mut self, window: Duration) -> Self {
        assert!(!window.is_zero(), "a window of no time counts nothing");
        self.window = window;
        self
    }

    /// The share of requests that are done when all is well: 0.5 without it.
    ///
    /// # Panics
    /// Unless it is above 0, and 1 at most.
    #[track_caller]
    pub fn healthy(mut self, share: f64) -> Self {
        assert!(share > 0.0 && share <= 1.0, "a share is above 0, and 1 at most: {share}");
        self.healthy = share;
        self
    }

    /// The largest share that is turned away: 0.9 without it.
    ///
    /// # Panics
    /// Unless it is at least 0 and below 1: with 1 nobody would ever find out that the server is well again.
    #[track_caller]
    pub fn max_rejection(mut self, share: f64) -> Self {
        assert!((0.0..1.0).contains(&share), "the largest rejection is at least 0 and below 1: {share}");
        self.max_rejection = share;
        self
    }

    /// The clock for the time and the chance: real time without it.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Makes it.
    pub fn build(self) -> Throttle {
        let clock = self.clock.unwrap_or_default();
        let window = u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX);
        let slice = (window / SLICES as u64).max(1);
        let newest = clock.now().as_nanos() / slice;
        let slices = Slices { slices: [Counts::default(); SLICES], newest, sum: Counts::default() };
        Throttle {
            clock,
            healthy: self.healthy,
            max_rejection: self.max_rejection,
            slice,
            state: Mutex::new(slices),
        }
    }
}

impl Slices {
    /// Forgets what left the window. Time that goes back counts into the newest slice.
    fn at(&mut self, slice: u64) -> &mut Self {
        let passed = slice.saturating_sub(self.newest).min(SLICES as u64);
        for number in (slice.saturating_sub(passed)..slice).map(|before| before + 1) {
            let old = std::mem::take(self.slot(number));
            self.sum.requests -= old.requests;
            self.sum.done -= old.done;
        }
        self.newest = self.newest.max(slice);
        self
    }

    fn slot(&mut self, slice: u64) -> &mut Counts {
        &mut self.slices[(slice % SLICES as u64) as usize]
    }

    /// One request ended now.
    fn count(&mut self, done: u64) {
        for counts in [&mut self.slices[(self.newest % SLICES as u64) as usize], &mut self.sum] {
            counts.requests += 1;
            counts.done += done;
        }
    }
}

impl Limit for Throttle {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied> {
        if cost == 0 {
            return Ok(Grant::new(0, u64::MAX));
        }
        let chance = self.clock.random_f64();
        let mut state = lock(&self.state);
        let state = state.at(self.slice(now));
        let rejection = self.rejection(state.sum);
        if chance >= rejection {
            // It counts when it ends: those on their way are no sign of a bad server.
            return Ok(Grant::new(cost, u64::MAX));
        }
        // Whoever is turned away counts as well: so the share stays up while the server is bad.
        state.count(0);
        Err(Denied::Throttled { percent: (rejection * 100.0).round() as u8 })
    }

    fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
        let rejection = self.rejection(lock(&self.state).at(self.slice(now)).sum);
        match cost > 0 && rejection >= self.max_rejection && rejection > 0.0 {
            true => Err(Denied::Throttled { percent: (rejection * 100.0).round() as u8 }),
            false => Ok(u64::MAX),
        }
    }

    fn poll_acquire(&self, waiting: &mut Waiting, _: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
        Poll::Ready(self.try_acquire_at(self.clock.now(), waiting.cost()))
    }

    fn cancel(&self, _: &mut Waiting) {}

    fn release(&self, grant: Grant, outcome: Outcome) {
        let done = match outcome {
            Outcome::Success => 1,
            Outcome::Overload => 0,
            Outcome::Ignore | Outcome::Unused => return,
        };
        if grant.cost() > 0 {
            let now = self.slice(self.clock.now());
            lock(&self.state).at(now).count(done);
        }
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
