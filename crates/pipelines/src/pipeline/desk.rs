//! [`Desk`]: what a stage counts.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use weirs_runtime::Instant;

use super::gauge::{Gauge, Waits};
use super::stats::StageStats;

/// What a stage counts. Most are written by whoever polls the stage alone.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(super) name: &'static str,
    /// Changed by a stage whose number of workers changes.
    pub(super) workers: AtomicUsize,
    pub(super) taken: AtomicU64,
    pub(super) given: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Written by whoever polls the stage, and by what is left of it.
    pub(super) expired: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    /// Written by several: the workers.
    pub(super) retried: AtomicU64,
    pub(super) interrupted: AtomicU64,
    pub(super) handed_back: AtomicU64,
    pub(super) place_failures: AtomicU64,
    pub(super) edge: Option<Arc<Edge>>,
    /// If the pipeline is measured.
    pub(super) gauge: Option<Gauge>,
}

/// What a boundary before a stage counts.
#[derive(Debug, Default)]
pub(super) struct Edge {
    /// The stage after it.
    pub(super) before: OnceLock<&'static str>,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) dropped: AtomicU64,
    /// Whether it was told that it is full.
    pub(super) full: AtomicBool,
    /// If the pipeline is measured.
    pub(super) waits: Option<Waits>,
}

impl Edge {
    /// How many wait.
    pub(super) fn queued(&self) -> u64 {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let gone = get(&self.received) + get(&self.dropped);
        get(&self.sent).saturating_sub(gone)
    }
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
    pub(super) fn resize(&self, workers: usize) {
        self.workers.store(workers, Ordering::Relaxed);
    }

    /// At this time, if the pipeline is measured.
    pub(super) fn stats(&self, now: Option<Instant>) -> StageStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (taken, given) = (get(&self.taken), get(&self.given));
        let (failed, interrupted, handed_back) =
            (get(&self.failed), get(&self.interrupted), get(&self.handed_back));
        let (queued, dropped) = self.edge.as_ref().map_or((0, 0), |edge| (edge.queued(), get(&edge.dropped)));
        let expired = get(&self.expired);
        let measured = self.gauge.as_ref().zip(now).map(|(gauge, now)| gauge.look(now));
        StageStats {
            name: self.name,
            workers: self.workers.load(Ordering::Relaxed),
            taken,
            given,
            failed,
            expired,
            skipped: get(&self.skipped),
            dead_lettered: get(&self.dead_lettered),
            retried: get(&self.retried),
            interrupted,
            handed_back,
            in_flight: taken.saturating_sub(given + failed + expired + interrupted + handed_back),
            queued,
            overflowed: dropped,
            place_failures: get(&self.place_failures),
            times: measured.and_then(|(times, _)| times),
            buffered: self.edge.as_ref().and_then(|edge| edge.waits.as_ref()).map(Waits::look),
            recent: measured.map(|(_, recent)| recent),
        }
    }
}
