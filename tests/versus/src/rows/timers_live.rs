//! [`Live`]: timers that are set while others are measured.

use std::any::Any;
use std::time::Duration;

/// Timers that were set and will not fire before they are dropped.
pub(super) struct Live(#[expect(dead_code, reason = "kept for its destructor")] Vec<Box<dyn Any>>);

impl Live {
    /// No timers.
    pub(super) fn none(_set: &dyn Fn(Duration) -> Box<dyn Any>) -> Self {
        Self(Vec::new())
    }

    /// 100,000 timers, later than any that a row sets and spread over a minute.
    pub(super) fn many(set: &dyn Fn(Duration) -> Box<dyn Any>) -> Self {
        let minute = Duration::from_secs(60);
        Self((0..100_000).map(|number| set(minute + Duration::from_micros(600) * number)).collect())
    }
}
