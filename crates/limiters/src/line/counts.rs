//! [`Counts`]: how often a limiter said what, if its owner wants to know.

use std::sync::atomic::AtomicU64 as Count;
use std::sync::atomic::Ordering::Relaxed;

use crate::Denied;

/// Nothing is written unless it was asked for: a refusal is to cost no write that others see.
pub(crate) struct Counts(Option<Box<Counters>>);

#[derive(Default)]
struct Counters {
    admitted: Count,
    cells: Count,
    later: Count,
    too_large: Count,
    queue_full: Count,
    deadline: Count,
    closed: Count,
}

/// How often a limiter said what. Who gave up waiting is in none of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// Requests that were admitted, at once or after a wait; reservations too.
    pub admitted: u64,
    /// What they cost together.
    pub cells: u64,
    /// Refusals of those who did not want to wait, or could not: it is not there yet, or held by others.
    pub later: u64,
    /// Requests for more than can ever be admitted.
    pub too_large: u64,
    /// Refusals because too many waited.
    pub queue_full: u64,
    /// Refusals because of a deadline.
    pub deadline: u64,
    /// Refusals after the limiter was closed.
    pub closed: u64,
}

impl Counts {
    pub(crate) fn new(counts: bool) -> Self {
        Self(counts.then(Box::default))
    }

    #[inline]
    pub(crate) fn count<T>(&self, cost: u64, result: &Result<T, Denied>) {
        if let Some(counters) = &self.0 {
            counters.count(cost, result);
        }
    }

    /// Where an admission is all there is to count.
    #[inline]
    pub(crate) fn admit(&self, cost: u64) {
        if let Some(counters) = &self.0 {
            counters.count::<()>(cost, &Ok(()));
        }
    }

    /// Whether anything is counted.
    #[inline]
    pub(crate) fn are_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn read(&self) -> Option<Counted> {
        let counters = self.0.as_ref()?;
        Some(Counted {
            admitted: counters.admitted.load(Relaxed),
            cells: counters.cells.load(Relaxed),
            later: counters.later.load(Relaxed),
            too_large: counters.too_large.load(Relaxed),
            queue_full: counters.queue_full.load(Relaxed),
            deadline: counters.deadline.load(Relaxed),
            closed: counters.closed.load(Relaxed),
        })
    }
}

impl Counters {
    #[cold]
    fn count<T>(&self, cost: u64, result: &Result<T, Denied>) {
        let counter = match result {
            Ok(_) => {
                self.cells.fetch_add(cost, Relaxed);
                &self.admitted
            }
            Err(Denied::TooLarge { .. }) => &self.too_large,
            Err(Denied::QueueFull { .. }) => &self.queue_full,
            Err(Denied::WouldMissDeadline { .. } | Denied::DeadlinePassed) => &self.deadline,
            Err(Denied::Closed) => &self.closed,
            Err(_) => &self.later,
        };
        counter.fetch_add(1, Relaxed);
    }
}
