//! [`Part`]: the items for which a question has the same answer.

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::core::{Batch, Core, Next, Payload, Rule};
use super::{Consumer, Slow};

/// One part of a stream that was divided in two; made by
/// [`StreamUtil::divide`](crate::StreamUtil::divide).
///
/// # Waiting
/// It waits for the source. Items for the other part wait in that one's queue; when that is full, this part
/// waits for it. A part that is neither polled nor dropped stops the other; the items of a part that was
/// dropped are dropped.
///
/// # Cancel safety
/// What it has not given out is in its queue. Whichever part polls, and is dropped then, the other one is
/// woken.
///
/// # Panics
/// A panic of the question goes to whoever polls. The item is dropped; all others go their way, and the parts
/// can be used as before. A panic of the source goes to whoever polled it, and ends both.
#[must_use = "streams do nothing unless polled"]
pub struct Part<S: Stream, P: FnMut(&S::Item) -> bool>(Consumer<S, Divide<P>>);

pub(crate) fn divide<S: Stream, P: FnMut(&S::Item) -> bool>(
    source: S,
    question: P,
    bound: NonZeroUsize,
) -> (Part<S, P>, Part<S, P>) {
    let core = Core::new(source, Divide(question), bound);
    let parts = (Part(Consumer::new(&core, Slow::Wait, None)), Part(Consumer::new(&core, Slow::Wait, None)));
    core.close_hub();
    parts
}

impl<S: Stream, P: FnMut(&S::Item) -> bool> Part<S, P> {
    /// How many items wait for this part.
    pub fn queued(&self) -> usize {
        self.0.queued()
    }
}

impl<S: Stream, P: FnMut(&S::Item) -> bool> Stream for Part<S, P> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.0.poll_next(cx).map(|next| match next {
            Next::Item(item) => Some(item),
            _ => None,
        })
    }
}

impl<S: Stream, P: FnMut(&S::Item) -> bool> fmt::Debug for Part<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("queued", &self.queued()).finish_non_exhaustive()
    }
}

/// The first consumer gets the items for which the answer is yes, the second the others.
struct Divide<P>(P);

impl<T, P: FnMut(&T) -> bool> Rule<T> for Divide<P> {
    fn share(&mut self, items: &mut Vec<T>, batches: &mut [Batch<T>]) -> Option<Payload> {
        let mut panic = None;
        for item in items.drain(..) {
            match catch_unwind(AssertUnwindSafe(|| (self.0)(&item))) {
                Ok(yes) => {
                    let wanted = usize::from(!yes);
                    if let Some(batch) = batches.iter_mut().find(|batch| batch.consumer == wanted) {
                        batch.items.push(item);
                    }
                }
                Err(payload) => panic = panic.or(Some(payload)),
            }
        }
        panic
    }
}
