//! [`Bell`]: those who wait for the same thing, woken together.

use std::task::{Wake, Waker};

use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, lock};
use weirs_runtime::waiting::{let_go, wake};

/// Wakers by number. It is the waker of the source: whoever needs the next item wants to be woken, and each
/// of them will have one, so a ring wakes them all. Nobody depends on another's being polled.
#[derive(Default)]
pub(super) struct Bell {
    waiting: Mutex<Waiting>,
    /// The source had nothing, and was not woken since: to poll it again would be in vain.
    asleep: AtomicBool,
    /// How often it rang.
    rings: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    number: usize,
}

impl Waiting {
    fn take(&mut self, number: usize) -> Option<Waker> {
        let waker = self.wakers.get_mut(number).and_then(Option::take);
        self.number -= usize::from(waker.is_some());
        waker
    }
}

impl Bell {
    /// Whether the source has nothing, and will ring.
    pub(super) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Acquire)
    }

    /// Before a poll of the source: from now on a wake counts. After one that did not come to nothing.
    pub(super) fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::Release);
    }

    /// Has this one woken at the next ring.
    pub(super) fn join(&self, number: usize, waker: &Waker) {
        let known = {
            let waiting = lock(&self.waiting);
            waiting.wakers.get(number).and_then(Option::as_ref).is_some_and(|known| known.will_wake(waker))
        };
        if !known {
            let waker = waker.clone();
            let before = {
                let mut waiting = lock(&self.waiting);
                if waiting.wakers.len() <= number {
                    waiting.wakers.resize_with(number + 1, || None);
                }
                let before = waiting.wakers[number].replace(waker);
                waiting.number += usize::from(before.is_none());
                before
            };
            let_go(before);
        }
    }

    /// This one does not wait any more.
    pub(super) fn leave(&self, number: usize) {
        let waker = lock(&self.waiting).take(number);
        let_go(waker);
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
                if waiting.number == 0 {
                    return;
                }
                let next = waiting.wakers.iter().skip(from).position(Option::is_some);
                let Some(next) = next else { return };
                from += next + 1;
                waiting.take(from - 1)
            };
            waker.into_iter().for_each(wake);
        }
    }
}

/// The bell as a waker.
pub(super) struct Rope(pub(super) Arc<Bell>);

impl Wake for Rope {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.0.set_asleep(false);
        self.0.ring();
    }
}
