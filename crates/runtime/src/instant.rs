//! [`Instant`]: a point in the time of one clock.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A point in time: nanoseconds since the epoch of the [`Clock`](crate::Clock) that made it.
///
/// It is one `u64`, so it fits an atomic and means the same on every platform and in the simulator. All real
/// clocks of a process share one epoch; a simulated or manual clock starts at zero. Arithmetic saturates:
/// [`Instant::FAR_FUTURE`] is the latest instant, about 584 years after the epoch, and stands for "never".
///
/// Instants of different clocks do not mix. In builds with debug assertions each one also remembers which
/// clock made it, and comparing or subtracting two of different clocks panics.
///
/// # Panics
/// Comparison and subtraction, as said, in builds with debug assertions only. So does handing an instant of
/// one clock to another, as a deadline.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Clock, Instant};
///
/// let clock = Clock::default();
/// let deadline = clock.now() + Duration::from_secs(2);
/// assert!(clock.now() < deadline);
/// assert!(deadline < Instant::FAR_FUTURE);
///
/// // Without a clock: as tests and `*_at(now)` methods like it.
/// let start = Instant::from_nanos(0);
/// assert_eq!(start + Duration::from_nanos(5), Instant::from_nanos(5));
/// ```
#[derive(Clone, Copy)]
pub struct Instant {
    nanos: u64,
    #[cfg(debug_assertions)]
    clock: ClockId,
}

impl Instant {
    /// The latest instant there is: a deadline that never comes.
    pub const FAR_FUTURE: Self = Self::from_nanos(u64::MAX);

    /// The instant that many nanoseconds after an epoch, of no clock in particular: it may be compared with
    /// the instants of any clock, so it is for whoever keeps time in an atomic or makes it up in a test.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self {
            nanos,
            #[cfg(debug_assertions)]
            clock: ClockId::ANY,
        }
    }

    /// Nanoseconds since the clock's epoch.
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// Time since `earlier`, or zero when that is later.
    ///
    /// # Panics
    /// With debug assertions, when the two come from different clocks.
    #[track_caller]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        self.assert_same_clock(earlier);
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// Time since `earlier`, or `None` when that is later.
    ///
    /// # Panics
    /// With debug assertions, when the two come from different clocks.
    #[track_caller]
    pub fn checked_since(self, earlier: Self) -> Option<Duration> {
        self.assert_same_clock(earlier);
        self.nanos.checked_sub(earlier.nanos).map(Duration::from_nanos)
    }

    /// The same instant as made by the clock `id`.
    pub(crate) const fn of_clock(self, id: ClockId) -> Self {
        let _ = id;
        Self {
            nanos: self.nanos,
            #[cfg(debug_assertions)]
            clock: id,
        }
    }

    /// Panics with debug assertions, unless it comes from that clock or from none in particular.
    #[inline]
    #[track_caller]
    pub(crate) fn assert_of_clock(self, id: ClockId) {
        self.assert_same_clock(Self::from_nanos(0).of_clock(id));
    }

    #[inline]
    #[track_caller]
    fn assert_same_clock(self, other: Self) {
        let _ = other;
        #[cfg(debug_assertions)]
        assert!(
            self.clock == other.clock || self.clock == ClockId::ANY || other.clock == ClockId::ANY,
            "instants of two different clocks meet: {self:?} and {other:?}; take both from one clock",
        );
    }
}

/// Tells clocks apart in builds with debug assertions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockId(pub(crate) u32);

impl ClockId {
    /// Of no clock in particular: compares with all.
    #[cfg(debug_assertions)]
    pub(crate) const ANY: Self = Self(0);
    /// All real clocks of the process.
    pub(crate) const REAL: Self = Self(1);
}

/// Saturates at [`Instant::FAR_FUTURE`].
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(mut self, duration: Duration) -> Self {
        self += duration;
        self
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.nanos = self.nanos.saturating_add(saturating_nanos(duration));
    }
}

/// Saturates at the epoch.
impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(mut self, duration: Duration) -> Self {
        self -= duration;
        self
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.nanos = self.nanos.saturating_sub(saturating_nanos(duration));
    }
}

/// [`Instant::saturating_since`].
impl Sub for Instant {
    type Output = Duration;

    #[track_caller]
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl PartialEq for Instant {
    #[track_caller]
    fn eq(&self, other: &Self) -> bool {
        self.assert_same_clock(*other);
        self.nanos == other.nanos
    }
}

impl Eq for Instant {}

impl PartialOrd for Instant {
    #[track_caller]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Instant {
    #[track_caller]
    fn cmp(&self, other: &Self) -> Ordering {
        self.assert_same_clock(*other);
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Instant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == u64::MAX {
            return f.write_str("Instant(far future)");
        }
        write!(f, "Instant({:?}", Duration::from_nanos(self.nanos))?;
        #[cfg(debug_assertions)]
        match self.clock {
            ClockId::ANY => {}
            ClockId::REAL => f.write_str(" of the real clock")?,
            ClockId(id) => write!(f, " of clock {id}")?,
        }
        f.write_str(")")
    }
}

/// The duration in nanoseconds, or the most there can be. (`Duration::as_nanos` counts in 128 bits, which
/// costs more.)
pub(crate) fn saturating_nanos(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let start = Instant::from_nanos(10);
        assert_eq!(start + Duration::MAX, Instant::FAR_FUTURE);
        assert_eq!(Instant::FAR_FUTURE + Duration::from_nanos(1), Instant::FAR_FUTURE);
        assert_eq!(start - Duration::MAX, Instant::from_nanos(0));
        assert_eq!(start - Instant::from_nanos(30), Duration::ZERO);
        assert_eq!(start.checked_since(Instant::from_nanos(30)), None);
        assert_eq!(start.checked_since(Instant::from_nanos(4)), Some(Duration::from_nanos(6)));
    }

    #[test]
    fn an_instant_of_no_clock_compares_with_any() {
        let real = Instant::from_nanos(7).of_clock(ClockId::REAL);
        let other = Instant::from_nanos(7).of_clock(ClockId(9));
        let free = Instant::from_nanos(7);
        assert_eq!(real, free);
        assert_eq!(free, other);
        assert!(free <= other);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "two different clocks")]
    fn instants_of_two_clocks_do_not_compare() {
        let one = Instant::from_nanos(7).of_clock(ClockId::REAL);
        let two = Instant::from_nanos(7).of_clock(ClockId(9));
        let _ = one < two;
    }

    #[test]
    fn debug_reads_as_time() {
        assert_eq!(format!("{:?}", Instant::from_nanos(1_500_000)), "Instant(1.5ms)");
        assert_eq!(format!("{:?}", Instant::FAR_FUTURE), "Instant(far future)");
    }
}
