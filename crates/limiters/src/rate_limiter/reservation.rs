//! [`Reservation`]: cells at a time to come.

use std::time::Duration;

use weirs_runtime::Instant;

use super::RateLimiter;
use crate::line::Reserved;

/// Cells that are the holder's from a time on; made by [`RateLimiter::reserve`]. Dropped, it stays.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{Quota, Rate, RateLimiter};
///
/// let limiter = RateLimiter::new(Quota::new(Rate::per_hour(1), 10).unwrap());
/// let now = limiter.reserve(10, Duration::ZERO).unwrap();
/// assert_eq!(now.delay(), Duration::ZERO);
/// assert!(limiter.reserve(1, Duration::from_secs(60)).is_err());
/// now.cancel();
/// assert_eq!(limiter.available(), 10);
/// ```
#[derive(Debug)]
#[must_use = "the cells are the holder's from `at` on, not at once"]
pub struct Reservation<'a> {
    limiter: &'a RateLimiter,
    made: Instant,
    cells: u64,
    reserved: Reserved,
}

impl<'a> Reservation<'a> {
    pub(super) fn new(limiter: &'a RateLimiter, made: Instant, cells: u64, reserved: Reserved) -> Self {
        Self { limiter, made, cells, reserved }
    }

    /// How many cells.
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// From when on, by the quota at the time when it was made. A change of the quota does not move it.
    pub fn at(&self) -> Instant {
        self.reserved.at
    }

    /// How long that was from the time when it was made.
    pub fn delay(&self) -> Duration {
        self.reserved.at.saturating_since(self.made)
    }

    /// Gives exactly these cells back: everybody who comes after it is earlier by them.
    pub fn cancel(self) {
        self.limiter.line.unreserve(self.reserved.number, self.cells);
    }
}
