//! [`Tee`]: one stream for several consumers, each of which gets every item; [`Part`]: each item for
//! one of two.

mod bell;
mod core;
mod partition;

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::Clock;

use self::core::{Batch, Core, Next, Payload, Rule};
use crate::sync::Arc;
use crate::{Missed, Slow};

pub use partition::Part;
pub(crate) use partition::divide;

/// A stream for any number of consumers, each of which gets every item from its subscription on; made by
/// [`StreamUtil::tee_hub`](crate::StreamUtil::tee_hub).
///
/// There is no task: whichever consumer needs the next item polls the source, takes what is ready, up to the
/// room that everybody has, and puts it into the queues of all. Each has a queue of its own; each says for
/// itself what shall happen when it is [slow](Slow). Items are cloned: of large ones make an `Arc` first,
/// with [`tee_arc`](crate::StreamUtil::tee_arc).
///
/// A consumer that is dropped counts no more at once. When the last one and the hub are gone, the source is
/// dropped.
///
/// # Examples
/// A dashboard that shows what is new beside an archive that needs all:
/// ```
/// use std::num::NonZeroUsize;
/// use futures_lite::{StreamExt, stream};
/// use weirs_channels_utils::{Slow, StreamUtil, Missed};
/// use weirs_runtime::block_on;
///
/// let hub = stream::iter(1..=5).tee_hub(NonZeroUsize::new(2).unwrap());
/// let archive = hub.subscribe();
/// let dashboard = hub.subscribe_with(Slow::DropOldest);
/// drop(hub);
/// assert_eq!(block_on(archive.collect::<Vec<_>>()), [1, 2, 3, 4, 5]);
/// assert_eq!(block_on(dashboard.collect::<Vec<_>>()), [Err(Missed::Lagged(3)), Ok(4), Ok(5)]);
/// ```
pub struct TeeHub<S: Stream<Item: Clone>> {
    core: Arc<Core<S, CloneToAll>>,
}

impl<S: Stream<Item: Clone>> TeeHub<S> {
    pub(crate) fn new(source: S, bound: NonZeroUsize) -> Self {
        Self { core: Core::new(source, CloneToAll, bound) }
    }

    /// Whose time [`subscribe_for`](Self::subscribe_for) is measured in; real time if nothing else is said.
    #[must_use]
    pub fn clock(self, clock: &Clock) -> Self {
        self.core.set_clock(clock);
        self
    }

    /// A consumer that the others wait for, [`Slow::Wait`]. It gets the items that are taken from the source
    /// from now on.
    pub fn subscribe(&self) -> Tee<S> {
        Tee(Consumer::new(&self.core, Slow::Wait, None))
    }

    /// A consumer with a policy of its own.
    pub fn subscribe_with(&self, slow: Slow) -> LossyTee<S> {
        LossyTee(Consumer::new(&self.core, slow, None))
    }

    /// A consumer that the others wait for, but only so long. Then it is let go, as with
    /// [`Slow::Disconnect`].
    pub fn subscribe_for(&self, grace: Duration) -> LossyTee<S> {
        LossyTee(Consumer::new(&self.core, Slow::Wait, Some(grace)))
    }

    /// How many consumers there are.
    pub fn consumers(&self) -> usize {
        self.core.consumers()
    }
}

impl<S: Stream<Item: Clone>> Drop for TeeHub<S> {
    fn drop(&mut self) {
        self.core.close_hub();
    }
}

impl<S: Stream<Item: Clone>> fmt::Debug for TeeHub<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TeeHub").field("consumers", &self.consumers()).finish_non_exhaustive()
    }
}

/// One consumer of a stream that has several; made by [`StreamUtil::tee`](crate::StreamUtil::tee) and
/// [`TeeHub::subscribe`]. It gets every item; the others wait for it when it is the bound behind.
///
/// # Waiting
/// It waits for the source, and for consumers that are slower by more than the bound. One that is neither
/// polled nor dropped stops the others: drop what you do not read. Room comes free in steps of up to half the
/// bound.
///
/// # Cancel safety
/// What it has not given out is in its queue. It does not matter which consumer polls, or is dropped while
/// the source is pending: every other one that waits is woken.
///
/// # Panics
/// A panic of the source goes to whoever polled it; the others get what came before, and the end. A panic of
/// an item's `clone` goes to the consumer that the clone was for, in its place, and then that one has ended;
/// the others get the item.
#[must_use = "streams do nothing unless polled"]
pub struct Tee<S: Stream<Item: Clone>>(Consumer<S, CloneToAll>);

impl<S: Stream<Item: Clone>> Tee<S> {
    /// How many items wait for this consumer.
    pub fn queued(&self) -> usize {
        self.0.queued()
    }
}

impl<S: Stream<Item: Clone>> Stream for Tee<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        loop {
            match self.0.poll_next(cx) {
                Poll::Ready(Next::Item(item)) => return Poll::Ready(Some(item)),
                // Those who are waited for miss nothing.
                Poll::Ready(Next::Missed(_)) => {}
                Poll::Ready(Next::Disconnected | Next::Ended) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: Stream<Item: Clone>> fmt::Debug for Tee<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tee").field("queued", &self.queued()).finish_non_exhaustive()
    }
}

/// One consumer with a policy of its own; made by [`TeeHub::subscribe_with`].
///
/// What it missed stands in the stream, as an error in the place where the items are missing.
///
/// Otherwise as [`Tee`].
#[must_use = "streams do nothing unless polled"]
pub struct LossyTee<S: Stream<Item: Clone>>(Consumer<S, CloneToAll>);

impl<S: Stream<Item: Clone>> LossyTee<S> {
    /// How many items it has missed so far.
    pub fn missed(&self) -> u64 {
        self.0.core.missed(self.0.number)
    }

    /// How many items wait for this consumer.
    pub fn queued(&self) -> usize {
        self.0.queued()
    }
}

impl<S: Stream<Item: Clone>> Stream for LossyTee<S> {
    type Item = Result<S::Item, Missed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx).map(|next| match next {
            Next::Item(item) => Some(Ok(item)),
            Next::Missed(number) => Some(Err(Missed::Lagged(number))),
            Next::Disconnected => Some(Err(Missed::Disconnected)),
            Next::Ended => None,
        })
    }
}

impl<S: Stream<Item: Clone>> fmt::Debug for LossyTee<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LossyTee");
        debug.field("queued", &self.queued()).field("missed", &self.missed()).finish_non_exhaustive()
    }
}

/// A place at a source.
struct Consumer<S: Stream, R: Rule<S::Item>> {
    core: Arc<Core<S, R>>,
    number: usize,
    hand: VecDeque<S::Item>,
}

impl<S: Stream, R: Rule<S::Item>> Consumer<S, R> {
    fn new(core: &Arc<Core<S, R>>, slow: Slow, grace: Option<Duration>) -> Self {
        Self { core: Arc::clone(core), number: core.subscribe(slow, grace), hand: VecDeque::new() }
    }

    fn queued(&self) -> usize {
        self.core.queued(self.number) + self.hand.len()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<S::Item>> {
        self.core.poll_next(self.number, &mut self.hand, cx)
    }
}

// Items are moved, never pinned.
impl<S: Stream, R: Rule<S::Item>> Unpin for Consumer<S, R> {}

impl<S: Stream, R: Rule<S::Item>> Drop for Consumer<S, R> {
    fn drop(&mut self) {
        self.core.leave(self.number);
    }
}

/// Every item for everybody.
#[derive(Debug)]
struct CloneToAll;

impl<T: Clone> Rule<T> for CloneToAll {
    fn share(&mut self, items: &mut Vec<T>, batches: &mut [Batch<T>]) -> Option<Payload> {
        let (last, others) = batches.split_last_mut()?;
        for batch in others {
            let cloned = catch_unwind(AssertUnwindSafe(|| batch.items.extend(items.iter().cloned())));
            batch.panic = cloned.err();
        }
        last.items.append(items);
        None
    }
}

pin_project! {
    /// The items of a stream, each in an `Arc`; made by [`StreamUtil::tee_arc`](crate::StreamUtil::tee_arc).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Shared<S> {
        #[pin]
        source: S,
    }
}

impl<S> Shared<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source }
    }
}

impl<S: Stream> Stream for Shared<S> {
    type Item = std::sync::Arc<S::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().source.poll_next(cx).map(|item| item.map(std::sync::Arc::new))
    }
}
