//! [`Waiters`]: those who want to know when the circuit changes.

use std::task::Waker;

use weirs_runtime::waiting::{Ticket, Waiters as Queue, Wakes, let_go};

use crate::sync::{AtomicUsize, Mutex, Ordering, lock};

/// A queue that is called as a whole.
#[derive(Default)]
pub(super) struct Waiters {
    waiting: AtomicUsize,
    queue: Mutex<Queue<()>>,
}

impl Waiters {
    /// Wakes this one at the next change. To be called before one looks at the circuit.
    pub(super) fn register(&self, ticket: &mut Option<Ticket>, waker: &Waker) {
        let waker = waker.clone();
        if ticket.is_none() {
            self.waiting.fetch_add(1, Ordering::SeqCst);
        }
        let mut queue = lock(&self.queue);
        let before = match *ticket {
            Some(known) if queue.is_queued(known) => queue.replace(known, waker),
            called => {
                let before = called.and_then(|called| queue.leave(called));
                *ticket = Some(queue.join(waker, ()));
                before
            }
        };
        drop(queue);
        let_go(before);
    }

    pub(super) fn leave(&self, ticket: &mut Option<Ticket>) {
        let Some(ticket) = ticket.take() else { return };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let gone = lock(&self.queue).leave(ticket);
        let_go(gone);
    }

    /// Wakes all. To be called after the circuit changed.
    #[inline]
    pub(super) fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake_all();
        }
    }

    #[cold]
    fn wake_all(&self) {
        // Those who come while it wakes have looked after the change.
        let mut left = lock(&self.queue).len();
        while left > 0 {
            let mut wakes = Wakes::default();
            let mut queue = lock(&self.queue);
            while left > 0 && !wakes.is_full() {
                left -= 1;
                queue.call_first().into_iter().for_each(|waker| wakes.add(waker));
            }
        }
    }
}
