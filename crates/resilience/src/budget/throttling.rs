//! [`ThrottlingBudget`]: no further attempts while too many fail.

use super::{Budget, BudgetStats, Kind, TOKEN, Taken, parts};
use crate::Invalid;
use crate::sync::{AtomicU64, Ordering};

/// How a [`Budget::throttling`] is set up.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing happens until `build`"]
pub struct ThrottlingBudget {
    tokens: u32,
    ratio: f64,
}

impl ThrottlingBudget {
    pub(super) fn new(tokens: u32, ratio: f64) -> Self {
        Self { tokens, ratio }
    }

    /// The budget; it is full.
    ///
    /// # Errors
    /// No tokens; a ratio that is no number, not above zero, or above 1,000.
    pub fn build(self) -> Result<Budget, Invalid> {
        if self.tokens == 0 {
            return Err(Invalid::new("budget.tokens", "none at all; there would never be a further attempt"));
        }
        let reward = parts("budget.ratio", self.ratio, 1_000.0)?;
        if reward == 0 {
            return Err(Invalid::new("budget.ratio", "what is used up would never come back"));
        }
        let full = u64::from(self.tokens) * TOKEN;
        Ok(Budget::new(Kind::Throttling(Throttling { full, reward, left: AtomicU64::new(full) })))
    }
}

/// All in parts of a token.
pub(super) struct Throttling {
    full: u64,
    reward: u64,
    left: AtomicU64,
}

impl Throttling {
    #[inline]
    pub(super) fn succeeded(&self) {
        // A full one is only looked at, so that those who are well do not share a line of cache.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left < self.full).then(|| (left + self.reward).min(self.full))
        });
    }

    pub(super) fn failed(&self) {
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left > 0).then(|| left.saturating_sub(TOKEN))
        });
    }

    /// Nothing goes by taking: the failure that led to it has been paid for.
    #[inline]
    pub(super) fn take(&self) -> Option<Taken> {
        (self.left.load(Ordering::Relaxed) > self.full / 2).then_some(Taken::Throttling)
    }

    pub(super) fn stats(&self) -> BudgetStats {
        let over = self.left.load(Ordering::Relaxed).saturating_sub(self.full / 2);
        BudgetStats { available: over.div_ceil(TOKEN), ..BudgetStats::default() }
    }

    pub(super) fn words(&self) -> String {
        let (full, reward) = (self.full / TOKEN, self.reward as f64 / TOKEN as f64);
        format!("more than half of {full} tokens; a failure costs one, a success brings {reward}")
    }
}
