//! The fixed window in one word.
//!
//! `spent` counts all that was ever given out, and what was not used of windows that are over. In the window
//! with the number `k` a request for `n` is admitted if `max(spent, k * limit) + n <= (k + 1) * limit`.
//! There is no "window of the last request" which could wrap or be read apart from its count.

use weirs_runtime::Instant;

use crate::credit::Taken;
use crate::line::Source;
use crate::sync::{AtomicU64, Ordering};

pub(crate) struct Fixed {
    spent: AtomicU64,
    limit: u64,
    length: u64,
    phase: u64,
}

impl Fixed {
    pub(super) fn new(limit: u64, length: u64, phase: u64) -> Self {
        Self { spent: AtomicU64::new(0), limit, length, phase }
    }

    /// What is spent at least in the window of this time.
    fn floor(&self, now: Instant) -> u64 {
        // Saturates at the end of time only: the limit is not above the length.
        (now.as_nanos().saturating_add(self.phase) / self.length).saturating_mul(self.limit)
    }

    /// The same in the last window that was reached: a clock that went back stays in that one.
    fn reached(&self, now: Instant, spent: u64) -> u64 {
        (spent.saturating_sub(1) / self.limit * self.limit).max(self.floor(now))
    }

    /// When so much may be spent.
    fn at(&self, spent: u64) -> Option<Instant> {
        let window = u128::from((spent - 1) / self.limit);
        let at = window * u128::from(self.length) - u128::from(self.phase);
        u64::try_from(at).ok().map(Instant::from_nanos)
    }
}

impl Source for Fixed {
    fn take(&self, now: Instant, n: u64) -> Taken {
        let mut word = self.spent.load(Ordering::Acquire);
        loop {
            let floor = self.reached(now, word);
            let (before, end) = (word.max(floor), floor.saturating_add(self.limit));
            if n == 0 {
                return Taken::Yes { left: end.saturating_sub(before) };
            }
            if n > self.limit {
                return Taken::TooLarge { most: self.limit };
            }
            let spent = before.saturating_add(n);
            if spent > end || end == u64::MAX {
                return Taken::No { at: self.when(now, 0, n) };
            }
            match self.spent.compare_exchange_weak(word, spent, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Taken::Yes { left: end - spent },
                Err(changed) => word = changed,
            }
        }
    }

    fn when(&self, now: Instant, ahead: u64, n: u64) -> Option<Instant> {
        let spent = self.spent.load(Ordering::Acquire);
        let floor = self.reached(now, spent);
        let spent = spent.max(floor);
        let end = (spent / self.limit).saturating_add(1).saturating_mul(self.limit);
        let need = spent.saturating_add(ahead).saturating_add(n);
        if need <= floor.saturating_add(self.limit) {
            return Some(now);
        }
        // One that does not fit into the rest of a window goes into the next.
        let need = if spent % self.limit != 0 && need > end { need.max(end.saturating_add(n)) } else { need };
        if need == u64::MAX { None } else { self.at(need) }
    }

    fn left(&self, now: Instant) -> u64 {
        let spent = self.spent.load(Ordering::Acquire);
        let floor = self.reached(now, spent);
        floor.saturating_add(self.limit).saturating_sub(spent.max(floor))
    }

    fn most(&self) -> u64 {
        self.limit
    }

    fn give_back(&self, taken: Instant, n: u64) {
        let floor = self.floor(taken);
        let end = floor.saturating_add(self.limit);
        // Of a window that is over nothing comes back: the next has its own.
        let change = |spent| (spent > floor && spent <= end).then(|| floor.max(spent - n.min(spent)));
        let _ = self.spent.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }

    fn note(&self, taken: Instant) -> u64 {
        taken.as_nanos()
    }

    fn owe(&self, _: Instant, _: u64) {}
}
