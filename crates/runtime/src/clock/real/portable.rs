//! Reading the time with nothing but the standard library.

use std::sync::OnceLock;
use std::time::Instant as StdInstant;

use crate::Instant;
use crate::instant::{ClockId, saturating_nanos};

/// Nanoseconds since the clock's first use.
pub(super) fn nanos_now() -> u64 {
    saturating_nanos(epoch().elapsed())
}

/// There is no coarser clock.
pub(super) fn coarse_nanos_now() -> u64 {
    nanos_now()
}

/// Whether it can be told cheaply that the time has not come; here it cannot.
pub(super) fn is_surely_before(_nanos: u64) -> bool {
    false
}

/// The point of real time at which a [`std::time::Instant`] lies; the epoch for one before that.
pub(crate) fn from_std(instant: StdInstant) -> Instant {
    let since_epoch = instant.saturating_duration_since(epoch());
    Instant::from_nanos(saturating_nanos(since_epoch)).of_clock(ClockId::REAL)
}

fn epoch() -> StdInstant {
    static EPOCH: OnceLock<StdInstant> = OnceLock::new();
    *EPOCH.get_or_init(StdInstant::now)
}
