//! [`Word`]: the free permits and two marks in one atomic word.

use crate::sync::{AtomicU64, Ordering};

/// Somebody waits. It is set and taken away under the lock of the queue. Whoever gives permits back adds
/// them to this very word, so either it sees the mark, or whoever set the mark sees the permits.
const WAITED_FOR: u64 = 1;
const CLOSED: u64 = 2;
const MARKS: u64 = WAITED_FOR | CLOSED;
/// One permit. What is above the marks is a signed number: below zero when the capacity was made smaller than
/// what is held.
const ONE: u64 = 4;
const SHIFT: u32 = 2;

/// See the module.
pub(super) struct Word(AtomicU64);

impl Word {
    pub(super) fn new(permits: u64) -> Self {
        Self(AtomicU64::new(permits * ONE))
    }

    /// Takes permits if so many are free; not if somebody waits or it is closed.
    #[inline]
    pub(super) fn take_if_nobody_waits(&self, n: u64) -> bool {
        self.take_unless(n, MARKS)
    }

    /// Takes permits if so many are free, whoever waits.
    #[inline]
    pub(super) fn take(&self, n: u64) -> bool {
        self.take_unless(n, 0)
    }

    #[inline]
    fn take_unless(&self, n: u64, marks: u64) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & marks != 0 || free(word) < n {
                return false;
            }
            // Acquire: what was done with these permits before is done.
            let next = word - n * ONE;
            match self.0.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Gives permits back; whether somebody waits, and is to be served.
    #[inline]
    pub(super) fn give_back(&self, n: u64) -> bool {
        // Release: see `take`.
        self.0.fetch_add(n * ONE, Ordering::Release) & WAITED_FOR != 0
    }

    /// Takes permits whether or not they are free.
    pub(super) fn owe(&self, n: u64) {
        self.0.fetch_sub(n * ONE, Ordering::Relaxed);
    }

    /// A mark that is there is left alone: it changes under the lock of the queue only, and a write costs.
    pub(super) fn mark_waited_for(&self) {
        if self.0.load(Ordering::Acquire) & WAITED_FOR == 0 {
            self.0.fetch_or(WAITED_FOR, Ordering::AcqRel);
        }
    }

    pub(super) fn unmark_waited_for(&self) {
        if self.0.load(Ordering::Acquire) & WAITED_FOR != 0 {
            self.0.fetch_and(!WAITED_FOR, Ordering::AcqRel);
        }
    }

    pub(super) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(super) fn available(&self) -> u64 {
        free(self.0.load(Ordering::Acquire))
    }

    pub(super) fn held(&self, capacity: u64) -> u64 {
        let free = self.0.load(Ordering::Acquire) as i64 >> SHIFT;
        capacity.saturating_add_signed(-free)
    }
}

#[inline]
fn free(word: u64) -> u64 {
    // Below zero it is none.
    (word as i64 >> SHIFT).max(0) as u64
}
