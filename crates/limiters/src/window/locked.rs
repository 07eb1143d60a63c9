//! [`Locked`]: a way to count, behind a lock, as a source for those who wait.

use weirs_runtime::Instant;

use crate::credit::Taken;
use crate::line::Source;
use crate::sync::{Mutex, lock};

/// A way to count. Times never go back: [`Locked`] sees to it.
pub(crate) trait Count {
    fn limit(&self) -> u64;
    /// Forgets what does not count any more.
    fn advance(&mut self, now: u64);
    /// How many more may be charged, after `advance`.
    fn left(&self, now: u64) -> u64;
    /// Charges so many, which are left.
    fn charge(&mut self, now: u64, n: u64);
    /// Takes back what was charged at that time or soon after (the clock may have been behind), if it counts
    /// still. What is taken back must not be younger than what was charged.
    fn give_back(&mut self, taken: u64, n: u64);
    /// The first time at which `n` of the limit or less may be charged; none if it lies beyond all time.
    fn when(&self, now: u64, n: u64) -> Option<u64>;
    /// What lies at least between the times at which twice the limit may be charged.
    fn cycle(&self) -> u64;
    /// A time before which so many cannot be charged one after the other.
    fn at_least(&self, now: u64, n: u64) -> Option<u64> {
        let cycles = (n - 1) / self.limit();
        let first = self.when(now, n - cycles * self.limit())?;
        cycles.checked_mul(self.cycle())?.checked_add(first)
    }
}

pub(crate) struct Locked<C>(Mutex<State<C>>, u64);

struct State<C> {
    count: C,
    latest: u64,
}

impl<C: Count> Locked<C> {
    pub(super) fn new(count: C) -> Self {
        let limit = count.limit();
        Self(Mutex::new(State { count, latest: 0 }), limit)
    }
}

impl<C: Count> State<C> {
    fn advance(&mut self, now: Instant) -> u64 {
        // A clock that went back stands still.
        self.latest = self.latest.max(now.as_nanos());
        self.count.advance(self.latest);
        self.latest
    }
}

impl<C: Count> Source for Locked<C> {
    fn take(&self, now: Instant, n: u64) -> Taken {
        if n > self.1 {
            return Taken::TooLarge { most: self.1 };
        }
        let mut state = lock(&self.0);
        let now = state.advance(now);
        let left = state.count.left(now);
        if n > left {
            return Taken::No { at: state.count.when(now, n).map(Instant::from_nanos) };
        }
        if n > 0 {
            state.count.charge(now, n);
        }
        Taken::Yes { left: left - n }
    }

    fn when(&self, now: Instant, ahead: u64, n: u64) -> Option<Instant> {
        let mut state = lock(&self.0);
        let now = state.advance(now);
        let at = match ahead {
            0 if n <= self.1 => state.count.when(now, n),
            _ => state.count.at_least(now, ahead.saturating_add(n).max(1)),
        };
        at.map(Instant::from_nanos)
    }

    fn left(&self, now: Instant) -> u64 {
        let mut state = lock(&self.0);
        let now = state.advance(now);
        state.count.left(now)
    }

    fn most(&self) -> u64 {
        self.1
    }

    fn give_back(&self, taken: Instant, n: u64) {
        if n > 0 {
            let mut state = lock(&self.0);
            state.advance(taken);
            state.count.give_back(taken.as_nanos(), n);
        }
    }

    fn note(&self, taken: Instant) -> u64 {
        taken.as_nanos()
    }

    fn owe(&self, _: Instant, _: u64) {}
}
