//! What to do with panics of user code: they become values.

use std::future::Future;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use weirs_runtime::PanicPayload;

/// Runs user code; its panic is a value.
#[inline]
pub(crate) fn contain<R>(work: impl FnOnce() -> R) -> Result<R, PanicPayload> {
    catch_unwind(AssertUnwindSafe(work)).map_err(PanicPayload::new)
}

/// Polls user code, and its panic is a value.
#[inline]
pub(crate) fn poll_contained<F: Future>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, PanicPayload>> {
    match contain(|| future.poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(payload) => Poll::Ready(Err(payload)),
    }
}

pin_project! {
    /// User code whose destructor does not panic where it is dropped with other things: a second panic would
    /// end the program.
    pub(crate) struct Fenced<F> {
        #[pin]
        inner: Option<F>,
    }

    impl<F> PinnedDrop for Fenced<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut inner = this.project().inner;
            if inner.is_none() {
                return;
            }
            if let Err(payload) = contain(|| inner.set(None)) {
                let_go(payload);
            }
        }
    }
}

impl<F> Fenced<F> {
    pub(crate) fn new(inner: Option<F>) -> Self {
        Self { inner }
    }

    /// The code itself, while it is there.
    pub(crate) fn inner(self: Pin<&mut Self>) -> Option<Pin<&mut F>> {
        self.project().inner.as_pin_mut()
    }

    /// Puts this in the place of what is there, whose destructor may panic here.
    pub(crate) fn set(self: Pin<&mut Self>, inner: Option<F>) {
        self.project().inner.set(inner);
    }

    /// Takes it out, where it was not pinned.
    pub(crate) fn take(&mut self) -> Option<F> {
        self.inner.take()
    }

    pub(crate) fn is_there(&self) -> bool {
        self.inner.is_some()
    }
}

/// Drops a value of the user's, whose destructor may panic: there is other work in the hands of whoever drops
/// it.
pub(crate) fn let_go<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // Its destructor may panic too.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            forget(second);
        }
    }
}
