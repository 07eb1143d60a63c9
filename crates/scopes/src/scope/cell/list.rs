//! [`List`]: the children of a scope, in the order of spawning, and those of them that are new.
//!
//! A new child takes no exchange to be queued: it is put into a chain under the lock of its spawn.
//! Only the first of a chain has the queue's owner told. The numbers of the children and the stamps of the
//! woken say who comes first.

use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};

use super::{Held, Kept, Lent};
use crate::scope::header::Header;

/// The neighbours of a header in its list.
#[derive(Clone, Copy)]
pub(crate) struct Links {
    before: *const Header,
    after: *const Header,
}

impl Links {
    pub(crate) const NONE: Self = Self { before: ptr::null(), after: ptr::null() };
}

/// New children, on their way from the list to the queue.
pub(crate) struct New<P: ?Sized>(pub(super) *const Header, PhantomData<Held<P>>);

/// Children by their headers, each with the scope's count. Whoever has it locks it (rule 8).
pub(crate) struct List<P: ?Sized> {
    first: *const Header,
    last: *const Header,
    /// Those that nobody has seen yet, linked as in the queue: they are in it (rule 6).
    new: Chain,
    of: PhantomData<Held<P>>,
}

struct Chain {
    first: *const Header,
    last: *const Header,
}

// SAFETY: it is a list of `Held`s.
unsafe impl<P: ?Sized + Send + Sync> Send for List<P> {}
// SAFETY: the same.
unsafe impl<P: ?Sized + Send + Sync> Sync for List<P> {}

impl<P: ?Sized> List<P> {
    pub(crate) fn new() -> Self {
        let new = Chain { first: ptr::null(), last: ptr::null() };
        Self { first: ptr::null(), last: ptr::null(), new, of: PhantomData }
    }

    /// Puts it behind all others; whether it is the first that nobody has seen.
    #[inline]
    pub(crate) fn push(&mut self, unit: Held<P>) -> bool {
        let here = ManuallyDrop::new(unit).header.as_ptr().cast_const();
        change(here, |links| *links = Links { before: self.last, after: ptr::null() });
        if self.last.is_null() {
            self.first = here;
        } else {
            change(self.last, |links| links.after = here);
        }
        self.last = here;
        // SAFETY: it has just been linked.
        if !unsafe { &*here }.is_queued_as_new() {
            return false;
        }
        let first = self.new.first.is_null();
        if first {
            self.new.first = here;
        } else {
            // SAFETY: what is in the chain is alive (rule 6), and its link belongs to the lock (rule 7).
            unsafe { &*self.new.last }.next_ready.with_mut(|next| unsafe { *next = here });
        }
        self.new.last = here;
        first
    }

    /// Those that are new, linked like those in the queue; it is the driver's now.
    pub(crate) fn take_new(&mut self) -> New<P> {
        New(mem::replace(&mut self.new.first, ptr::null()), PhantomData)
    }

    /// Takes it out, if it is in.
    #[inline]
    pub(crate) fn remove(&mut self, unit: &Lent<P>) -> Option<Held<P>> {
        let header = unit.header;
        self.unlink(header.as_ptr()).then_some(Held { header, of: PhantomData })
    }

    /// Takes out those for which it holds, the last first.
    pub(crate) fn remove_all(&mut self, mut which: impl FnMut(&Header) -> bool) -> Vec<Held<P>> {
        let mut removed = Vec::new();
        let mut next = self.last;
        while let Some(header) = NonNull::new(next.cast_mut()) {
            next = links(next).before;
            // SAFETY: it is in the list (rule 8).
            if which(unsafe { header.as_ref() }) {
                self.unlink(header.as_ptr());
                removed.push(Held { header, of: PhantomData });
            }
        }
        removed
    }

    /// All of them, the first first, each kept for the sake of its header.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let mut next = self.first;
        let kept = std::iter::from_fn(|| {
            let header = NonNull::new(next.cast_mut())?;
            next = links(next).after;
            // SAFETY: it is in the list (rule 8).
            unsafe { header.as_ref() }.keep();
            Some(Kept(header))
        });
        kept.collect()
    }

    /// Whether there is one for which it holds.
    pub(crate) fn any(&self, which: impl Fn(&Header) -> bool) -> bool {
        let mut next = self.first;
        // SAFETY: it is in the list (rule 8).
        while let Some(header) = unsafe { next.as_ref() } {
            if which(header) {
                return true;
            }
            next = links(next).after;
        }
        false
    }

    fn unlink(&mut self, header: *const Header) -> bool {
        // One by one: both at once would wait for the store to one of them when a neighbour went just before.
        let (before, after) =
            change(header, |links| (mem::replace(&mut links.before, ptr::null()), links.after));
        if before.is_null() && self.first != header {
            return false;
        }
        if before.is_null() {
            self.first = after;
        } else {
            change(before, |links| links.after = after);
        }
        if after.is_null() {
            self.last = before;
        } else {
            change(after, |links| links.before = before);
        }
        true
    }
}

#[inline]
fn links(header: *const Header) -> Links {
    change(header, |links| *links)
}

/// Only under the lock, and for a header that is in the list or about to be (rule 8).
#[inline]
fn change<T>(header: *const Header, how: impl FnOnce(&mut Links) -> T) -> T {
    // SAFETY: by the caller's word.
    let header = unsafe { &*header };
    // SAFETY: the same: the lock gives the links one user at a time.
    header.links.with_mut(|links| how(unsafe { &mut *links }))
}
