//! [`ChaosSwitch`]: on and off, and what was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use weirs_runtime::Instant;

use super::faults::Fault;

/// Turns [`Chaos`](super::Chaos) on and off, and counts what it does. Clones are the same switch; it begins
/// off.
#[derive(Clone, Debug, Default)]
pub struct ChaosSwitch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    enabled: AtomicBool,
    /// When the script began, in nanoseconds, or `NOT_YET`.
    start: AtomicU64,
    counts: Counts,
}

const NOT_YET: u64 = u64::MAX;

impl Default for Shared {
    fn default() -> Self {
        Self { enabled: AtomicBool::new(false), start: AtomicU64::new(NOT_YET), counts: Counts::default() }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) delays: AtomicU64,
    errors: AtomicU64,
    outcomes: AtomicU64,
    hangs: AtomicU64,
    panics: AtomicU64,
    cancelled: AtomicU64,
    lost: AtomicU64,
}

/// How often which fault was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChaosStats {
    /// Attempts that came late.
    pub delays: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Attempts with another result.
    pub outcomes: u64,
    /// Attempts that hung.
    pub hangs: u64,
    /// Attempts that panicked.
    pub panics: u64,
    /// Attempts whose work was dropped half-way, or was ready before that.
    pub cancelled: u64,
    /// Attempts whose answer was lost.
    pub lost: u64,
}

impl ChaosSwitch {
    /// One that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// From the next attempt on there are faults.
    pub fn enable(&self) {
        self.0.enabled.store(true, Ordering::Relaxed);
    }

    /// From the next attempt on there are none.
    pub fn disable(&self) {
        self.0.enabled.store(false, Ordering::Relaxed);
    }

    /// Whether it is on.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        // It orders nothing.
        self.0.enabled.load(Ordering::Relaxed)
    }

    /// A script without a fixed start begins anew with the next attempt.
    pub fn restart(&self) {
        self.0.start.store(NOT_YET, Ordering::Relaxed);
    }

    /// What was done so far.
    pub fn stats(&self) -> ChaosStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { delays, errors, outcomes, hangs, panics, cancelled, lost } = &self.0.counts;
        ChaosStats {
            delays: of(delays),
            errors: of(errors),
            outcomes: of(outcomes),
            hangs: of(hangs),
            panics: of(panics),
            cancelled: of(cancelled),
            lost: of(lost),
        }
    }

    /// When the script began: now, if it had not.
    pub(super) fn started(&self, now: Instant) -> Instant {
        let start = &self.0.start;
        match start.compare_exchange(NOT_YET, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => now,
            // It is of the same clock: as far before now as the numbers say.
            Err(began) => now - Duration::from_nanos(now.as_nanos().saturating_sub(began)),
        }
    }

    pub(super) fn count(&self, which: impl FnOnce(&Counts) -> &AtomicU64) {
        which(&self.0.counts).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_fault<T, E>(&self, fault: &Fault<T, E>) {
        self.count(|counts| match fault {
            Fault::Result(_, "error") => &counts.errors,
            Fault::Result(..) => &counts.outcomes,
            Fault::Hang => &counts.hangs,
            Fault::Panic => &counts.panics,
            Fault::Die(..) => &counts.cancelled,
            Fault::Lose(_) => &counts.lost,
        });
    }
}
