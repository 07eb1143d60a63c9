//! [`Woken`]: which slots were woken, and whom to tell of it.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The slots that were woken since they were last polled.
///
/// No foreign code runs under the lock.
pub(super) struct Woken {
    /// Which slots stand in the queue or in the batch that was taken out of it: each stands there once.
    queued: Box<[AtomicBool]>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    slots: Vec<usize>,
    task: Option<Waker>,
    closed: bool,
}

impl Woken {
    /// So many slots, all of them taken out of the queue and not yet polled.
    pub(super) fn all(slots: usize) -> Self {
        Self { queued: (0..slots).map(|_| AtomicBool::new(true)).collect(), queue: Mutex::default() }
    }

    /// Exchanges the queue for an empty list.
    pub(super) fn swap(&self, empty: &mut Vec<usize>) {
        mem::swap(&mut self.lock().slots, empty);
    }

    /// From now on the slot can be woken again.
    pub(super) fn is_polled(&self, slot: usize) {
        // A read and a write in one: the poll that follows sees what was done before any wake that found the
        // flag set, and so queued nothing.
        self.queued[slot].swap(false, Ordering::AcqRel);
    }

    /// Has `task` woken with the next slot. False if one was woken already, and nothing is arranged.
    pub(super) fn wait(&self, task: &Waker) -> bool {
        let queue = self.lock();
        if !queue.slots.is_empty() {
            return false;
        }
        let known = queue.task.as_ref().is_some_and(|known| known.will_wake(task));
        drop(queue);
        if !known {
            // Cloning and dropping a waker is foreign code.
            let task = task.clone();
            let mut queue = self.lock();
            let last = queue.task.replace(task);
            let missed = !queue.slots.is_empty();
            drop(queue);
            drop(last);
            return !missed;
        }
        true
    }

    /// Nobody is there any more.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let task = queue.task.take();
        drop(queue);
        drop(task);
    }

    fn wake(&self, slot: usize) {
        if self.queued[slot].swap(true, Ordering::AcqRel) {
            return;
        }
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        queue.slots.push(slot);
        let task = queue.task.take();
        drop(queue);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of one slot.
pub(super) struct SlotWaker {
    pub(super) woken: Arc<Woken>,
    pub(super) slot: usize,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.woken.wake(self.slot);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.wake(self.slot);
    }
}
