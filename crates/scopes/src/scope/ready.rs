//! [`Ready`]: which children want to be polled, in the order in which they were woken.
//!
//! Wakers hold it, and wakers may outlive whatever the children borrow: so it holds keys, and no child.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Names one entry of a scope; a stale one names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// The scope's own body.
    pub(crate) const BODY: Self = Self { slot: u32::MAX, generation: 0 };
    /// Whatever else the scope has to look after: its token.
    pub(crate) const CONTROL: Self = Self { slot: u32::MAX, generation: 1 };
}

/// A queue of the woken, and whoever polls them.
pub(crate) struct Ready(Mutex<Queue>);

struct Queue {
    keys: Vec<Key>,
    /// Set while nobody looks at the queue: the first key wakes it.
    parked: Option<Waker>,
}

impl Ready {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Queue { keys: Vec::new(), parked: None }))
    }

    /// Queues the key, and wakes whoever waits for keys.
    pub(crate) fn push(&self, key: Key) {
        let parked = {
            let mut queue = self.lock();
            queue.keys.push(key);
            queue.parked.take()
        };
        if let Some(waker) = parked {
            waker.wake();
        }
    }

    /// All keys, in exchange for an empty list; and the waker that was parked, so that it may be used again.
    pub(crate) fn take(&self, empty: &mut Vec<Key>) -> Option<Waker> {
        debug_assert!(empty.is_empty());
        let mut queue = self.lock();
        mem::swap(&mut queue.keys, empty);
        queue.parked.take()
    }

    /// Leaves the waker here, to be woken by the next key; gives it back when there is one already.
    pub(crate) fn park(&self, waker: Waker) -> Result<(), Waker> {
        let mut queue = self.lock();
        if !queue.keys.is_empty() {
            return Err(waker);
        }
        let before = queue.parked.replace(waker);
        drop(queue);
        drop(before);
        Ok(())
    }

    // No user code runs under this lock, so nothing can poison it half-way.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
