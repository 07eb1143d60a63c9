//! [`Borrowed`]: wakers that are the header of a cell.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::{Kept, wake};
use crate::scope::header::Header;

/// A waker that has no count of its own, but that of whoever lends it.
pub(crate) struct Borrowed<'a>(ManuallyDrop<Waker>, PhantomData<&'a ()>);

impl Borrowed<'_> {
    /// Not for longer than the caller's count.
    #[inline]
    pub(super) fn new(header: NonNull<Header>) -> Self {
        // SAFETY: the table's functions keep to the contract of wakers: each has one count of the cell, and
        // uses the header alone (rule 9). This one is never dropped.
        let waker = unsafe { Waker::from_raw(RawWaker::new(header.as_ptr().cast_const().cast(), &WAKER)) };
        Self(ManuallyDrop::new(waker), PhantomData)
    }
}

impl Deref for Borrowed<'_> {
    type Target = Waker;

    #[inline]
    fn deref(&self) -> &Waker {
        &self.0
    }
}

static WAKER: RawWakerVTable = RawWakerVTable::new(clone_waker, wake_waker, wake_waker_by_ref, drop_waker);

/// # Safety
/// As for the other three: `data` is that of a waker of ours, which has a count.
unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: by the caller's word.
    unsafe { of_waker(data).as_ref() }.keep();
    RawWaker::new(data, &WAKER)
}

unsafe fn wake_waker(data: *const ()) {
    // SAFETY: by the caller's word; the count is given up in the end.
    let kept = Kept(unsafe { of_waker(data) });
    wake(kept.0);
}

unsafe fn wake_waker_by_ref(data: *const ()) {
    // SAFETY: by the caller's word.
    wake(unsafe { of_waker(data) });
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: by the caller's word.
    drop(Kept(unsafe { of_waker(data) }));
}

unsafe fn of_waker(data: *const ()) -> NonNull<Header> {
    // SAFETY: by the caller's word it came from such a pointer.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}
