//! [`Claim`]: a handle's count of a cell, and its claim to the result.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use super::{Kept, let_handle_go, wake};
use crate::scope::header::{GivenUp, Header};
use crate::scope::{Ended, Refusal};

/// The handle's count of a cell and its claim to the result, or why there is none (any more). One word.
pub(crate) struct Claim<V, J: ?Sized> {
    /// A pointer to a cell, or one of [`OVER`] by its address.
    header: NonNull<Header>,
    of: PhantomData<Box<J>>,
    value: PhantomData<fn() -> V>,
}

/// No cell lies at an address that is as small as an index here.
const OVER: [Ended; align_of::<Header>()] = [
    Ended::Taken,
    Ended::Taken,
    Ended::Cancelled,
    Ended::Failed,
    Ended::Panicked,
    Ended::Refused(Refusal::Full),
    Ended::Refused(Refusal::Closed),
    Ended::Refused(Refusal::Cancelled),
];

// SAFETY: it is a pointer to a cell of which the maker has shown that it is a `J`, and which is shared.
unsafe impl<V, J: ?Sized + Send + Sync> Send for Claim<V, J> {}
// SAFETY: the same.
unsafe impl<V, J: ?Sized + Send + Sync> Sync for Claim<V, J> {}

impl<V, J: ?Sized> Claim<V, J> {
    /// Takes over the handle's count of a new cell, of which the maker has shown that it is a `J`.
    #[inline]
    pub(super) fn new(header: NonNull<Header>) -> Self {
        Self { header, of: PhantomData, value: PhantomData }
    }

    /// A claim to nothing, for this reason.
    pub(crate) fn over(why: Ended) -> Self {
        let address = OVER.iter().rposition(|over| *over == why).and_then(NonZeroUsize::new);
        let address = address.unwrap_or(NonZeroUsize::MIN);
        let header = std::ptr::without_provenance_mut(address.get());
        Self { header: NonNull::new(header).expect("it is not zero"), of: PhantomData, value: PhantomData }
    }

    /// The header of the cell, if there is one.
    #[inline]
    pub(crate) fn header(&self) -> Option<&Header> {
        if self.header.addr().get() < OVER.len() {
            return None;
        }
        // SAFETY: the count keeps the cell.
        Some(unsafe { self.header.as_ref() })
    }

    /// Has the child cancelled at its next turn.
    pub(crate) fn cancel(&self) {
        let Some(header) = self.header() else {
            return;
        };
        header.mark_cancelled();
        // With a count besides the handle's (rule 10).
        header.keep();
        let kept = Kept(self.header);
        wake(kept.0);
    }

    /// The result, once; until it is there, `cx` is woken at the end.
    #[inline]
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<V, Ended>> {
        let Some(header) = self.header() else {
            return Poll::Ready(Err(OVER[self.header.addr().get()]));
        };
        if !header.is_done() && !self.wait(cx) {
            return Poll::Pending;
        }
        let claim = ManuallyDrop::new(std::mem::replace(self, Self::over(Ended::Taken)));
        let mut result = MaybeUninit::<Result<V, Ended>>::uninit();
        // SAFETY: `DONE` was set while this handle was there: the result is its own (rule 2), and by taking
        // it the handle is gone. The table's function fills the place.
        let result = unsafe {
            (claim.header.as_ref().table.take)(claim.header, result.as_mut_ptr().cast());
            result.assume_init()
        };
        let_handle_go(claim.header);
        Poll::Ready(result)
    }

    /// Leaves the joiner's waker, of a claim to a cell; `true` when the child is over.
    fn wait(&self, cx: &mut Context<'_>) -> bool {
        // SAFETY: by the caller's word; the count keeps the cell.
        let header = unsafe { self.header.as_ref() };
        // With `JOINING` clear the joiner's place is ours (rule 5), also if `DONE` is set meanwhile.
        if header.is_joining() && !header.set_joining(false) {
            return true;
        }
        // SAFETY: the same.
        let same =
            header.joiner.with(|joiner| unsafe { &*joiner }.as_ref().map(|it| it.will_wake(cx.waker())));
        if same != Some(true) {
            let before = replace_joiner(header, Some(cx.waker().clone()));
            drop(before);
        }
        if header.set_joining(true) {
            return false;
        }
        let joiner = replace_joiner(header, None);
        drop(joiner);
        true
    }
}

/// Only while the joiner's place is the handle's, and by the handle (rule 5).
fn replace_joiner(header: &Header, joiner: Option<Waker>) -> Option<Waker> {
    // SAFETY: by the caller's word.
    header.joiner.with_mut(|place| unsafe { std::mem::replace(&mut *place, joiner) })
}

impl<V, J: ?Sized> Drop for Claim<V, J> {
    fn drop(&mut self) {
        let Some(header) = self.header() else {
            return;
        };
        match header.give_up() {
            GivenUp::All => {}
            GivenUp::Result => {
                // `HANDLE` was cleared before `DONE` is set (rule 5).
                let joiner = replace_joiner(header, None);
                let _kept = Kept(self.header);
                drop(joiner);
            }
            GivenUp::Done => {
                let _last = Last(self.header);
                // SAFETY: `DONE` was set while this handle was there: the result is its own (rule 2).
                unsafe { (header.table.drop_result)(self.header) };
            }
        }
    }
}

/// Gives up the handle's count after the end, also when a destructor before it panics.
struct Last(NonNull<Header>);

impl Drop for Last {
    fn drop(&mut self) {
        let_handle_go(self.0);
    }
}
