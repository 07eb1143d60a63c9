//! [`Receiver`]: the end that things are taken from, one by one or several at a time, and as a stream.

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::shared::{Shared, State};
use super::{Batches, ChannelStats, Sender, TryRecvError};
use crate::sync::Arc;
use weirs_runtime::waiting::Ticket;

/// The end of a channel that things are taken from; a [`Stream`] of its items.
///
/// Clones compete: each item goes to one of them. When the last is dropped, what is in the channel is
/// dropped at once, and senders get back what they wait with.
///
/// A receiver that was polled as a stream and is told of an item keeps the item from those who wait,
/// until it is polled again or dropped. Where it may not be polled again for long, as in a `select`, use
/// [`recv`](Self::recv): dropped, it has another one told.
pub struct Receiver<T> {
    pub(super) shared: Arc<Shared<T>>,
    pub(super) ticket: Option<Ticket>,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared, ticket: None }
    }

    /// Receives an item; `None` when the channel is closed and empty.
    ///
    /// # Waiting
    /// It waits while the channel is empty and may still get items. After the channel is closed these are
    /// the ones that [`Batches`] of other receivers have in hand and may give back.
    ///
    /// # Fairness
    /// Receivers that wait are called in the order in which they came; one that comes just then may be
    /// faster.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was received, and another receiver is called in its place.
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self }
    }

    /// [`recv`](Self::recv) for code that is not async: it blocks the thread. Not to be called from a
    /// future.
    pub fn recv_blocking(&mut self) -> Option<T> {
        match self.try_recv() {
            Ok(item) => Some(item),
            Err(TryRecvError::Closed) => None,
            Err(TryRecvError::Empty) => weirs_runtime::block_on(self.recv()),
        }
    }

    /// Receives up to `most` items at once, at the end of `into`, and says how many; zero when the
    /// channel is closed and empty, or `most` is zero.
    ///
    /// # Waiting
    /// It waits for the first item only.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was received.
    pub fn recv_many<'a>(&'a mut self, into: &'a mut Vec<T>, most: usize) -> RecvMany<'a, T> {
        RecvMany { receiver: self, into, most }
    }

    /// Receives an item if there is one.
    ///
    /// # Errors
    /// [`TryRecvError`] says whether there may be one later.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.try_take().map_err(|more| if more { TryRecvError::Empty } else { TryRecvError::Closed })
    }

    /// What is in the channel now, without waiting. What the iterator does not take stays in the channel.
    pub fn remaining(&mut self) -> Remaining<'_, T> {
        Remaining { receiver: self }
    }

    /// A stream of the items that takes up to `most` at a time, for the price of one lock.
    ///
    /// What it has in hand counts against the channel's capacity until the batch is used up. When it is
    /// dropped, the rest of the batch is back at the front of the channel, for other receivers.
    pub fn batches(self, most: NonZeroUsize) -> Batches<T> {
        Batches::new(self, most)
    }

    /// Takes no more items into the channel; those that are in it can still be received.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether nothing can be sent any more; there may be items left.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// A look at the channel.
    pub fn stats(&self) -> ChannelStats {
        self.shared.stats()
    }

    /// How many items are in it.
    pub fn len(&self) -> usize {
        self.stats().len
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items fit.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether this is the other end of that sender.
    pub fn is_from(&self, sender: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.shared, &sender.0)
    }

    pub(super) fn poll_take<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut State<T>) -> R,
    ) -> Poll<Option<R>> {
        self.shared.poll_take(&mut self.ticket, 0, cx, take)
    }

    /// As [`poll_take`](Self::poll_take), and gives back the room of a batch that is used up.
    pub(super) fn poll_batch<R>(
        &mut self,
        cx: &mut Context<'_>,
        used: usize,
        take: impl FnOnce(&mut State<T>) -> R,
    ) -> Poll<Option<R>> {
        self.shared.poll_take(&mut self.ticket, used, cx, take)
    }

    /// Does not wait any more.
    pub(crate) fn give_up(&mut self) {
        if self.ticket.is_some() {
            self.shared.leave_items(&mut self.ticket);
        }
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_take(cx, State::pop).map(Option::flatten)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = if Arc::strong_count(&self.shared) == 1 { self.len() } else { 0 };
        (len, None)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.add_receiver();
        Self::new(Arc::clone(&self.shared))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.give_up();
        self.shared.remove_receiver();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("stats", &self.stats()).finish()
    }
}

/// Receives an item; made by [`Receiver::recv`].
#[derive(Debug)]
#[must_use = "nothing is received before it is awaited"]
pub struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_take(cx, State::pop).map(Option::flatten)
    }
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.receiver.give_up();
    }
}

/// Receives several items; made by [`Receiver::recv_many`].
#[derive(Debug)]
#[must_use = "nothing is received before it is awaited"]
pub struct RecvMany<'a, T> {
    receiver: &'a mut Receiver<T>,
    into: &'a mut Vec<T>,
    most: usize,
}

impl<T> Future for RecvMany<'_, T> {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let Self { receiver, into, most } = &mut *self;
        if *most == 0 {
            return Poll::Ready(0);
        }
        let before = into.len();
        let taken = receiver.poll_take(cx, |state| into.extend(state.pop_many(*most)));
        taken.map(|_| into.len() - before)
    }
}

impl<T> Drop for RecvMany<'_, T> {
    fn drop(&mut self) {
        self.receiver.give_up();
    }
}

/// What is in a channel now; made by [`Receiver::remaining`].
#[derive(Debug)]
pub struct Remaining<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Iterator for Remaining<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}
