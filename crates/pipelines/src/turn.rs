//! [`yield_now`]: lets the executor's other tasks have their turn.

use std::future::{Future, poll_fn};
use std::mem;
use std::task::Poll;

/// Lets the executor's other tasks have their turn.
pub(crate) fn yield_now() -> impl Future<Output = ()> {
    let mut yielded = false;
    poll_fn(move |cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}
