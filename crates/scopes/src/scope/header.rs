//! [`Header`]: what is known of a child, whatever its future. It borrows nothing, so wakers may keep it.

use std::panic::Location;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::task::Waker;

use super::cell::{Links, ReadyRef, Table};
use super::rule::ChildId;
use crate::sync::{AtomicUsize, Ordering, UnsafeCell};

/// It is in the ready queue, or whoever set this is about to put it there.
const QUEUED: usize = 1;
/// It is over: its result is there, or was taken.
const DONE: usize = 1 << 1;
/// Its handle is there, and the result belongs to it.
const HANDLE: usize = 1 << 2;
/// Somebody waits for its end.
const JOINING: usize = 1 << 3;
/// Its handle wants it cancelled.
const CANCEL: usize = 1 << 4;
/// The count of those who keep it stands above the flags.
const ONE: usize = 1 << 5;

/// So many bits of the number tell the kind.
const KIND_BITS: u32 = 3;

/// What sort of child it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Keeps the scope open.
    Child,
    /// Ends with the last ordinary child.
    Service,
    /// Runs when all others are gone.
    Deferred,
    /// No child: the scope's own body.
    Body,
    /// No child: whatever else the scope has to look after, its token.
    Control,
    /// No child: there are children that are new.
    Spawned,
}

/// The part of a child that wakers, handles and snapshots look at. It begins its [cell](super::cell).
#[repr(align(8))]
pub(crate) struct Header {
    /// Flags, and how many keep the cell.
    state: AtomicUsize,
    pub(super) table: &'static Table,
    /// None when nobody will queue it any more.
    pub(super) ready: UnsafeCell<Option<ReadyRef>>,
    /// The next in the ready queue.
    pub(super) next_ready: UnsafeCell<*const Self>,
    /// How many children there had been when it was woken.
    pub(super) stamp: UnsafeCell<u64>,
    /// Its neighbours among the children of the scope.
    pub(super) links: UnsafeCell<Links>,
    /// Its place in the order of spawning, and its kind.
    number: AtomicU64,
    /// Who is told of the end.
    pub(super) joiner: UnsafeCell<Option<Waker>>,
    location: &'static Location<'static>,
    // Rarely there, and so only one word.
    name: Option<Box<Box<str>>>,
}

/// What a header is made of before it has a cell.
pub(crate) struct Seed {
    pub(super) ready: ReadyRef,
    pub(super) kind: Kind,
    pub(super) name: Option<Box<str>>,
    pub(super) location: &'static Location<'static>,
}

impl Header {
    /// Two keep it: the scope and the handle.
    #[inline(always)]
    pub(super) fn new(seed: Seed, table: &'static Table) -> Self {
        let queued = match seed.kind {
            // Made by a spawn, it is queued at once.
            Kind::Child | Kind::Service => QUEUED,
            _ => 0,
        };
        Self {
            state: AtomicUsize::new(queued + HANDLE + 2 * ONE),
            table,
            ready: UnsafeCell::new(Some(seed.ready)),
            next_ready: UnsafeCell::new(ptr::null()),
            stamp: UnsafeCell::new(0),
            links: UnsafeCell::new(Links::NONE),
            number: AtomicU64::new(seed.kind as u64),
            joiner: UnsafeCell::new(None),
            location: seed.location,
            name: seed.name.map(Box::new),
        }
    }

    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        match self.number.load(Ordering::Relaxed) as u8 & ((1 << KIND_BITS) - 1) {
            0 => Kind::Child,
            1 => Kind::Service,
            2 => Kind::Deferred,
            3 => Kind::Body,
            4 => Kind::Control,
            _ => Kind::Spawned,
        }
    }

    #[inline]
    pub(crate) fn id(&self) -> ChildId {
        ChildId::new(self.number.load(Ordering::Relaxed) >> KIND_BITS)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref().map(|name| &**name)
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Where it stands in its scope. Set before anybody can wake it.
    #[inline]
    pub(crate) fn place(&self, id: ChildId) {
        let kind = self.number.load(Ordering::Relaxed) & ((1 << KIND_BITS) - 1);
        self.number.store(id.number() << KIND_BITS | kind, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) & DONE != 0
    }

    /// It wants to be polled. If this says `true`, whoever asked has to queue it.
    #[inline]
    pub(super) fn queue(&self) -> bool {
        // The release pairs with `unqueue`: the poll that clears the flag sees what was done before the wake,
        // also before one that found the flag set.
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (state & DONE == 0).then_some(state | QUEUED)
        });
        before.is_ok_and(|before| before & QUEUED == 0)
    }

    /// It is to be polled for the first time; whether whoever asked has to put it into the chain of those.
    #[inline]
    pub(super) fn is_queued_as_new(&self) -> bool {
        // Children and services are born with the flag.
        self.kind() != Kind::Deferred || self.queue()
    }

    /// It has left the queue: from now on a wake queues it again.
    #[inline]
    pub(super) fn unqueue(&self) -> Unqueued {
        // It is set: the difference clears it in one instruction.
        let before = self.state.fetch_sub(QUEUED, Ordering::AcqRel);
        if before & (DONE | CANCEL) == 0 {
            Unqueued::Woken
        } else if before & DONE == 0 {
            Unqueued::Cancelled
        } else {
            Unqueued::Done
        }
    }

    /// Whether it is queued, or about to be. Of one that is over this does not change before it has left the
    /// queue.
    #[inline]
    pub(super) fn is_queued(&self) -> bool {
        self.state.load(Ordering::Acquire) & QUEUED != 0
    }

    /// Whether it is over, and nobody is about to queue it or still at it: whoever set `QUEUED` has a count
    /// until it has done with the queue.
    #[inline]
    pub(super) fn is_done_with_queue(&self) -> bool {
        let state = self.state.load(Ordering::Acquire);
        let known = if state & HANDLE == 0 { 1 } else { 2 };
        state & (DONE | QUEUED) == DONE && state / ONE <= known
    }

    /// Has it cancelled at its next turn.
    pub(super) fn mark_cancelled(&self) {
        self.state.fetch_or(CANCEL, Ordering::AcqRel);
    }

    /// The result is in its place: says whose it is.
    #[inline]
    pub(super) fn finish(&self) -> Owner {
        // It is clear: the sum sets it in one instruction.
        let before = self.state.fetch_add(DONE, Ordering::AcqRel);
        if before & HANDLE == 0 {
            Owner::Nobody
        } else if before & JOINING == 0 {
            Owner::Handle
        } else {
            Owner::Joiner
        }
    }

    /// The handle goes before the end: it gives up the result, and its count; or the child is over.
    #[inline]
    pub(super) fn give_up(&self) -> GivenUp {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            if state & DONE != 0 {
                return GivenUp::Done;
            }
            // With a joiner the count is kept until that is gone.
            let (less, given_up) =
                if state & JOINING == 0 { (HANDLE + ONE, GivenUp::All) } else { (HANDLE, GivenUp::Result) };
            match self.state.compare_exchange_weak(state, state - less, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return given_up,
                Err(now) => state = now,
            }
        }
    }

    /// Whether the joiner's waker is set. At the end as well: then it is no longer the handle's.
    #[inline]
    pub(super) fn is_joining(&self) -> bool {
        self.state.load(Ordering::Acquire) & JOINING != 0
    }

    /// The joiner's waker is to be changed, or was: `false` when the child is over.
    #[inline]
    pub(super) fn set_joining(&self, joining: bool) -> bool {
        let set = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (state & DONE == 0).then_some(if joining { state | JOINING } else { state & !JOINING })
        });
        set.is_ok()
    }

    /// One more keeps it.
    #[inline]
    pub(super) fn keep(&self) {
        if self.state.fetch_add(ONE, Ordering::Relaxed) > usize::MAX / 2 {
            // Somebody forgets wakers in a loop. A count that overflows would free what is in use.
            std::process::abort();
        }
    }

    /// The handle keeps it no more, after the end; whether it was the last.
    #[inline]
    pub(super) fn let_handle_go(&self) -> bool {
        self.state.load(Ordering::Acquire) / ONE == 1
            || self.state.fetch_sub(ONE + HANDLE, Ordering::AcqRel) / ONE == 1
    }

    /// One less keeps it; whether it was the last.
    #[inline]
    pub(super) fn let_go(&self) -> bool {
        // Whoever is alone with it needs no exchange: nobody is left to keep it once more.
        self.state.load(Ordering::Acquire) / ONE == 1
            || self.state.fetch_sub(ONE, Ordering::AcqRel) / ONE == 1
    }
}

/// What has become of a child that was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unqueued {
    Woken,
    Cancelled,
    Done,
}

/// Whose a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Handle,
    /// The handle's, and its waker is there.
    Joiner,
    Nobody,
}

/// What a handle has given up as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The result and its count.
    All,
    /// The result; the joiner's waker and the count are still its own.
    Result,
    /// Nothing: the child is over, and the result is its own.
    Done,
}
