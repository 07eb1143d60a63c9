//! [`Sender`]: the end that things are put into.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::permit::{Permits, Reserve};
use super::shared::Shared;
use super::{ChannelStats, SendError, SenderSink, Sent};
use crate::sync::Arc;
use weirs_runtime::waiting::Ticket;

/// The end of a channel that things are put into; made by [`bounded`](super::bounded) and
/// [`channel`](super::channel).
///
/// Clones send into the same channel. It is closed when the last of them is dropped.
pub struct Sender<T>(pub(super) Arc<Shared<T>>);

impl<T> Sender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self(shared)
    }

    /// Sends an item.
    ///
    /// # Waiting
    /// With [`Overflow::Block`](super::Overflow::Block) it waits while the channel is full; with the other
    /// policies it never waits.
    ///
    /// # Fairness
    /// Room that comes free goes to those who wait, in the order in which they came.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was sent: the item is dropped with the future. To keep the
    /// item, [reserve](Self::reserve) first.
    ///
    /// # Errors
    /// [`SendError::Closed`] when the channel is closed or nobody receives, and [`SendError::Full`] with
    /// [`Overflow::Error`](super::Overflow::Error). Both give the item back.
    pub fn send(&self, item: T) -> Send<'_, T> {
        Send { sender: self, item: Some(item), ticket: None }
    }

    /// Sends an item if that needs no waiting.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`], with the item.
    pub fn try_send(&self, item: T) -> Result<Sent<T>, SendError<T>> {
        self.0.try_send(item)
    }

    /// [`send`](Self::send) for code that is not async: it blocks the thread. Not to be called from a
    /// future.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_blocking(&self, item: T) -> Result<Sent<T>, SendError<T>> {
        // Without a park where none is needed.
        match self.try_send(item) {
            Err(SendError::Full(item)) if self.0.waits => weirs_runtime::block_on(self.send(item)),
            sent => sent,
        }
    }

    /// Sends all that is in `items`, from the front; as many at a time as there is room for.
    ///
    /// One lock and at most a wake for each run of items: this is the fast way for whoever has several.
    /// What a policy drops on the way is seen by [`on_drop`](super::ChannelBuilder::on_drop) and the
    /// statistics.
    ///
    /// # Waiting
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropped before it completes, what was sent is sent, and the rest is still in `items`.
    ///
    /// # Errors
    /// [`SendError::Closed`] when the channel is closed, and [`SendError::Full`] with
    /// [`Overflow::Error`](super::Overflow::Error); what was not sent is still in `items`.
    ///
    /// # Examples
    /// ```
    /// use std::collections::VecDeque;
    /// use std::num::NonZeroUsize;
    /// use weirs_channels_utils::bounded;
    /// use weirs_runtime::block_on;
    ///
    /// let (sender, mut receiver) = bounded(NonZeroUsize::new(8).unwrap());
    /// let mut words = VecDeque::from(["or", "done", "tee"]);
    /// block_on(sender.send_all(&mut words)).unwrap();
    /// assert!(words.is_empty());
    /// assert_eq!(receiver.remaining().count(), 3);
    /// ```
    pub fn send_all<'a>(&'a self, items: &'a mut VecDeque<T>) -> SendAll<'a, T> {
        SendAll { sender: self, items, ticket: None }
    }

    /// Waits for room for so many items, and keeps it: sending into it does not wait.
    ///
    /// # Waiting
    /// It waits for its turn and for the room, whatever the policy. Meanwhile [`try_send`](Self::try_send)
    /// uses what is free.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing is reserved.
    ///
    /// # Errors
    /// [`SendError::Full`] at once when the channel can never hold so many, [`SendError::Closed`] when it
    /// is closed.
    ///
    /// # Examples
    /// The item is made when there is a place for it, and never lost:
    /// ```
    /// use std::num::NonZeroUsize;
    /// use weirs_channels_utils::bounded;
    /// use weirs_runtime::block_on;
    ///
    /// let (sender, mut receiver) = bounded(NonZeroUsize::MIN);
    /// block_on(async {
    ///     let mut permit = sender.reserve(NonZeroUsize::MIN).await.unwrap();
    ///     assert!(sender.try_send("no room").is_err());
    ///     permit.send("made just now").unwrap();
    ///     assert_eq!(receiver.recv().await, Some("made just now"));
    /// });
    /// ```
    pub fn reserve(&self, amount: NonZeroUsize) -> Reserve<'_, T> {
        Reserve::new(self, amount)
    }

    /// Reserves room for so many items if that needs no waiting.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_reserve(&self, amount: NonZeroUsize) -> Result<Permits<'_, T>, SendError<()>> {
        match self.0.try_reserve(amount.get()) {
            Some(true) => Ok(Permits::new(self, amount.get())),
            Some(false) => Err(SendError::Full(())),
            None => Err(SendError::Closed(())),
        }
    }

    /// Takes no more items; receivers get those that are in it, and then the end.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until nothing can be sent any more: the channel was closed, or its last receiver is gone.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing happened.
    pub fn closed(&self) -> WaitClosed<'_, T> {
        WaitClosed { sender: self, ticket: None }
    }

    /// [`send`](Self::send) for whoever holds the item and the ticket.
    pub(crate) fn poll_send(
        &self,
        item: &mut Option<T>,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sent<T>, SendError<T>>> {
        self.0.poll_send(item, ticket, cx)
    }

    /// Gives up waiting in [`poll_send`](Self::poll_send).
    pub(crate) fn leave_room(&self, ticket: Ticket) {
        self.0.leave_room(1, ticket);
    }

    /// [`closed`](Self::closed) for whoever holds the ticket.
    pub(crate) fn poll_closed(&self, ticket: &mut Option<Ticket>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_closed(ticket, cx)
    }

    /// Gives up waiting in [`poll_closed`](Self::poll_closed).
    pub(crate) fn leave_end(&self, ticket: Ticket) {
        self.0.leave_end(ticket);
    }

    /// A look at the channel.
    pub fn stats(&self) -> ChannelStats {
        self.0.stats()
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
        self.0.capacity
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A sender that does not keep the channel open.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use weirs_channels_utils::bounded;
    ///
    /// let (sender, mut receiver) = bounded(NonZeroUsize::MIN);
    /// let weak = sender.downgrade();
    /// weak.upgrade().unwrap().try_send("still there").unwrap();
    /// drop(sender);
    /// assert!(weak.upgrade().is_none());
    /// assert_eq!(receiver.remaining().count(), 1);
    /// assert!(receiver.is_closed());
    /// ```
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(Arc::clone(&self.0))
    }

    /// The same end as a [`Sink`](futures_sink::Sink).
    pub fn into_sink(self) -> SenderSink<T> {
        SenderSink::new(self)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.add_sender();
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.remove_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stats", &self.stats()).finish()
    }
}

/// A [`Sender`] that does not keep the channel open; made by [`Sender::downgrade`].
pub struct WeakSender<T>(Arc<Shared<T>>);

impl<T> WeakSender<T> {
    /// The sender, unless the last one is gone.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.0.revive_sender().then(|| Sender(Arc::clone(&self.0)))
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}

/// Sends an item; made by [`Sender::send`].
#[derive(Debug)]
#[must_use = "nothing is sent before it is awaited"]
pub struct Send<'a, T> {
    sender: &'a Sender<T>,
    item: Option<T>,
    ticket: Option<Ticket>,
}

// The item is moved, never pinned.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<Sent<T>, SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.sender.0.poll_send(&mut this.item, &mut this.ticket, cx)
    }
}

impl<T> Drop for Send<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.sender.0.leave_room(1, ticket);
        }
    }
}

/// Sends many items; made by [`Sender::send_all`].
#[derive(Debug)]
#[must_use = "nothing is sent before it is awaited"]
pub struct SendAll<'a, T> {
    sender: &'a Sender<T>,
    items: &'a mut VecDeque<T>,
    ticket: Option<Ticket>,
}

impl<T> Future for SendAll<'_, T> {
    type Output = Result<(), SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.sender.0.poll_send_many(this.items, &mut this.ticket, cx)
    }
}

impl<T> Drop for SendAll<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.sender.0.leave_room(1, ticket);
        }
    }
}

/// Waits until nothing can be sent any more; made by [`Sender::closed`].
#[derive(Debug)]
#[must_use = "it waits when it is awaited"]
pub struct WaitClosed<'a, T> {
    sender: &'a Sender<T>,
    ticket: Option<Ticket>,
}

impl<T> Future for WaitClosed<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.sender.0.poll_closed(&mut this.ticket, cx)
    }
}

impl<T> Drop for WaitClosed<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.sender.0.leave_end(ticket);
        }
    }
}
