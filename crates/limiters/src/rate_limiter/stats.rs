//! [`RateLimiterStats`]: what a rate limiter looks like.

use std::time::Duration;

use crate::Counted;

/// A look at a [`RateLimiter`](crate::RateLimiter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimiterStats {
    /// How many wait.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub oldest_wait: Duration,
    /// How often it said what, if it was [built](crate::RateLimiterBuilder::counted) to know.
    pub counted: Option<Counted>,
}
