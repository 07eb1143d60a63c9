//! The cell: a child in one allocation: its header, its future, and then its result.
//!
//! A cell is shared by its scope ([`Held`]), its handle ([`Claim`]) and any number of wakers. What they
//! know of its type is a [`Table`] of functions; `Held` and `Claim` keep the lifetime of what the future
//! borrows, and wakers may outlive it. Safe code needs three allocations for a child (a header for wakers,
//! a box for the future, a place for the result), and an empty child costs four times as much.
//!
//! 1. The stage holds the future until `DONE` is set. Until then it belongs to the scope's driver, which
//!    alone has the [`Queue`] of its scope, and calls [`Lent::poll`] and [`Held::discard`] one after the
//!    other, from nowhere but its own poll and destructor: not even the child itself reaches its stage.
//! 2. From `DONE` on the stage holds the result. It belongs to the handle if `HANDLE` was set when `DONE`
//!    was, else to the driver. Whoever owns the result takes it or drops it, once, and before it gives up
//!    its count of the cell.
//! 3. The future is never moved between [`Cell::boxed`] and the call of its destructor: the cell is boxed,
//!    and the stage is overwritten only after the future was dropped in place.
//! 4. A cell is freed by whoever gives up the last count, perhaps a waker on another thread. That runs no
//!    code of the user: the scope gives up its count only after `DONE`, and by then or with the handle's
//!    count the stage (rule 2) and the joiner's place (rule 5) are empty. A scope that is forgotten keeps
//!    its counts for ever, and with them the memory.
//! 5. The joiner's waker is written by the handle alone, and only while `JOINING` and `DONE` are both
//!    clear. Whoever sets `DONE` takes it out if it saw `JOINING` and `HANDLE`. A handle that clears
//!    `HANDLE` before `DONE` is set takes it out itself.
//! 6. Whoever sets `QUEUED` pushes the header once; it is set only while `DONE` is clear. It is cleared by
//!    the driver, when it has taken the header out of the queue. If it is set when the scope gives up its
//!    count, that count belongs to the queue: to the driver as it clears `QUEUED`, or to whoever finds the
//!    queue closed. So what is in the queue, or about to be, is alive.
//! 7. `next_ready` belongs to whoever set `QUEUED` until the header is in the queue, and then to the
//!    driver.
//! 8. `links` are touched only under the lock that guards their [`List`]. What is linked has the scope's
//!    count, so neighbours are alive.
//! 9. Wakers use nothing but the header, which threads may share whatever the future is.
//! 10. Whoever pushes a header has a count of the cell besides those of scope and handle until it has done
//!     with the queue. So the driver may take the header's count of the queue when `DONE` is set, `QUEUED`
//!     is clear, and no counts are left but those two: then nobody looks at it any more.
//!
//! Each exchange of a flag both acquires and releases, so each owner sees what the one before it wrote.
#![allow(unsafe_code, reason = "one allocation for a child, and wakers without a lifetime: measured")]

mod claim;
mod list;
mod queue;
mod ready;
mod waker;

use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use weirs_runtime::PanicPayload;

pub(crate) use self::claim::Claim;
pub(crate) use self::list::{Links, List, New};
pub(crate) use self::queue::{Queue, Woken};
pub(crate) use self::ready::{Pushed, ReadyRef, Store};
pub(crate) use self::waker::Borrowed;

use super::Ended;
use super::header::{Header, Kind, Owner, Seed};
use super::rule::{Isolated, Settled, Tells};
use crate::panics::{contain, forget_panic};
use crate::sync::{Ordering, UnsafeCell};

/// A future, and then its result. `S` tells the scope's rule `R` of its end.
#[repr(C)]
pub(crate) struct Cell<F, R, V, S> {
    // The first field: a pointer to it is one to the cell.
    header: Header,
    tells: S,
    rule: PhantomData<fn(&R)>,
    stage: UnsafeCell<Stage<F, V>>,
}

union Stage<F, V> {
    future: ManuallyDrop<F>,
    result: ManuallyDrop<Result<V, Ended>>,
}

// SAFETY: the stage has one owner at a time (rules 1 and 2), so sharing a cell moves its future and its
// result between threads, and never shares them. So have the header's own cells (rules 5, 7 and 8).
unsafe impl<F: Send, R, V: Send, S: Sync> Sync for Cell<F, R, V, S> {}
// SAFETY: the same.
unsafe impl<F: Send, R, V: Send, S: Send> Send for Cell<F, R, V, S> {}

/// A child of a scope with the rule `R`. `dyn Unit<R> + Send + Sync + 'env` says for a pointer to a cell of
/// whatever future what that borrows and where it may go.
pub(crate) trait Unit<R> {}

/// The same for a handle that gives a `V`.
pub(crate) trait Join<V> {}

impl<F: Future, R, V, S: Tells<R, F::Output, V>> Unit<R> for Cell<F, R, V, S> {}
impl<F, R, V, S> Join<V> for Cell<F, R, V, S> {}

/// The functions of a cell of a certain type.
pub(crate) struct Table {
    poll: unsafe fn(NonNull<Header>, *const ()) -> Step,
    discard: unsafe fn(NonNull<Header>, *const (), Ended) -> Result<(), PanicPayload>,
    take: unsafe fn(NonNull<Header>, *mut ()),
    drop_result: unsafe fn(NonNull<Header>),
    free: unsafe fn(NonNull<Header>),
}

/// What a poll came to.
pub(crate) enum Step {
    Pending,
    Finished,
    /// With an error that the rule keeps.
    Failed,
    Panicked(PanicPayload),
}

impl<F, R, V, S> Cell<F, R, V, S>
where
    F: Future,
    S: Tells<R, F::Output, V>,
{
    const TABLE: &'static Table = &Table {
        poll: Self::poll,
        discard: Self::discard,
        take: Self::take,
        drop_result: Self::drop_result,
        free: Self::free,
    };

    /// A cell for its scope and its handle. Both arguments after `tells` do nothing but show that the
    /// cell is a `P` and a `J`.
    #[inline(always)]
    pub(crate) fn boxed<P: ?Sized, J: ?Sized>(
        future: F,
        seed: Seed,
        tells: S,
        _: impl Fn(&Self) -> &P,
        _: impl Fn(&Self) -> &J,
    ) -> (Held<P>, Claim<V, J>) {
        // The memory first, so that nothing is put together elsewhere and copied.
        let cell = NonNull::from(Box::leak(Box::<Self>::new_uninit())).cast::<Self>();
        let stage = UnsafeCell::new(Stage { future: ManuallyDrop::new(future) });
        // SAFETY: the memory is a cell's, and nobody else has it.
        unsafe {
            cell.write(Self { header: Header::new(seed, Self::TABLE), tells, rule: PhantomData, stage })
        };
        let header = cell.cast::<Header>();
        (Held { header, of: PhantomData }, Claim::new(header))
    }

    /// # Safety
    /// The caller is the driver (rule 1), `rule` points to an `R`, and `DONE` is clear.
    unsafe fn poll(header: NonNull<Header>, rule: *const ()) -> Step {
        let cell = header.cast::<Self>();
        // SAFETY: the scope's count keeps the cell, and this is a reference to parts that are shared.
        let (head, tells, stage) = unsafe {
            let cell = cell.as_ptr();
            (&(*cell).header, (*cell).tells, &(*cell).stage)
        };
        // SAFETY: by the caller's word.
        let rule = unsafe { &*rule.cast::<R>() };
        let waker = Borrowed::new(header);
        let (mut settled, mut dropped) = (None, false);
        let polled = stage.with_mut(|stage| {
            contain(|| {
                // SAFETY: the stage is the driver's and holds the future (rule 1).
                let future = unsafe { &mut (*stage).future };
                // SAFETY: it is never moved (rule 3).
                let pinned = unsafe { Pin::new_unchecked(&mut **future) };
                let Poll::Ready(output) = pinned.poll(&mut Context::from_waker(&waker)) else {
                    return false;
                };
                settled = Some(tells.ended(rule, head.id(), Ok(output)));
                dropped = true;
                // SAFETY: once, even if it panics: the driver goes on to set `DONE`; where it is (rule 3).
                unsafe { ManuallyDrop::drop(future) };
                true
            })
        });
        let settled = match polled {
            Ok(false) => return Step::Pending,
            Ok(true) => Ok(settled.expect("it was ready")),
            Err(payload) => {
                // Its first panic is the one that counts.
                forget_panic(contain(|| drop(settled.take())));
                if !dropped {
                    // SAFETY: the same.
                    forget_panic(unsafe { Self::drop_future(header) });
                    forget_panic(contain(|| drop(tells.ended(rule, head.id(), Err(Ended::Panicked)))));
                }
                Err(payload)
            }
        };
        match settled {
            Ok(Settled { value, failed }) => {
                // SAFETY: this is the driver, and the future is gone.
                match unsafe { Self::finish(header, value.ok_or(Ended::Failed)) } {
                    Ok(()) if failed => Step::Failed,
                    Ok(()) => Step::Finished,
                    Err(payload) => Step::Panicked(payload),
                }
            }
            Err(payload) => {
                // SAFETY: the same.
                forget_panic(unsafe { Self::finish(header, Err(Ended::Panicked)) });
                Step::Panicked(payload)
            }
        }
    }

    /// # Safety
    /// The caller is the driver (rule 1), `rule` is null or points to an `R`, and `DONE` is clear.
    unsafe fn discard(header: NonNull<Header>, rule: *const (), why: Ended) -> Result<(), PanicPayload> {
        // SAFETY: by the caller's word.
        let dropped = unsafe { Self::drop_future(header) };
        // SAFETY: the same.
        let told = match unsafe { rule.cast::<R>().as_ref() } {
            Some(rule) => {
                // SAFETY: the scope's count keeps the cell.
                let (head, tells) = unsafe {
                    let cell = header.cast::<Self>().as_ptr();
                    (&(*cell).header, (*cell).tells)
                };
                contain(|| drop(tells.ended(rule, head.id(), Err(why))))
            }
            None => Ok(()),
        };
        // SAFETY: by the caller's word; the future was dropped before `DONE` is set.
        dropped.and(told).and(unsafe { Self::finish(header, Err(why)) })
    }

    /// # Safety
    /// The caller is the driver, `DONE` is clear, and this is called once.
    unsafe fn drop_future(header: NonNull<Header>) -> Result<(), PanicPayload> {
        if !std::mem::needs_drop::<F>() {
            return Ok(());
        }
        // SAFETY: the scope's count keeps the cell.
        let stage = unsafe { &(*header.cast::<Self>().as_ptr()).stage };
        // SAFETY: the stage is the driver's and holds the future (rule 1), which is dropped where it is (rule
        // 3), and whether or not its destructor panics, not again.
        stage.with_mut(|stage| contain(|| unsafe { ManuallyDrop::drop(&mut (*stage).future) }))
    }

    /// Files the result, and tells the joiner.
    ///
    /// # Safety
    /// The caller is the driver, `DONE` is clear, and the future is dropped.
    unsafe fn finish(header: NonNull<Header>, result: Result<V, Ended>) -> Result<(), PanicPayload> {
        // SAFETY: the scope's count keeps the cell.
        let (head, stage) = unsafe {
            let cell = header.cast::<Self>().as_ptr();
            (&(*cell).header, &(*cell).stage)
        };
        stage.with_mut(|stage| {
            // SAFETY: the stage is the driver's until `DONE` is set (rule 1), and what it held is dropped.
            unsafe { (*stage).result = ManuallyDrop::new(result) };
        });
        match head.finish() {
            Owner::Handle => Ok(()),
            Owner::Joiner => {
                // SAFETY: `HANDLE` and `JOINING` were set when `DONE` was (rule 5).
                let joiner = head.joiner.with_mut(|joiner| unsafe { (*joiner).take() });
                // Its panic is none of the child's: the child has ended well, and so may the scope.
                forget_panic(contain(|| joiner.map_or((), Waker::wake)));
                Ok(())
            }
            // SAFETY: without a handle the result is the driver's (rule 2), which has it dropped here, once.
            Owner::Nobody => contain(|| unsafe { Self::drop_result(header) }),
        }
    }

    /// # Safety
    /// The caller owns the result (rule 2), and `into` points to room for it.
    unsafe fn take(header: NonNull<Header>, into: *mut ()) {
        // SAFETY: the caller's count keeps the cell.
        let stage = unsafe { &(*header.cast::<Self>().as_ptr()).stage };
        // SAFETY: the result is moved out by its owner, who does not look again (rule 2).
        stage.with_mut(|stage| unsafe {
            into.cast::<Result<V, Ended>>().write(ManuallyDrop::take(&mut (*stage).result));
        });
    }

    /// # Safety
    /// The caller owns the result (rule 2), and drops it once.
    unsafe fn drop_result(header: NonNull<Header>) {
        // SAFETY: the caller's count keeps the cell.
        let stage = unsafe { &(*header.cast::<Self>().as_ptr()).stage };
        // SAFETY: by the caller's word.
        stage.with_mut(|stage| unsafe { ManuallyDrop::drop(&mut (*stage).result) });
    }

    /// # Safety
    /// The caller gave up the last count.
    unsafe fn free(header: NonNull<Header>) {
        // SAFETY: the cell came from a box, and nobody else has it. What it drops is the header and the
        // settling function: what the stage may have held is gone (rule 4).
        drop(unsafe { Box::from_raw(header.cast::<Self>().as_ptr()) });
    }
}

/// The scope's count of a cell. It is given up only after the end: dropped before, it keeps the cell.
pub(crate) struct Held<P: ?Sized> {
    header: NonNull<Header>,
    of: PhantomData<Box<P>>,
}

// SAFETY: it is a pointer to a cell of which the maker has shown that it is a `P`, and which is shared.
unsafe impl<P: ?Sized + Send + Sync> Send for Held<P> {}
// SAFETY: the same.
unsafe impl<P: ?Sized + Send + Sync> Sync for Held<P> {}

impl<P: ?Sized> Held<P> {
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the count keeps the cell.
        unsafe { self.header.as_ref() }
    }

    /// One more, for the sake of the header.
    pub(crate) fn kept(&self) -> Kept {
        self.header().keep();
        Kept(self.header)
    }

    /// Drops the future, and gives this as the result. Without a rule, nobody but the handle hears of it.
    /// Only the driver calls this (rule 1); it does nothing after the end.
    pub(crate) fn discard<R>(&self, rule: Option<&R>, why: Ended) -> Result<(), PanicPayload>
    where
        P: Unit<R>,
    {
        if self.header().is_done() {
            return Ok(());
        }
        let rule = rule.map_or(std::ptr::null(), |rule| (&raw const *rule).cast());
        // SAFETY: this is the driver, and `DONE` is clear: nobody else sets it. The cell is a `P`, that is a
        // `Unit<R>`, so its table was made for an `R`.
        unsafe { (self.header().table.discard)(self.header, rule, why) }
    }

    /// Polls the future once. Only the driver calls this (rule 1); it does nothing after the end.
    #[inline]
    pub(crate) fn poll<R>(&self, rule: &R) -> Step
    where
        P: Unit<R>,
    {
        if self.header().is_done() {
            return Step::Pending;
        }
        // SAFETY: this is the driver, and `DONE` is clear. The cell is a `P`, that is a `Unit<R>`, so its
        // table was made for an `R`.
        unsafe { (self.header().table.poll)(self.header, (&raw const *rule).cast()) }
    }
}

impl<P: ?Sized> Held<P> {
    /// Gives back its part in the queue, if nobody will push it any more. Only the driver calls this.
    #[inline]
    pub(crate) fn take_back(&self) -> Option<ReadyRef> {
        let header = self.header();
        if header.is_done_with_queue() {
            // SAFETY: nobody looks at it any more (rule 10).
            header.ready.with_mut(|ready| unsafe { (*ready).take() })
        } else {
            None
        }
    }
}

impl<P: ?Sized> Drop for Held<P> {
    #[inline]
    fn drop(&mut self) {
        let header = self.header();
        // Rule 4: only after the end. Rule 6: what is queued belongs to the queue now.
        if header.is_done() && !header.is_queued() {
            let_go(self.header);
        }
    }
}

/// A child that its scope has, seen from the driver's turn.
pub(crate) struct Lent<P: ?Sized>(ManuallyDrop<Held<P>>);

impl<P: ?Sized> Deref for Lent<P> {
    type Target = Held<P>;

    #[inline]
    fn deref(&self) -> &Held<P> {
        &self.0
    }
}

/// One who keeps a cell for the sake of its header.
#[derive(Debug)]
pub(crate) struct Kept(NonNull<Header>);

// SAFETY: it uses the header alone (rule 9).
unsafe impl Send for Kept {}
// SAFETY: the same.
unsafe impl Sync for Kept {}

impl Kept {
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the count keeps the cell.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let_go(self.0);
    }
}

/// Something to wake that is no child: the body of a scope, its token.
pub(crate) struct Bell(Held<dyn Unit<()>>);

// SAFETY: there is nothing but a header (rule 9).
unsafe impl Send for Bell {}
// SAFETY: the same.
unsafe impl Sync for Bell {}

impl Bell {
    pub(crate) fn new(ready: &ReadyRef, kind: Kind, location: &'static Location<'static>) -> Self {
        let seed = Seed { ready: ready.clone(), kind, name: None, location };
        let future = std::future::ready(());
        let (held, claim) =
            Cell::boxed(future, seed, Isolated, |cell| cell as &dyn Unit<()>, |cell| cell as &dyn Join<()>);
        drop(claim);
        Self(held)
    }

    /// A waker that rings it.
    pub(crate) fn waker(&self) -> Borrowed<'_> {
        // SAFETY: the count outlives the borrow.
        Borrowed::new(self.0.header)
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // From now on nobody queues it, and so its count may go.
        forget_panic(self.0.discard::<()>(None, Ended::Cancelled));
    }
}

/// Queues the child, unless it is queued or over, and wakes the task of its scope. The caller has a count.
#[inline]
fn wake(header: NonNull<Header>) {
    // SAFETY: by the caller's word.
    if unsafe { header.as_ref() }.queue() {
        push(header).wake();
    }
}

/// Puts the child into the queue. The caller has just set `QUEUED` (rule 6), and has a count (rule 10).
#[inline]
fn push(header: NonNull<Header>) -> Pushed {
    // SAFETY: by the caller's word.
    let head = unsafe { header.as_ref() };
    // SAFETY: whoever set `QUEUED` may look (rule 10).
    let ready = head.ready.with(|ready| unsafe { (*ready).as_ref() }.expect("nobody has taken it"));
    let spawned = ready.spawned.load(Ordering::Acquire);
    // SAFETY: whoever set `QUEUED` owns the stamp before the header is in the queue (rule 7).
    head.stamp.with_mut(|stamp| unsafe { *stamp = spawned });
    let pushed = ready.push(header.as_ptr(), |below| {
        // SAFETY: and the link.
        head.next_ready.with_mut(|next| unsafe { *next = below });
    });
    if matches!(pushed, Pushed::Closed) {
        // Nobody will take it out (rule 6).
        let_go(header);
    }
    pushed
}

/// Gives up the handle's count, after the end.
#[inline]
fn let_handle_go(header: NonNull<Header>) {
    // SAFETY: by the caller's word.
    let head = unsafe { header.as_ref() };
    let free = head.table.free;
    if head.let_handle_go() {
        // SAFETY: it was the last.
        unsafe { free(header) };
    }
}

/// Gives up a count that the caller has.
#[inline]
fn let_go(header: NonNull<Header>) {
    // SAFETY: by the caller's word.
    let head = unsafe { header.as_ref() };
    let free = head.table.free;
    if head.let_go() {
        // SAFETY: it was the last.
        unsafe { free(header) };
    }
}
