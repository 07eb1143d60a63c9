//! Tasks that own tasks that own tasks, without running out of stack.
//!
//! Cancelling an idle task, and letting go of a finished one, runs destructors, which may drop handles and
//! so cancel or let go of further tasks. Up to a depth these calls nest, so that each returns when all is
//! done; deeper ones are put aside and carried out, in order, before the outermost returns, or before one
//! further in waits for a task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use super::cell::Cancel;

/// Deep enough for any ordinary program, shallow enough for a thread with a small stack.
const MAX_DEPTH: usize = 32;

/// What is to be done to a task.
type Work = fn(&dyn Cancel);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static PUT_ASIDE: RefCell<VecDeque<(Arc<dyn Cancel>, Work)>> = const { RefCell::new(VecDeque::new()) };
}

/// Does it now, or before the outermost call of this thread returns.
pub(super) fn nest(task: Arc<dyn Cancel>, work: Work) {
    // While a thread is torn down its locals may be gone; then there is no outermost call to count on.
    let Ok(depth) = DEPTH.try_with(Cell::get) else {
        return work(&*task);
    };
    if depth >= MAX_DEPTH {
        let put_aside = (Arc::clone(&task), work);
        if PUT_ASIDE.try_with(|tasks| tasks.borrow_mut().push_back(put_aside)).is_err() {
            work(&*task);
        }
        return;
    }
    let _nested = Nested::new(depth);
    work(&*task);
    if depth == 0 {
        settle();
    }
}

/// Carries out what was put aside on this thread; tells whether there was anything.
pub(super) fn settle() -> bool {
    let mut settled = false;
    while let Ok(Some((task, work))) = PUT_ASIDE.try_with(|tasks| tasks.borrow_mut().pop_front()) {
        work(&*task);
        settled = true;
    }
    settled
}

/// One level deeper, until it is dropped.
struct Nested {
    before: usize,
}

impl Nested {
    fn new(before: usize) -> Self {
        let _ = DEPTH.try_with(|depth| depth.set(before + 1));
        Self { before }
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(self.before));
    }
}
