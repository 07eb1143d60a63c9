//! [`LimiterStats`]: what a limiter looks like.

use std::time::Duration;

use crate::Counted;

/// A look at a [`RateLimiter`](crate::RateLimiter), a [`WarmUp`](crate::WarmUp) or a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterStats {
    /// How many wait.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub oldest_wait: Duration,
    /// How often it said what, if it was built to know: see `counted` of its builder.
    pub counted: Option<Counted>,
}
