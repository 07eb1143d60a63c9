//! Scopes that are dropped before their end: who waits for their children, and runs what they deferred.
//!
//! A scope that is dropped while a child is inside a poll is *abandoned*, and the one around it *adopts*
//! it: it counts it as one more who is there. When the last child of an abandoned scope leaves, that scope
//! is done, and the one that adopted it is told. If that one is abandoned itself, and nobody else is left
//! there, it tells the next.

use std::mem;
use std::sync::Arc;

use super::{AnyShared, Core, Deferred};

impl Core {
    /// The scope is dropped, after all that it could end was ended. Whoever is left, and what was deferred,
    /// is the outer scope's from now on; without one, what was deferred is given back.
    pub(crate) fn abandon(&self, running: Option<Deferred>) -> Vec<Deferred> {
        let (outer, mut deferred) = {
            let mut state = self.lock();
            state.closed = true;
            (state.outer.clone(), mem::take(&mut state.deferred))
        };
        deferred.extend(running);
        let adopts = outer.as_ref().is_some_and(|outer| outer.core.adopt());
        if let Some(outer) = &outer {
            deferred = hand_on(Arc::clone(outer), deferred);
        }
        let (released, watchers) = {
            let mut state = self.lock();
            state.abandoned = true;
            state.done = state.is_empty();
            let kept = adopts && !state.done;
            (if kept { None } else { state.outer.take() }, mem::take(&mut state.watchers))
        };
        drop(watchers);
        if adopts {
            release(released);
        }
        deferred
    }

    /// From now on it waits for one more scope that was dropped; `false` if it is over itself.
    fn adopt(&self) -> bool {
        let mut state = self.lock();
        state.adopted += usize::from(!state.done);
        !state.done
    }

    /// Nobody is left of one that was adopted. Gives the next that waits for this one, if there is one.
    fn orphan_left(&self) -> Option<Arc<AnyShared>> {
        let mut told = {
            let mut state = self.lock();
            state.adopted -= 1;
            state.left()?
        };
        let next = told.outer.take();
        told.tell();
        next
    }
}

/// Tells a scope that nobody is left of one that it adopted, and the one that adopted it, and so on: there
/// may be ten thousand in each other.
pub(super) fn release(outer: Option<Arc<AnyShared>>) {
    let mut next = outer;
    while let Some(shared) = next {
        next = shared.core.orphan_left();
    }
}

/// Gives what was deferred to the first scope around that is not abandoned itself.
fn hand_on(outer: Arc<AnyShared>, mut deferred: Vec<Deferred>) -> Vec<Deferred> {
    let mut next = Some(outer);
    while let (Some(shared), false) = (next.take(), deferred.is_empty()) {
        let mut state = shared.core.lock();
        if state.done {
            break;
        }
        if state.abandoned {
            next = state.outer.clone();
        } else {
            state.deferred.append(&mut deferred);
        }
    }
    deferred
}
