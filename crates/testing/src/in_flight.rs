//! [`InFlight`]: how many are at it now, and how many were at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts how many are inside of something at once: a gauge for limits and for leaks.
///
/// Clones count together.
///
/// # Examples
/// ```
/// use weirs_testing::InFlight;
///
/// let in_flight = InFlight::new();
/// let one = in_flight.enter();
/// let two = in_flight.enter();
/// drop(one);
/// assert_eq!(in_flight.now(), 1);
/// assert_eq!(in_flight.peak(), 2);
/// # drop(two);
/// ```
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    now: AtomicUsize,
    peak: AtomicUsize,
    entered: AtomicUsize,
}

impl InFlight {
    /// A gauge at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more is inside, until the guard is dropped.
    #[must_use = "it counts until the guard is dropped"]
    pub fn enter(&self) -> InFlightGuard {
        let now = self.0.now.fetch_add(1, Ordering::AcqRel) + 1;
        self.0.peak.fetch_max(now, Ordering::AcqRel);
        self.0.entered.fetch_add(1, Ordering::AcqRel);
        InFlightGuard(Arc::clone(&self.0))
    }

    /// How many are inside.
    pub fn now(&self) -> usize {
        self.0.now.load(Ordering::Acquire)
    }

    /// How many were inside at once, at most.
    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::Acquire)
    }

    /// How many ever entered.
    pub fn entered(&self) -> usize {
        self.0.entered.load(Ordering::Acquire)
    }
}

/// One that is inside; made by [`InFlight::enter`].
#[derive(Debug)]
#[must_use = "it counts until the guard is dropped"]
pub struct InFlightGuard(Arc<Counts>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}
