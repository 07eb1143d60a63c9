//! [`Desk`]: what a stage counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::stats::StageStats;

/// What a stage counts. Most are written by whoever polls the stage alone.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(super) name: &'static str,
    pub(super) workers: usize,
    pub(super) taken: AtomicU64,
    pub(super) given: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    /// Written by several: the workers.
    pub(super) retried: AtomicU64,
    pub(super) interrupted: AtomicU64,
    pub(super) handed_back: AtomicU64,
    pub(super) place_failures: AtomicU64,
    pub(super) edge: Option<Arc<Edge>>,
}

/// What a boundary before a stage counts.
#[derive(Debug, Default)]
pub(super) struct Edge {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// Counts, where only one writes.
#[inline]
pub(super) fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Counts, where several write.
#[inline]
pub(super) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

impl Desk {
    pub(super) fn stats(&self) -> StageStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (taken, given) = (get(&self.taken), get(&self.given));
        let (failed, interrupted, handed_back) =
            (get(&self.failed), get(&self.interrupted), get(&self.handed_back));
        let (queued, dropped) = self.edge.as_ref().map_or((0, 0), |edge| {
            let (received, dropped) = (get(&edge.received), get(&edge.dropped));
            (get(&edge.sent).saturating_sub(received + dropped), dropped)
        });
        StageStats {
            name: self.name,
            workers: self.workers,
            taken,
            given,
            failed,
            skipped: get(&self.skipped),
            dead_lettered: get(&self.dead_lettered),
            retried: get(&self.retried),
            interrupted,
            handed_back,
            in_flight: taken.saturating_sub(given + failed + interrupted + handed_back),
            queued,
            overflowed: dropped,
            place_failures: get(&self.place_failures),
        }
    }
}
