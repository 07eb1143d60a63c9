//! [`Queue`]: the driver's end of the ready queue.

use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::task::Waker;

use super::list::New;
use super::ready::ReadyRef;
use super::{Bell, Borrowed, Held, Lent, let_go};
use crate::panics::{contain, forget_panic};
use crate::scope::header::{Header, Kind, Unqueued};
use crate::sync::Ordering;

/// Whoever wants to be polled, in the order of the wakes. There is one for each scope, its driver's.
pub(crate) struct Queue<P: ?Sized> {
    // They go before the queue is closed.
    body: Bell,
    control: Bell,
    spawned: Bell,
    taken: Taken<P>,
}

struct Taken<P: ?Sized> {
    ready: ReadyRef,
    /// Those that were taken from `ready`, the first woken first. They are still `QUEUED`.
    woken: *const Header,
    /// Those that were taken from the list of new children; they are `QUEUED` as well.
    new: *const Header,
    /// How many of the new were taken, ever.
    seen: u64,
    of: PhantomData<Held<P>>,
}

// SAFETY: it is a list of `Held`s, more or less.
unsafe impl<P: ?Sized + Send + Sync> Send for Taken<P> {}
// SAFETY: the same.
unsafe impl<P: ?Sized + Send + Sync> Sync for Taken<P> {}

/// Who wants to be polled.
pub(crate) enum Woken<P: ?Sized> {
    /// A child.
    Child(Lent<P>),
    /// A child that shall be cancelled.
    Cancelled(Lent<P>),
    Body,
    Control,
    /// Nothing, or a child that is over by now.
    Gone,
}

impl<P: ?Sized> Queue<P> {
    /// For the only driver of this scope.
    pub(crate) fn new(ready: &ReadyRef, location: &'static Location<'static>) -> Self {
        let bell = |kind| Bell::new(ready, kind, location);
        let (woken, new) = (ptr::null(), ptr::null());
        let taken = Taken { ready: ready.clone(), woken, new, seen: 0, of: PhantomData };
        Self { body: bell(Kind::Body), control: bell(Kind::Control), spawned: bell(Kind::Spawned), taken }
    }

    /// The body's own waker.
    pub(crate) fn body(&self) -> Borrowed<'_> {
        self.body.waker()
    }

    /// A waker for whatever else the scope has to look after.
    pub(crate) fn control(&self) -> Borrowed<'_> {
        self.control.waker()
    }

    /// A waker for new children.
    pub(crate) fn spawned(&self) -> Borrowed<'_> {
        self.spawned.waker()
    }

    /// Takes up who was woken or spawned since, if nobody is left from before; whether there is anybody.
    #[inline]
    pub(crate) fn fill(&mut self, new: impl FnOnce() -> New<P>) -> bool {
        let taken = &mut self.taken;
        if taken.woken.is_null() && taken.new.is_null() {
            // In this order: whoever was spawned before one of these was woken is found as well.
            taken.woken = turned_round(taken.ready.take());
            let spawned = taken.ready.spawned.load(Ordering::Acquire);
            if spawned != taken.seen {
                taken.seen = spawned;
                taken.new = new().0;
            }
        }
        !(taken.woken.is_null() && taken.new.is_null())
    }

    /// Lets go of all who are in the queue, and of those that were spawned since, when all are over.
    pub(crate) fn clear(&mut self, new: New<P>) {
        while self.next().is_some() {}
        self.taken.new = new.0;
        while self.next().is_some() {}
    }

    /// The next who was woken before the queue was filled.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Woken<P>> {
        self.taken.next()
    }

    /// Has this waker woken when somebody is; `false` when somebody was.
    #[inline]
    pub(crate) fn park(&self, waker: &Waker) -> bool {
        self.taken.ready.park(waker)
    }
}

impl<P: ?Sized> Taken<P> {
    #[inline]
    fn next(&mut self) -> Option<Woken<P>> {
        let new = NonNull::new(self.new.cast_mut());
        let woken = NonNull::new(self.woken.cast_mut());
        let (header, from) = match (new, woken) {
            (Some(new), Some(woken)) if stamp(woken) < number(new) => (woken, &mut self.woken),
            (Some(new), _) => (new, &mut self.new),
            (None, Some(woken)) => (woken, &mut self.woken),
            (None, None) => return None,
        };
        // SAFETY: what is in the queue is alive (rule 6).
        let head = unsafe { header.as_ref() };
        // SAFETY: the link of what is in the queue is the driver's (rule 7).
        *from = head.next_ready.with(|next| unsafe { *next });
        let kind = head.kind();
        let unqueued = head.unqueue();
        if unqueued == Unqueued::Done {
            // The scope had given its count to the queue (rule 6).
            let_go(header);
            return Some(Woken::Gone);
        }
        let lent = || Lent(ManuallyDrop::new(Held { header, of: PhantomData }));
        Some(match (kind, unqueued) {
            (Kind::Body, _) => Woken::Body,
            (Kind::Control, _) => Woken::Control,
            (Kind::Spawned, _) => Woken::Gone,
            (_, Unqueued::Cancelled) => Woken::Cancelled(lent()),
            _ => Woken::Child(lent()),
        })
    }
}

impl<P: ?Sized> Drop for Taken<P> {
    fn drop(&mut self) {
        let (first, parked) = self.ready.close();
        while self.next().is_some() {}
        self.woken = turned_round(first);
        while self.next().is_some() {}
        // Its destructor is user code.
        forget_panic(contain(|| drop(parked)));
    }
}

/// How many had been spawned when this one in the queue was woken.
#[inline]
fn stamp(woken: NonNull<Header>) -> u64 {
    // SAFETY: what is in the queue is alive (rule 6).
    let head = unsafe { woken.as_ref() };
    // SAFETY: the stamp goes with the link (rule 7).
    head.stamp.with(|stamp| unsafe { *stamp })
}

/// The number of this one in the queue.
#[inline]
fn number(new: NonNull<Header>) -> u64 {
    // SAFETY: what is in the queue is alive (rule 6).
    unsafe { new.as_ref() }.id().number()
}

/// The same headers, the last first. They are the driver's (rule 7).
#[inline]
fn turned_round(mut top: *const Header) -> *const Header {
    let mut first = ptr::null();
    // SAFETY: what is in the queue is alive (rule 6).
    while let Some(head) = unsafe { top.as_ref() } {
        // SAFETY: its link is the driver's (rule 7).
        let next = head.next_ready.with_mut(|next| unsafe { mem::replace(&mut *next, first) });
        // Not `head`, which leads to no more than the header.
        first = top;
        top = next;
    }
    first
}
