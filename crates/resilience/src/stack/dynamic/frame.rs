//! [`Frame`]: what the policies of a dynamic stack remember of a call that waits.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, TryLockError};

use crate::Lane;
use crate::policy::Lanes;

/// One slot for each policy, from the outside in.
pub(super) struct Frame(Box<[Slot]>);

/// What one policy remembers, of a type that only the policy knows. The box stays when it is emptied.
pub(super) struct Slot(Option<Box<dyn Store>>);

/// A place for states of one type.
trait Store: Any + Send {
    fn clear(&mut self);

    fn as_any(&mut self) -> &mut dyn Any;
}

impl<S: Send + 'static> Store for Option<Lanes<S>> {
    fn clear(&mut self) {
        *self = None;
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Frame {
    pub(super) fn slots(&mut self) -> &mut [Slot] {
        &mut self.0
    }

    fn new(policies: usize) -> Self {
        Self((0..policies).map(|_| Slot(None)).collect())
    }
}

impl Slot {
    /// The state in the first lane and where further lanes are; made if there is none.
    pub(super) fn lanes<S: Send + 'static>(&mut self, begin: impl FnOnce() -> S) -> &mut Lanes<S> {
        self.store().get_or_insert_with(|| Lanes::new(begin()))
    }

    /// The state in that lane, made if there is none.
    pub(super) fn lane<S: Send + 'static>(&mut self, lane: Lane, begin: impl Fn() -> S) -> &mut S {
        self.lanes(&begin).get_or_begin(lane, begin)
    }

    /// The same if it was ever used.
    pub(super) fn used<S: Send + 'static>(&mut self) -> Option<&mut Lanes<S>> {
        self.store().as_mut()
    }

    /// Keeps what the first lane had on the machine's stack.
    pub(super) fn keep<S: Send + 'static>(&mut self, state: S) {
        match self.store() {
            Some(lanes) => *lanes.first_mut() = state,
            none => *none = Some(Lanes::new(state)),
        }
    }

    fn store<S: Send + 'static>(&mut self) -> &mut Option<Lanes<S>> {
        let store = self.0.get_or_insert_with(|| Box::new(None::<Lanes<S>>)).as_any();
        store.downcast_mut().expect("a slot belongs to one policy")
    }

    fn clear(&mut self) {
        if let Some(store) = &mut self.0 {
            store.clear();
        }
    }
}

/// The frames that no call uses.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Frame>>);

impl Pool {
    /// So many frames are kept; what is over goes back to the allocator.
    const KEPT: usize = 1024;

    pub(super) fn take(&self, policies: usize) -> Frame {
        self.with(Vec::pop).flatten().unwrap_or_else(|| Frame::new(policies))
    }

    pub(super) fn put(&self, mut frame: Frame) {
        // The states' destructors run here, before the lock.
        frame.slots().iter_mut().for_each(Slot::clear);
        let mut frame = Some(frame);
        self.with(|frames| {
            if frames.len() < Self::KEPT {
                frames.extend(frame.take());
            }
        });
    }

    /// Nobody waits for anybody here: whoever comes at the same time does without the pool.
    fn with<R>(&self, use_it: impl FnOnce(&mut Vec<Frame>) -> R) -> Option<R> {
        match self.0.try_lock() {
            Ok(mut frames) => Some(use_it(&mut frames)),
            Err(TryLockError::Poisoned(poisoned)) => Some(use_it(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("slots", &self.0.len()).finish()
    }
}
