//! Who is being polled on this thread: the child whose task it is.

use std::cell::RefCell;
use std::sync::Arc;

use crate::Exit;
use crate::supervise::Node;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Node>>> = const { RefCell::new(None) };
}

/// Puts back who was there before.
pub(crate) struct Entered(Option<Arc<Node>>);

pub(crate) fn enter(node: &Arc<Node>) -> Entered {
    Entered(CURRENT.with(|current| current.replace(Some(Arc::clone(node)))))
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        let _ = CURRENT.try_with(|current| current.replace(before));
    }
}

/// The child whose task runs on this thread.
pub(crate) fn node() -> Option<Arc<Node>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// The life of that child ended so: whoever waits for its answers hears of it.
pub(crate) fn settle(node: &Node, exit: &Exit) {
    if let Some(face) = &node.face {
        face.life_ended(exit);
    }
}
