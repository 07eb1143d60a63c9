//! [`Estimate`]: paying first, and the rest when the cost is known.

use super::RateLimiter;
use crate::Grant;

/// Cells that were taken for something whose cost is known only afterwards; made by
/// [`RateLimiter::estimate`]. Dropped, the estimate is the cost.
///
/// # Examples
/// ```
/// use weirs_limiters::{Quota, Rate, RateLimiter};
///
/// let tokens = RateLimiter::new(Quota::new(Rate::per_hour(1), 1_000).unwrap());
/// let estimate = tokens.estimate(300).unwrap();
/// // ... the answer is shorter than was thought ...
/// estimate.settle(120);
/// assert_eq!(tokens.available(), 880);
/// ```
#[derive(Debug)]
#[must_use = "dropped, the estimate is the cost"]
pub struct Estimate<'a> {
    limiter: &'a RateLimiter,
    grant: Grant,
}

impl<'a> Estimate<'a> {
    pub(super) fn new(limiter: &'a RateLimiter, grant: Grant) -> Self {
        Self { limiter, grant }
    }

    /// What was taken.
    pub fn grant(&self) -> Grant {
        self.grant
    }

    /// This was the cost: what is too much is given back, and what is missing becomes a debt, which later
    /// requests wait for.
    pub fn settle(self, actual: u64) {
        let estimate = self.grant.cost();
        if actual < estimate {
            self.limiter.credit(estimate - actual);
        } else if actual > estimate {
            self.limiter.debit(actual - estimate);
        }
    }
}
