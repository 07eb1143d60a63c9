//! [`BreakerStats`] and [`BreakerSnapshot`]: looks at a breaker, for people and for later.

use std::time::Duration;

use super::{Circuit, Counts};

/// A look at a [`Breaker`](crate::Breaker).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerStats {
    /// What it does with calls. An open circuit is open until somebody comes after its time.
    pub circuit: Circuit,
    /// For how long it has done that.
    pub for_time: Duration,
    /// How often it changed so far.
    pub generation: u32,
    /// How often it opened so far.
    pub openings: u64,
    /// How often it opened in a row, without a while of peace between.
    pub openings_in_a_row: u32,
    /// Failures in a row, if it has a rule for them.
    pub consecutive_failures: u32,
    /// What is in the window.
    pub counts: Counts,
    /// Calls that were refused because it was open.
    pub rejected_open: u64,
    /// Calls that were refused because all probes were out.
    pub rejected_half_open: u64,
    /// Calls that were refused because a hand opened it.
    pub rejected_forced: u64,
    /// Ends of calls that came from before its last change.
    pub stale: u64,
    /// Calls that were dropped before their end.
    pub abandoned: u64,
    /// How often probes were lost, and others were let through.
    pub probes_lost: u64,
}

/// What a breaker knows of the other side, to be kept over a restart: plain data without a clock's time.
///
/// Made by [`Breaker::snapshot`](crate::Breaker::snapshot), used by
/// [`Breaker::restore`](crate::Breaker::restore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerSnapshot {
    /// What it did with calls. Half open is restored as open whose time has come.
    pub circuit: Circuit,
    /// In how long an open circuit tries the other side.
    pub opens_in: Option<Duration>,
    /// Why a hand opened it.
    pub forced_because: Option<String>,
    /// How often it opened in a row.
    pub trips: u32,
    /// How often it opened.
    pub openings: u64,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// What was in the window.
    pub counts: Counts,
}
