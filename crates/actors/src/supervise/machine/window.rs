//! [`Window`]: how many restarts there were lately.

use std::collections::VecDeque;
use std::time::Duration;

use weirs_runtime::Instant;

/// The moments of the last restarts, never more than one above what is allowed.
#[derive(Debug)]
pub(super) struct Window {
    most: u32,
    within: Duration,
    moments: VecDeque<Instant>,
}

impl Window {
    pub(super) fn new(most: u32, within: Duration) -> Self {
        Self { most, within, moments: VecDeque::new() }
    }

    /// Counts a restart, and tells whether it is allowed: whether no more than `most` fell into the time
    /// that ends now, its beginning excluded.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.moments.push_back(now);
        self.moments.len() <= self.most as usize
    }

    pub(super) fn count(&mut self, now: Instant) -> usize {
        self.forget(now);
        self.moments.len()
    }

    fn forget(&mut self, now: Instant) {
        while self.moments.front().is_some_and(|at| now.saturating_since(*at) >= self.within) {
            self.moments.pop_front();
        }
    }
}
