//! [`Counters`]: how often what happened, of all that is not the happy path.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{EventKind, GiveUp};
use crate::Reason;

/// One counter for each thing that an event can tell. Nothing of it is touched while all goes well.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) retries: AtomicU64,
    pub(crate) gave_up: [AtomicU64; GiveUp::ALL.len()],
    pub(crate) timeouts: AtomicU64,
    pub(crate) rejected: [AtomicU64; Reason::ALL.len()],
    pub(crate) abandoned: AtomicU64,
    pub(crate) hedges_started: AtomicU64,
    pub(crate) hedges_won: AtomicU64,
    pub(crate) budget_spent: AtomicU64,
    pub(crate) fell_back: AtomicU64,
    pub(crate) served_stale: AtomicU64,
    pub(crate) faults: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, kind: &EventKind) {
        let counter = match kind {
            EventKind::Retry { .. } => &self.retries,
            EventKind::GaveUp { reason, .. } => &self.gave_up[Self::index(*reason)],
            EventKind::TimedOut { .. } => &self.timeouts,
            EventKind::Rejected { reason, .. } => &self.rejected[*reason as usize],
            EventKind::Abandoned { .. } => &self.abandoned,
            EventKind::HedgeStarted { .. } => &self.hedges_started,
            EventKind::HedgeWon { .. } => &self.hedges_won,
            EventKind::BudgetSpent => &self.budget_spent,
            EventKind::FellBack => &self.fell_back,
            EventKind::ServedStale { .. } => &self.served_stale,
            EventKind::FaultInjected { .. } => &self.faults,
            // A breaker counts its own changes.
            EventKind::Opened { .. }
            | EventKind::HalfOpened { .. }
            | EventKind::Closed { .. }
            | EventKind::WouldOpen { .. }
            | EventKind::ProbeLost { .. }
            | EventKind::Stale { .. }
            | EventKind::Reconfigured { .. } => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn index(reason: GiveUp) -> usize {
        reason as usize
    }
}
