//! Cancelling tasks that own tasks that own tasks, without running out of stack.
//!
//! Cancelling an idle task runs its destructors, which may drop handles and so cancel further tasks. Up to a
//! depth these calls nest, so that each ends with its task gone; deeper ones are put aside and carried out,
//! in order, before the outermost call returns.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use super::cell::Cancel;

/// Deep enough for any ordinary program, shallow enough for a thread with a small stack.
const MAX_DEPTH: usize = 32;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static PUT_ASIDE: RefCell<VecDeque<Arc<dyn Cancel>>> = const { RefCell::new(VecDeque::new()) };
}

/// Cancels now, or before the outermost cancelling of this thread returns.
pub(super) fn cancel(task: Arc<dyn Cancel>) {
    // While a thread is torn down its locals may be gone; then there is no outermost call to count on.
    let Ok(depth) = DEPTH.try_with(Cell::get) else {
        return task.cancel_now();
    };
    if depth >= MAX_DEPTH {
        let put_aside = Arc::clone(&task);
        if PUT_ASIDE.try_with(|tasks| tasks.borrow_mut().push_back(put_aside)).is_err() {
            task.cancel_now();
        }
        return;
    }
    let _nested = Nested::new(depth);
    task.cancel_now();
    if depth == 0 {
        while let Ok(Some(task)) = PUT_ASIDE.try_with(|tasks| tasks.borrow_mut().pop_front()) {
            task.cancel_now();
        }
    }
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
