//! [`Fallout`]: what has to happen when tokens were cancelled, after all of them were.

use std::sync::Arc;
use std::task::Waker;

use super::node::{Node, Rare};
use crate::Reason;
use crate::panics::{contain, forget_panic};

pub(super) type Callback = Box<dyn FnOnce(&Reason) + Send>;

/// Gathered from the nodes as they are marked. All code that is not ours runs at the end, out of all locks,
/// when no token is left to be marked.
#[derive(Default)]
pub(super) struct Fallout {
    /// Who is still to be marked. A list of lists, for a node's list of children is taken as it is.
    pub(super) below: Vec<Vec<Arc<Node>>>,
    pub(super) wakers: Vec<Waker>,
    pub(super) callbacks: Vec<Callback>,
    // Boxed, for so it hangs on its node.
    #[allow(clippy::vec_box, reason = "it is moved from node to here without being touched")]
    pub(super) rare: Vec<Box<Rare>>,
}

impl Fallout {
    /// Wakes, calls and drops. Wakers first: a callback may take long.
    ///
    /// A panic goes no further: who cancels is often a destructor or a clock's thread, and the others in the
    /// row have to hear too.
    pub(super) fn happen(self, why: &Reason) {
        for waker in self.wakers {
            forget_panic(contain(|| waker.wake()));
        }
        for callback in self.callbacks {
            forget_panic(contain(|| callback(why)));
        }
        for rare in self.rare {
            forget_panic(contain(|| rare.end()));
        }
    }
}
