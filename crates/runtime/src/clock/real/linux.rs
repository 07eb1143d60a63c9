//! Reading the time on Linux: straight from the system, and roughly where that will do.
//!
//! The standard library asks the same clock, but takes its instants apart and together again on the way; and
//! it has no coarse clock. Measured, a sleep that is made, polled once and dropped costs 20 ns less, of 70:
//! that is what the two `unsafe` blocks below buy.

use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::time::Instant as StdInstant;

use crate::Instant;
use crate::instant::{ClockId, saturating_nanos};

/// Nanoseconds since the machine was started.
#[inline]
pub(super) fn nanos_now() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The same at the system's last tick.
#[inline]
pub(super) fn coarse_nanos_now() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

/// Whether it can be told cheaply that the time has not come.
///
/// The coarse clock gives the time at the system's last tick, some milliseconds ago. Where it lags by more
/// than the margin, as it may when a processor was taken away, the answer is wrong, which costs a sleep a
/// detour: it is registered, and the clock's thread ends it at once.
#[inline]
pub(super) fn is_surely_before(nanos: u64) -> bool {
    /// Five ticks of the usual four milliseconds, two of the slowest.
    const MARGIN: u64 = 20_000_000;
    nanos > coarse_nanos_now() + MARGIN
}

/// The point of real time at which a [`std::time::Instant`] lies; the epoch for one before that.
pub(crate) fn from_std(instant: StdInstant) -> Instant {
    static SAME_MOMENT: OnceLock<(StdInstant, u64)> = OnceLock::new();
    let &(standard, nanos) = SAME_MOMENT.get_or_init(same_moment);
    let nanos = match instant.checked_duration_since(standard) {
        Some(later) => nanos.saturating_add(saturating_nanos(later)),
        None => nanos.saturating_sub(saturating_nanos(standard - instant)),
    };
    Instant::from_nanos(nanos).of_clock(ClockId::REAL)
}

/// The same moment by both clocks, as near as one can read them: ours is read first, so the mapping is
/// rather early than late, and a deadline made from it does not lie after the one that was meant.
fn same_moment() -> (StdInstant, u64) {
    const CLOSE_TOGETHER: u64 = 1_000;
    let mut nanos = nanos_now();
    for _ in 0..100 {
        let standard = StdInstant::now();
        let after = nanos_now();
        if after - nanos <= CLOSE_TOGETHER {
            return (standard, nanos);
        }
        nanos = after;
    }
    (StdInstant::now(), nanos)
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is valid for the write of a `timespec`.
    let status = unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) };
    assert_eq!(status, 0, "Linux has these two clocks since 2.6.32");
    // SAFETY: the call succeeded, so it has written the time.
    let time = unsafe { time.assume_init() };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
