//! [`TokenBudget`]: tokens that failures use up and successes bring back.

use super::{Budget, BudgetStats, Kind, Taken, Want};
use crate::Invalid;
use crate::sync::{AtomicU64, Ordering};

/// How a [`Budget::tokens`] is set up.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing happens until `build`"]
pub struct TokenBudget {
    tokens: u32,
    cost: u32,
    timeout_cost: u32,
    reward: u32,
}

impl TokenBudget {
    pub(super) fn new(tokens: u32) -> Self {
        Self { tokens, cost: 5, timeout_cost: 10, reward: 1 }
    }

    /// What an attempt costs: five unless said otherwise. It comes back if the attempt goes well.
    pub fn cost(mut self, tokens: u32) -> Self {
        self.cost = tokens;
        self
    }

    /// What an attempt costs after one that took too long: ten unless said otherwise.
    pub fn timeout_cost(mut self, tokens: u32) -> Self {
        self.timeout_cost = tokens;
        self
    }

    /// What a call brings that goes well at once: one unless said otherwise.
    pub fn reward(mut self, tokens: u32) -> Self {
        self.reward = tokens;
        self
    }

    /// The budget; it is full.
    ///
    /// # Errors
    /// Fewer tokens than an attempt costs, and an attempt that costs nothing.
    pub fn build(self) -> Result<Budget, Invalid> {
        let cost = "an attempt that costs nothing knows no end";
        if self.cost == 0 {
            return Err(Invalid::new("budget.cost", cost));
        }
        if self.timeout_cost == 0 {
            return Err(Invalid::new("budget.timeout_cost", cost));
        }
        if self.tokens < self.cost.max(self.timeout_cost) {
            return Err(Invalid::new("budget.tokens", "fewer than an attempt costs"));
        }
        Ok(Budget::new(Kind::Tokens(Tokens { settings: self, left: AtomicU64::new(self.tokens.into()) })))
    }
}

pub(super) struct Tokens {
    settings: TokenBudget,
    left: AtomicU64,
}

impl Tokens {
    #[inline]
    pub(super) fn deposit(&self) {
        self.give_back(self.settings.reward);
    }

    #[inline]
    pub(super) fn take(&self, want: Want) -> Option<Taken> {
        let cost = match want {
            Want::Attempt => self.settings.cost,
            Want::AfterTimeout => self.settings.timeout_cost,
        };
        self.left
            // The number is all that is shared.
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(cost.into()))
            .ok()
            .map(|_| Taken::Tokens { cost })
    }

    #[inline]
    pub(super) fn give_back(&self, tokens: u32) {
        let full = u64::from(self.settings.tokens);
        // A full one is only looked at, so that those who are well do not share a line of cache.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left < full).then(|| (left + u64::from(tokens)).min(full))
        });
    }

    pub(super) fn stats(&self) -> BudgetStats {
        let available = self.left.load(Ordering::Relaxed) / u64::from(self.settings.cost);
        BudgetStats { available, ..BudgetStats::default() }
    }

    pub(super) fn words(&self) -> String {
        let TokenBudget { tokens, cost, timeout_cost, .. } = self.settings;
        format!("{tokens} tokens; an attempt costs {cost}, after a timeout {timeout_cost}")
    }
}
