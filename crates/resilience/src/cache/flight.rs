//! [`Flight`]: one call that several wait for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use weirs_runtime::Instant;

use crate::Error;
use crate::sync::{Mutex, lock};

/// A call that somebody leads, and the others who wait for it.
///
/// Who joins does so under the lock of what the flight belongs to, and so does a leader who gives up: so
/// nobody joins a flight that nobody leads.
#[derive(Debug)]
pub(super) struct Flight<T, E>(Mutex<Desk<T, E>>);

#[derive(Debug)]
struct Desk<T, E> {
    landed: Option<Landed<T, E>>,
    /// Who is to take over.
    called: Option<u64>,
    waiting: Wakers,
    next: u64,
}

/// Those who wait, in the order of their coming; one who was not polled yet has no waker.
pub(super) type Wakers = BTreeMap<u64, Option<Waker>>;

/// An answer, and when it came.
#[derive(Debug)]
pub(super) struct Kept<T> {
    pub(super) value: T,
    pub(super) since: Instant,
}

/// What came of a flight, for all who waited.
#[derive(Debug)]
pub(super) enum Landed<T, E> {
    Answer(Arc<Kept<T>>),
    /// An old one in place of an error.
    Old(Arc<Kept<T>>),
    Failed(Arc<Error<E>>),
}

impl<T, E> Clone for Landed<T, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Answer(kept) => Self::Answer(Arc::clone(kept)),
            Self::Old(kept) => Self::Old(Arc::clone(kept)),
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
        }
    }
}

/// What one who waits finds.
pub(super) enum Waited<T, E> {
    Landed(Landed<T, E>),
    /// The leader is gone: this one leads now.
    Leads,
    Not,
}

/// What is left of a flight when its leader is gone.
pub(super) enum After {
    /// Another was called, and is to be woken.
    Called(Option<Waker>),
    Nobody,
}

impl<T, E> Flight<T, E> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Desk { landed: None, called: None, waiting: Wakers::new(), next: 0 }))
    }

    pub(super) fn join(&self) -> u64 {
        let mut desk = lock(&self.0);
        let ticket = desk.next;
        desk.next += 1;
        desk.waiting.insert(ticket, None);
        ticket
    }

    pub(super) fn poll(&self, ticket: u64, waker: &Waker) -> Waited<T, E> {
        // Wakers are user code, so they are cloned and dropped outside the lock.
        let mut waker = Some(waker.clone());
        let mut desk = lock(&self.0);
        if let Some(landed) = &desk.landed {
            return Waited::Landed(landed.clone());
        }
        if desk.called == Some(ticket) {
            desk.called = None;
            waker = desk.waiting.remove(&ticket).flatten();
            drop(desk);
            drop(waker);
            return Waited::Leads;
        }
        if let Some(known) = desk.waiting.get_mut(&ticket) {
            std::mem::swap(known, &mut waker);
        }
        drop(desk);
        drop(waker);
        Waited::Not
    }

    pub(super) fn is_awaited(&self) -> bool {
        !lock(&self.0).waiting.is_empty()
    }

    /// It is over; those who waited are to be woken.
    pub(super) fn land(&self, landed: Landed<T, E>) -> Wakers {
        let mut desk = lock(&self.0);
        desk.landed = Some(landed);
        std::mem::take(&mut desk.waiting)
    }

    /// The leader goes: calls the one who has waited for longest.
    pub(super) fn hand_over(&self) -> After {
        let mut desk = lock(&self.0);
        let desk = &mut *desk;
        match desk.waiting.first_entry() {
            Some(mut first) => {
                desk.called = Some(*first.key());
                After::Called(first.get_mut().take())
            }
            None => After::Nobody,
        }
    }

    /// One who waits goes; whether it was called gives [`hand_over`](Self::hand_over) another turn.
    pub(super) fn leave(&self, ticket: u64) -> (Option<Waker>, After) {
        let mut desk = lock(&self.0);
        let waker = desk.waiting.remove(&ticket).flatten();
        if desk.called != Some(ticket) {
            return (waker, After::Called(None));
        }
        desk.called = None;
        drop(desk);
        (waker, self.hand_over())
    }
}
