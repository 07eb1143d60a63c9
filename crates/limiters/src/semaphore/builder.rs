//! [`SemaphoreBuilder`]: everything that can be set of a semaphore.

use weirs_runtime::Clock;

use super::queue::Queue;
use super::word::Word;
use super::{Mode, Semaphore};
use crate::line::{Counts, MAX_WAITERS};
use crate::sync::Mutex;

/// Makes a [`Semaphore`]; made by [`Semaphore::builder`].
///
/// # Examples
/// ```
/// use weirs_limiters::{Mode, Semaphore};
///
/// let semaphore = Semaphore::builder(8).mode(Mode::Barging { max_bypass: 16 }).max_waiters(10_000).build();
/// assert_eq!(semaphore.capacity(), 8);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it makes nothing until `build`"]
pub struct SemaphoreBuilder {
    capacity: u64,
    mode: Mode,
    max_waiters: usize,
    clock: Option<Clock>,
    counts: bool,
}

impl SemaphoreBuilder {
    pub(super) fn new(capacity: u64) -> Self {
        let fits = capacity <= Semaphore::MAX_CAPACITY;
        assert!(fits, "the capacity is above `Semaphore::MAX_CAPACITY`");
        Self { capacity, mode: Mode::Fair, max_waiters: MAX_WAITERS, clock: None, counts: false }
    }

    /// Who is next: [`Mode::Fair`] without it.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How many may wait: 1024 without it. With zero nobody waits, and [`Semaphore::acquire`] fails as
    /// [`Semaphore::try_acquire`] does.
    pub fn max_waiters(mut self, most: usize) -> Self {
        self.max_waiters = most;
        self
    }

    /// The clock in whose time deadlines are: real time without it.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Whether [`Semaphore::stats`] tells how often it said what, and for how long somebody has waited. Each
    /// answer then writes a counter, and each wait looks at the clock.
    pub fn counted(mut self, counted: bool) -> Self {
        self.counts = counted;
        self
    }

    /// Makes it.
    pub fn build(self) -> Semaphore {
        Semaphore {
            word: Word::new(self.capacity),
            queue: Mutex::new(Queue::new(self.mode, self.capacity, self.max_waiters)),
            clock: self.clock.unwrap_or_default(),
            counts: Counts::new(self.counts),
        }
    }
}
