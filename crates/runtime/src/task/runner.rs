//! The executor's part of a task, without a box of its own.
//!
//! An executor takes a `FutureObj`: a raw pointer to a future, and how to drop it. Here that future is a
//! [`Slot`] that lies inside the task's cell, so that a spawn makes one allocation of ours and not two.
//! Measured when it came, a thousand empty tasks spawned and joined, as a multiple of the executor's own:
//! tokio on one thread 1.13 (boxed: 1.72), smol 1.70 (1.91), async-std, where one thread frees what another
//! allocates, 1.47 (2.94).
//!
//! 1. A cell has one [`Runner`], which owns one count of the cell's [`Arc`].
//! 2. Only the runner, or the executor that holds it as a `FutureObj`, touches the cell's slot: everybody
//!    else reaches the cell through a shared reference, under which the slot's [`UnsafeCell`] lets it be
//!    borrowed.

use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_task::UnsafeFutureObj;

use super::JoinError;
use super::cell::Cell;
use super::ticket::{Plain, Ticketing};

/// The executor's part of a task. Dropped before the task is over, it reports the task as lost.
pub(crate) struct Runner<F: Future, K: Ticketing<F> = Plain>(Arc<Cell<F, K>>);

impl<F: Future, K: Ticketing<F>> Runner<F, K> {
    /// The runner of this cell; there must be but one. The watchers hear of the task.
    pub(crate) fn new(cell: Arc<Cell<F, K>>) -> Self {
        cell.announce();
        Self(cell)
    }

    /// One poll on behalf of the executor.
    pub(crate) fn run(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.run(cx)
    }

    /// Ends the task for this reason, unless it is over.
    pub(crate) fn end(&self, reason: JoinError) {
        self.0.end(reason);
    }
}

impl<F: Future, K: Ticketing<F>> Drop for Runner<F, K> {
    fn drop(&mut self) {
        self.end(JoinError::Lost);
    }
}

/// What the executor's raw pointer points to: knows the way back to the cell.
pub(super) struct Slot<F: Future, K: Ticketing<F>>(*const Cell<F, K>);

impl<F: Future, K: Ticketing<F>> Slot<F, K> {
    pub(super) const fn empty() -> UnsafeCell<Self> {
        UnsafeCell::new(Self(ptr::null()))
    }
}

// SAFETY: the pointer is only ever that of the cell around it; who may touch it is for rule 2 to say,
// whatever the thread. A cell whose future may not leave its thread is itself neither `Send` nor shared.
unsafe impl<F: Future, K: Ticketing<F>> Send for Slot<F, K> {}

impl<F: Future, K: Ticketing<F>> Future for Slot<F, K> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the pointer was set in `into_raw`, and the count that came with it keeps the cell alive
        // (rule 1).
        let cell = unsafe { &*self.0 };
        cell.run(cx)
    }
}

// SAFETY: the pointer given out is valid until it is given to `drop`: it points into the cell, of which the
// runner's count is held meanwhile; a cell in an `Arc` does not move.
unsafe impl<'a, F: Future + 'a, K: Ticketing<F> + 'a> UnsafeFutureObj<'a, ()> for Runner<F, K> {
    fn into_raw(self) -> *mut (dyn Future<Output = ()> + 'a) {
        let runner = ManuallyDrop::new(self);
        // SAFETY: the runner is not dropped, so this moves its count out, once.
        let cell = Arc::into_raw(unsafe { ptr::read(&runner.0) });
        // SAFETY: the cell is alive. Only its slot is borrowed here, and nobody else touches that (rule 2).
        unsafe {
            let slot = UnsafeCell::raw_get(&raw const (*cell).slot);
            (*slot).0 = cell;
            slot
        }
    }

    unsafe fn drop(future: *mut (dyn Future<Output = ()> + 'a)) {
        // SAFETY: by the caller's word this is the pointer that `into_raw` gave out, and the last use of it.
        let cell = unsafe { Arc::from_raw((*future.cast::<Slot<F, K>>()).0) };
        drop(Self(cell));
    }
}

impl<F: Future, K: Ticketing<F>> fmt::Debug for Runner<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
