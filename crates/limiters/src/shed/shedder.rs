//! [`PriorityShedder`]: turns one rejection rate into a level.

use std::fmt;
use std::sync::Arc;

use weirs_runtime::Clock;

use super::{Priority, PriorityLimit};
use crate::Denied;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

const LEVELS: usize = Priority::LEVELS as usize;

/// Turns away the least important, so many of all as it is told.
///
/// It counts which levels come. Whoever knows how much is too much says so with
/// [`set_rate`](Self::set_rate), every second or so: from a queue's [`fullness`](Self::fullness), from a
/// [`Throttle`](super::Throttle), or from all of them the largest. One rate over all limiters gives one
/// threshold, so nobody is let in by one to be turned away by the next.
///
/// At the threshold itself as many are turned away by chance as are needed: the rate is met though all have
/// the same level.
///
/// # Examples
/// ```
/// use weirs_limiters::{Class, PriorityShedder};
/// use weirs_runtime::Clock;
///
/// let shedder = PriorityShedder::new(Clock::default());
/// for _ in 0..100 {
///     assert!(shedder.admit(Class::High.into()).is_ok());
///     assert!(shedder.admit(Class::Background.into()).is_ok());
/// }
/// // The queue begins to count at 100 and is full at 300: a half has to go.
/// shedder.set_rate(PriorityShedder::fullness(200, 100, 300));
/// assert!(shedder.admit(Class::High.into()).is_ok());
/// assert!(shedder.admit(Class::Background.into()).is_err());
/// ```
pub struct PriorityShedder {
    clock: Clock,
    state: Mutex<Box<State>>,
    admitted: AtomicU64,
    shed: AtomicU64,
}

/// A look at a [`PriorityShedder`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ShedderStats {
    /// How many of all are to be turned away.
    pub rate: f64,
    /// Levels above this one are turned away, and at this one some.
    pub threshold: u16,
    /// How many went on so far.
    pub admitted: u64,
    /// How many were turned away so far.
    pub shed: u64,
}

struct State {
    /// How many came of each level; older ones count less.
    came: [f32; LEVELS],
    rate: f64,
    threshold: u16,
    /// The share of the level at the threshold that is turned away.
    share: f64,
}

impl PriorityShedder {
    /// Nobody is turned away as yet. The chance comes from the clock.
    pub fn new(clock: Clock) -> Self {
        let state = State { came: [0.0; LEVELS], rate: 0.0, threshold: Priority::LEVELS, share: 1.0 };
        let state = Mutex::new(Box::new(state));
        Self { clock, state, admitted: AtomicU64::new(0), shed: AtomicU64::new(0) }
    }

    /// Whether this one may go on.
    ///
    /// # Errors
    /// [`Denied::Shed`].
    pub fn admit(&self, priority: Priority) -> Result<(), Denied> {
        let level = priority.level();
        let (threshold, share) = {
            let mut state = lock(&self.state);
            state.came[usize::from(level)] += 1.0;
            (state.threshold, state.share)
        };
        // The lock is not held: the chance may be the user's code.
        let goes = level < threshold || (level == threshold && self.clock.random_f64() >= share);
        let counter = if goes { &self.admitted } else { &self.shed };
        counter.fetch_add(1, Ordering::Relaxed);
        if goes { Ok(()) } else { Err(Denied::Shed { level, threshold }) }
    }

    /// The same for requests of one priority, for whoever takes any [`Limit`](crate::Limit).
    pub fn limit_of(self: &Arc<Self>, priority: Priority) -> PriorityLimit {
        PriorityLimit::new(Arc::clone(self), priority)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// From now on so many of all are turned away: 0 is nobody, 1 everybody. What came before counts half
    /// from now on.
    ///
    /// # Panics
    /// When it is not a number.
    #[track_caller]
    pub fn set_rate(&self, rate: f64) {
        assert!(!rate.is_nan(), "the rate of those turned away is a number");
        lock(&self.state).set_rate(rate.clamp(0.0, 1.0));
    }

    /// The rate that was set.
    pub fn rate(&self) -> f64 {
        lock(&self.state).rate
    }

    /// Levels above this one are turned away, and at this one some: [`Priority::LEVELS`] is nobody.
    pub fn threshold(&self) -> u16 {
        lock(&self.state).threshold
    }

    /// What it looks like now.
    pub fn stats(&self) -> ShedderStats {
        let (rate, threshold) = {
            let state = lock(&self.state);
            (state.rate, state.threshold)
        };
        let [admitted, shed] = [&self.admitted, &self.shed].map(|count| count.load(Ordering::Relaxed));
        ShedderStats { rate, threshold, admitted, shed }
    }

    /// A rate from a queue's length: none up to `from`, all at `full`, evenly in between.
    pub fn fullness(waiting: u64, from: u64, full: u64) -> f64 {
        match waiting {
            0 => 0.0,
            _ if waiting >= full => 1.0,
            _ if waiting <= from => 0.0,
            _ => (waiting - from) as f64 / (full - from) as f64,
        }
    }
}

impl State {
    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        let all: f64 = self.came.iter().copied().map(f64::from).sum();
        let mut left = rate * all;
        (self.threshold, self.share) = (Priority::LEVELS, 1.0);
        if rate >= 1.0 {
            self.threshold = 0;
        } else if rate > 0.0 {
            // From the least important on, until enough are turned away.
            for (level, came) in self.came.iter().copied().map(f64::from).enumerate().rev() {
                if came > 0.0 {
                    (self.threshold, self.share) = (level as u16, (left / came).min(1.0));
                }
                left -= came;
                if left <= 0.0 {
                    break;
                }
            }
        }
        // Less than a thousandth of a request is none.
        for came in &mut self.came {
            *came = if *came < 1e-3 { 0.0 } else { *came / 2.0 };
        }
    }
}

impl fmt::Debug for PriorityShedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityShedder").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
