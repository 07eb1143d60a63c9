//! A door for the loom models in `tests/models`, which stand outside of the crate.

use std::task::Waker;

use super::{NEVER, Timers};
use crate::TimerKey;

/// The timers of a clock and its alarm, without the thread and the time that drive them.
#[expect(missing_debug_implementations, reason = "only models see it")]
pub struct TimersModel(Timers);

#[expect(missing_docs, reason = "each stands for the method of the same name")]
impl TimersModel {
    pub const NEVER: u64 = NEVER;

    pub fn new(shards: usize) -> Self {
        Self(Timers::new(shards))
    }

    /// The key, and whether the alarm was lowered.
    pub fn insert(&self, shard: usize, at: u64, waker: &Waker) -> Option<(TimerKey, bool)> {
        self.0.insert(shard, at, waker).map(|inserted| (inserted.key, inserted.lowered_alarm))
    }

    pub fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        self.0.refresh(key, waker)
    }

    pub fn remove(&self, key: TimerKey) {
        self.0.remove(key);
    }

    pub fn fire(&self, now: u64) {
        self.0.fire(now, &mut Vec::new());
    }

    pub fn alarm(&self) -> u64 {
        self.0.alarm()
    }
}
