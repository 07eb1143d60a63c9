//! Who is being polled on this thread: the child whose task it is.

use std::cell::Cell;
use std::sync::Arc;

use crate::Exit;
use crate::supervise::Node;

thread_local! {
    static CURRENT: Cell<Option<Arc<Node>>> = const { Cell::new(None) };
}

// It is looked at by the models, whose threads are not the system's.
#[cfg(loom)]
loom::thread_local! {
    static UNHEARD: Cell<Option<Unheard>> = Cell::new(None);
}
#[cfg(not(loom))]
thread_local! {
    static UNHEARD: Cell<Option<Unheard>> = const { Cell::new(None) };
}

/// Puts back who was there before.
pub(crate) struct Entered(Option<Arc<Node>>);

pub(crate) fn enter(node: &Arc<Node>) -> Entered {
    Entered(CURRENT.with(|current| current.replace(Some(Arc::clone(node)))))
}

/// Nobody is, for as long as what goes on is not the child's own work.
pub(crate) fn outside() -> Entered {
    Entered(CURRENT.with(|current| current.replace(None)))
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        let _ = CURRENT.try_with(|current| current.replace(before));
    }
}

/// The child whose task runs on this thread.
pub(crate) fn node() -> Option<Arc<Node>> {
    let node = |current: &Cell<Option<Arc<Node>>>| {
        let node = current.take();
        current.set(node.clone());
        node
    };
    CURRENT.try_with(node).ok().flatten()
}

/// Why a message is let go that no actor has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// The actor ended for good.
    Closed,
    /// The queue was full, and its rule is to drop.
    Overflow,
}

/// Lets messages go that no actor has seen: the replies in them tell so, whoever's task this is.
pub(crate) fn unheard<R>(why: Unheard, let_go: impl FnOnce() -> R) -> R {
    struct Before(Option<Unheard>);
    impl Drop for Before {
        fn drop(&mut self) {
            let _ = UNHEARD.try_with(|unheard| unheard.set(self.0));
        }
    }
    let before = UNHEARD.try_with(|unheard| unheard.replace(Some(why))).unwrap_or(None);
    let _before = Before(before);
    let_go()
}

/// Whether what is dropped now was never seen by an actor, and why.
pub(crate) fn is_unheard() -> Option<Unheard> {
    UNHEARD.try_with(Cell::get).unwrap_or(None)
}

/// The life of that child ended so: whoever waits for its answers hears of it.
pub(crate) fn settle(node: &Node, exit: &Exit) {
    if let Some(face) = &node.face {
        face.life_ended(exit);
    }
}
