//! What to do with panics of user code: they become values.

use std::future::Future;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

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
