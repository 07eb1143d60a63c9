//! [`InFlightBudget`]: a share of the calls that run at the moment.

use super::{Budget, BudgetStats, Kind, TOKEN, Taken, parts, percent};
use crate::Invalid;
use crate::sync::{AtomicU64, Ordering};

/// How a [`Budget::in_flight`] is set up.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing happens until `build`"]
pub struct InFlightBudget {
    share: f64,
    at_least: u32,
}

impl InFlightBudget {
    pub(super) fn new(share: f64) -> Self {
        Self { share, at_least: 3 }
    }

    /// So many are always allowed: three unless said otherwise.
    pub fn at_least(mut self, attempts: u32) -> Self {
        self.at_least = attempts;
        self
    }

    /// The budget.
    ///
    /// # Errors
    /// A share that is no number, below zero or above 1,000.
    pub fn build(self) -> Result<Budget, Invalid> {
        let each = parts("budget.share", self.share, 1_000.0)?;
        let at_least = self.at_least.into();
        Ok(Budget::new(Kind::InFlight(InFlight { each, at_least, word: AtomicU64::new(0) })))
    }
}

/// One word, so that no two can see the same last place: calls in the upper half, further attempts in the
/// lower.
pub(super) struct InFlight {
    each: u64,
    at_least: u64,
    word: AtomicU64,
}

const CALL: u64 = 1 << 32;
const ATTEMPTS: u64 = CALL - 1;

impl InFlight {
    #[inline]
    pub(super) fn enter(&self) {
        self.word.fetch_add(CALL, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn leave(&self) {
        self.word.fetch_sub(CALL, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn take(&self) -> Option<Taken> {
        self.word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                (word & ATTEMPTS < self.most(word)).then_some(word + 1)
            })
            .ok()
            .map(|_| Taken::InFlight)
    }

    #[inline]
    pub(super) fn give_back(&self) {
        self.word.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> BudgetStats {
        let word = self.word.load(Ordering::Relaxed);
        let running = word & ATTEMPTS;
        BudgetStats { available: self.most(word).saturating_sub(running), running, refused: 0 }
    }

    pub(super) fn words(&self) -> String {
        format!("{} % of the calls that run, but always {}", percent(self.each), self.at_least)
    }

    /// How many further attempts there may be beside so many calls.
    fn most(&self, word: u64) -> u64 {
        ((word / CALL).saturating_mul(self.each) / TOKEN).max(self.at_least).min(ATTEMPTS)
    }
}
