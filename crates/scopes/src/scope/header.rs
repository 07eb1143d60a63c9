//! [`Header`]: what is known of a child, whatever its future. It borrows nothing, so wakers may keep it.

use std::panic::Location;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use super::ready::{Key, Ready};
use super::rule::ChildId;

/// It is in the ready queue.
const QUEUED: u8 = 1;
/// It is over: its result is there, or was taken.
const DONE: u8 = 1 << 1;
/// Its handle is there, and the result belongs to it.
const HANDLE: u8 = 1 << 2;
/// Somebody waits for its end.
const JOINING: u8 = 1 << 3;
/// Its handle wants it cancelled.
const CANCEL: u8 = 1 << 4;

/// What sort of child it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Keeps the scope open.
    Child,
    /// Ends with the last ordinary child.
    Service,
    /// Runs when all others are gone.
    Deferred,
}

/// The part of a child that wakers, handles and snapshots look at.
pub(crate) struct Header {
    flags: AtomicU8,
    kind: Kind,
    key: AtomicU64,
    number: AtomicU64,
    ready: Arc<Ready>,
    /// Who is told of the end.
    joiner: Mutex<Option<Waker>>,
    name: Option<Box<str>>,
    location: &'static Location<'static>,
}

impl Header {
    pub(crate) fn new(
        ready: Arc<Ready>,
        kind: Kind,
        name: Option<Box<str>>,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            flags: AtomicU8::new(QUEUED | HANDLE),
            kind,
            key: AtomicU64::new(0),
            number: AtomicU64::new(0),
            ready,
            joiner: Mutex::new(None),
            name,
            location,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn id(&self) -> ChildId {
        ChildId::new(self.number.load(Ordering::Relaxed))
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Where it stands in its scope. Set before anybody can wake it.
    pub(crate) fn place(&self, key: Key, id: ChildId) {
        self.number.store(id.number(), Ordering::Relaxed);
        self.key.store(u64::from(key.slot) << 32 | u64::from(key.generation), Ordering::Relaxed);
    }

    /// It wants to be polled.
    pub(crate) fn wake(&self) {
        // Whoever sets `QUEUED` pushes. The release pairs with `unqueue`: the poll that clears the flag sees
        // what was done before the wake.
        if self.flags.fetch_or(QUEUED, Ordering::AcqRel) & (QUEUED | DONE) == 0 {
            let key = self.key.load(Ordering::Relaxed);
            self.ready.push(Key { slot: (key >> 32) as u32, generation: key as u32 });
        }
    }

    /// It is about to be polled: from now on a wake queues it again. Says whether it shall be cancelled.
    pub(crate) fn unqueue(&self) -> bool {
        self.flags.fetch_and(!QUEUED, Ordering::AcqRel) & CANCEL != 0
    }

    /// Has it cancelled at its next turn.
    pub(crate) fn cancel(&self) {
        self.flags.fetch_or(CANCEL, Ordering::AcqRel);
        self.wake();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.flags.load(Ordering::Acquire) & DONE != 0
    }

    /// The result is in its place: says whose it is, and tells the joiner.
    pub(crate) fn finish(&self) -> Owner {
        let before = self.flags.fetch_or(DONE, Ordering::AcqRel);
        if before & JOINING != 0 {
            let joiner = self.joiner.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = joiner {
                waker.wake();
            }
        }
        if before & HANDLE != 0 { Owner::Handle } else { Owner::Nobody }
    }

    /// The handle goes; says whether the result was there, and so is the handle's to drop.
    pub(crate) fn release(&self) -> bool {
        let before = self.flags.fetch_and(!HANDLE, Ordering::AcqRel);
        if before & JOINING != 0 {
            let joiner = self.joiner.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(joiner);
        }
        before & DONE != 0
    }

    /// Whether it is over; if not, `cx` is woken at the end.
    pub(crate) fn poll_done(&self, cx: &mut Context<'_>) -> bool {
        if self.is_done() {
            return true;
        }
        {
            let joiner = self.joiner.lock().unwrap_or_else(PoisonError::into_inner);
            if joiner.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                drop(joiner);
                return self.is_done();
            }
        }
        let waker = cx.waker().clone();
        let before = self.joiner.lock().unwrap_or_else(PoisonError::into_inner).replace(waker);
        drop(before);
        // Either this sees `DONE`, or whoever sets it sees `JOINING`.
        self.flags.fetch_or(JOINING, Ordering::AcqRel) & DONE != 0
    }
}

/// Whose a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Handle,
    Nobody,
}
