//! [`Batches`]: a channel's items, taken several at a time.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{ChannelStats, Receiver};

/// A stream of a channel's items that takes several at a time; made by [`Receiver::batches`].
///
/// What it has in hand counts against the capacity until the batch is used up, so that the bound holds;
/// senders that wait are then woken for the whole batch at once. With competing receivers none takes more
/// than its part.
///
/// # Cancel safety
/// Dropped, what is left of its batch is back at the front of the channel.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use futures_lite::StreamExt;
/// use weirs_channels_utils::bounded;
/// use weirs_runtime::block_on;
///
/// let (sender, receiver) = bounded(NonZeroUsize::new(8).unwrap());
/// let mut other = receiver.clone();
/// let mut batches = receiver.batches(NonZeroUsize::new(4).unwrap());
/// for number in 1..=8 {
///     sender.try_send(number).unwrap();
/// }
/// assert_eq!(block_on(batches.next()), Some(1));
/// // Three are in hand; they come back.
/// drop(batches);
/// assert_eq!(other.try_recv(), Ok(2));
/// ```
pub struct Batches<T> {
    /// The batch, as far as it was not given out. Dropped before the receiver.
    hand: Hand<T>,
    most: usize,
}

struct Hand<T> {
    receiver: Receiver<T>,
    items: VecDeque<T>,
    /// How many the batch had.
    taken: usize,
}

impl<T> Batches<T> {
    pub(super) fn new(receiver: Receiver<T>, most: NonZeroUsize) -> Self {
        Self { hand: Hand { receiver, items: VecDeque::new(), taken: 0 }, most: most.get() }
    }

    /// The receiver. What is left of the batch is back at the front of the channel.
    pub fn into_receiver(self) -> Receiver<T> {
        self.hand.receiver.clone()
    }

    /// A look at the channel.
    pub fn stats(&self) -> ChannelStats {
        self.hand.receiver.stats()
    }
}

impl<T> Hand<T> {
    fn give_back(&mut self) {
        if self.taken > 0 {
            self.receiver.shared.return_batch(self.taken, &mut self.items);
            self.taken = 0;
        }
    }
}

impl<T> Stream for Batches<T> {
    type Item = T;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.hand.items.pop_front() {
            None => self.poll_batch(cx),
            item => Poll::Ready(item),
        }
    }
}

impl<T> Batches<T> {
    /// The first item of the next batch.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { hand, most } = self;
        let Hand { receiver, items, taken } = hand;
        let used = std::mem::take(taken);
        let polled = receiver.poll_batch(cx, used, |state| state.take_batch(*most, items));
        match polled {
            Poll::Ready(Some(number)) => {
                *taken = number;
                Poll::Ready(items.pop_front())
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Unpin for Batches<T> {}

impl<T> Drop for Hand<T> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<T> fmt::Debug for Batches<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Batches");
        debug.field("in_hand", &self.hand.items.len()).field("most", &self.most).finish_non_exhaustive()
    }
}
