//! [`Bell`]: those who wait for the same thing, woken together.

use std::task::{Wake, Waker};

use crate::sync::{Arc, AtomicU64, Mutex, Ordering, lock};

/// Wakers by number. It is the waker of the source: whoever needs the next item wants to be woken, and each
/// of them will have one, so a ring wakes them all. Nobody depends on another's being polled.
#[derive(Default)]
pub(super) struct Bell {
    waiting: Mutex<Vec<Option<Waker>>>,
    /// How often it rang.
    rings: AtomicU64,
}

impl Bell {
    /// Has this one woken at the next ring.
    pub(super) fn join(&self, number: usize, waker: &Waker) {
        let known = {
            let waiting = lock(&self.waiting);
            waiting.get(number).and_then(Option::as_ref).is_some_and(|known| known.will_wake(waker))
        };
        if !known {
            let waker = waker.clone();
            let before = {
                let mut waiting = lock(&self.waiting);
                if waiting.len() <= number {
                    waiting.resize_with(number + 1, || None);
                }
                waiting[number].replace(waker)
            };
            drop(before);
        }
    }

    /// This one does not wait any more.
    pub(super) fn leave(&self, number: usize) {
        let waker = lock(&self.waiting).get_mut(number).and_then(Option::take);
        drop(waker);
    }

    pub(super) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Acquire)
    }

    /// Wakes all who wait.
    pub(super) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::AcqRel);
        let mut from = 0;
        loop {
            // One at a time, outside the lock: those who come back at once are not woken again.
            let waker = {
                let mut waiting = lock(&self.waiting);
                let next = waiting.iter().skip(from).position(Option::is_some);
                let Some(next) = next else { return };
                from += next + 1;
                waiting[from - 1].take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// The bell as a waker.
pub(super) struct Rope(pub(super) Arc<Bell>);

impl Wake for Rope {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.ring();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.0.ring();
    }
}
