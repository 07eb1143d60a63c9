//! [`Sender`]: the end of a broadcast that things are put into.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::state::{Shared, Work};
use super::{BroadcastStats, Receiver, Slow};
use crate::sync::Arc;
use crate::{Closed, SendError};
use weirs_runtime::waiting::Ticket;

/// The end of a broadcast that things are put into. Clones send to the same receivers.
pub struct Sender<T>(pub(super) Arc<Shared<T>>);

impl<T> Sender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self(shared)
    }

    /// A new receiver, which gets what is sent from now on, after what is
    /// [replayed](super::Builder::replay).
    pub fn subscribe(&self) -> Receiver<T> {
        self.subscribe_with(self.0.slow)
    }

    /// A new receiver with a policy of its own.
    pub fn subscribe_with(&self, slow: Slow) -> Receiver<T> {
        Receiver::new(Arc::clone(&self.0), slow)
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.0.state.peek(|state| state.receivers())
    }

    /// Sends nothing any more; receivers get what was sent, and then the end.
    pub fn close(&self) {
        self.0.state.change(|state| state.closed = true);
    }

    /// Whether nothing can be sent any more. It is not closed for want of receivers.
    pub fn is_closed(&self) -> bool {
        self.0.state.peek(|state| state.closed)
    }

    /// Whether both send to the same receivers.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A look at the broadcast.
    pub fn stats(&self) -> BroadcastStats {
        self.0.stats()
    }
}

impl<T: Clone> Sender<T> {
    /// Sends an item to all receivers; gives how many there were.
    ///
    /// # Waiting
    /// While the queue of a receiver with [`Slow::Wait`] is full. Without receivers, if that was
    /// [chosen](super::Builder::wait_for_receivers).
    ///
    /// # Fairness
    /// Senders that wait go on in the order in which they came.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nobody got the item: it is dropped with the future.
    ///
    /// # Panics
    /// In whatever way the item's `clone` does: then nobody got it.
    ///
    /// # Errors
    /// [`Closed`] with the item after [`close`](Self::close).
    pub fn send(&self, item: T) -> Send<'_, T> {
        Send { sender: self, item: Some(item), ticket: None, work: None }
    }

    /// Sends an item to all receivers if that needs no waiting; gives how many.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`], with the item.
    pub fn try_send(&self, item: T) -> Result<usize, SendError<T>> {
        let mut work = self.0.work();
        let sent = self.0.try_send_one(item, &mut work);
        self.0.give_back(work);
        sent.map_err(|(item, closed)| if closed { SendError::Closed(item) } else { SendError::Full(item) })
    }

    /// Sends all that is in `items`, from the front; as many at a time as there is room for.
    ///
    /// # Waiting
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropped before it completes, what was sent is sent to all, and the rest is still in `items`.
    ///
    /// # Panics
    /// In whatever way an item's `clone` does: that item and those behind it are still in `items`, and so
    /// may be some before it.
    ///
    /// # Errors
    /// [`Closed`] after [`close`](Self::close); what was not sent is still in `items`.
    pub fn send_all<'a>(&'a self, items: &'a mut VecDeque<T>) -> SendAll<'a, T> {
        SendAll { sender: self, items, ticket: None, work: None }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state.change(|state| state.add_sender());
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state.change(|state| state.remove_sender());
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stats", &self.stats()).finish()
    }
}

/// Sends an item; made by [`Sender::send`].
#[must_use = "nothing is sent before it is awaited"]
pub struct Send<'a, T> {
    sender: &'a Sender<T>,
    item: Option<T>,
    ticket: Option<Ticket>,
    work: Option<Box<Work<T>>>,
}

// The item is moved, never pinned.
impl<T> Unpin for Send<'_, T> {}

impl<T: Clone> Future for Send<'_, T> {
    type Output = Result<usize, Closed<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sender, item, ticket, work } = &mut *self;
        let work = work.get_or_insert_with(|| sender.0.work());
        sender.0.poll_send_one(item, work, ticket, cx).map_err(Closed)
    }
}

impl<T> Drop for Send<'_, T> {
    fn drop(&mut self) {
        end(self.sender, &mut self.ticket, &mut self.work);
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// Sends many items; made by [`Sender::send_all`].
#[must_use = "nothing is sent before it is awaited"]
pub struct SendAll<'a, T> {
    sender: &'a Sender<T>,
    items: &'a mut VecDeque<T>,
    ticket: Option<Ticket>,
    work: Option<Box<Work<T>>>,
}

impl<T> Unpin for SendAll<'_, T> {}

impl<T: Clone> Future for SendAll<'_, T> {
    type Output = Result<(), Closed<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sender, items, ticket, work } = &mut *self;
        let work = work.get_or_insert_with(|| sender.0.work());
        while !items.is_empty() {
            match sender.0.poll_send(items, work, ticket, cx) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(Err(Closed(()))),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for SendAll<'_, T> {
    fn drop(&mut self) {
        end(self.sender, &mut self.ticket, &mut self.work);
    }
}

impl<T> fmt::Debug for SendAll<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAll").field("left", &self.items.len()).finish_non_exhaustive()
    }
}

fn end<T>(sender: &Sender<T>, ticket: &mut Option<Ticket>, work: &mut Option<Box<Work<T>>>) {
    if let Some(ticket) = ticket.take() {
        sender.0.leave_room(ticket);
    }
    if let Some(work) = work.take() {
        sender.0.give_back(work);
    }
}
