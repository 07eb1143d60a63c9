//! [`SenderSink`]: a sender as a sink.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_sink::Sink;

use super::{Closed, SendError, Sender};
use weirs_runtime::waiting::Ticket;

/// A [`Sender`] as a [`Sink`]; made by [`Sender::into_sink`].
///
/// It is ready when room is reserved for the next item, so `start_send` never refuses for want of room.
/// What a policy drops is seen by [`on_drop`](super::ChannelBuilder::on_drop) and the statistics.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use futures::{SinkExt, StreamExt, stream};
/// use weirs_channels_utils::bounded;
/// use weirs_runtime::block_on;
///
/// let (sender, mut receiver) = bounded(NonZeroUsize::new(4).unwrap());
/// let mut sink = sender.into_sink();
/// block_on(sink.send_all(&mut stream::iter([1, 2, 3]).map(Ok))).unwrap();
/// assert_eq!(receiver.remaining().sum::<i32>(), 6);
/// ```
pub struct SenderSink<T> {
    sender: Option<Sender<T>>,
    reserved: bool,
    ticket: Option<Ticket>,
    /// Waits for the end, too.
    end: Option<Ticket>,
}

impl<T> SenderSink<T> {
    pub(super) fn new(sender: Sender<T>) -> Self {
        Self { sender: Some(sender), reserved: false, ticket: None, end: None }
    }

    /// The sender, unless the sink was closed.
    pub fn sender(&self) -> Option<&Sender<T>> {
        self.sender.as_ref()
    }

    /// [`Sender::send_all`] by hand: sends those for which there is room, and is ready when that was all.
    ///
    /// # Cancel safety
    /// What was not sent is in `items`; the sink keeps its place in the queue.
    ///
    /// # Errors
    /// As [`Sender::send_all`]. What was not sent is in `items`.
    pub fn poll_send_all(
        &mut self,
        items: &mut VecDeque<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<()>>> {
        match &self.sender {
            Some(sender) => sender.0.poll_send_many(items, &mut self.ticket, cx),
            None if items.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Ready(Err(SendError::Closed(()))),
        }
    }

    /// Waits until nothing can be sent any more.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.sender {
            Some(sender) => sender.poll_closed(&mut self.end, cx),
            None => Poll::Ready(()),
        }
    }

    pub(crate) fn let_go(&mut self) {
        if let Some(sender) = &self.sender {
            if let Some(ticket) = self.ticket.take() {
                sender.0.leave_room(1, ticket);
            }
            if std::mem::take(&mut self.reserved) {
                sender.0.give_back(1);
            }
        }
    }
}

impl<T> SenderSink<T> {
    /// Waits for nothing any more.
    fn leave(&mut self) {
        self.let_go();
        if let (Some(sender), Some(ticket)) = (&self.sender, self.end.take()) {
            sender.leave_end(ticket);
        }
    }
}

impl<T> Unpin for SenderSink<T> {}

impl<T> Sink<T> for SenderSink<T> {
    type Error = SendError<T>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let this = &mut *self;
        if let Some(sender) = this.sender.as_ref().filter(|sender| sender.0.waits && !this.reserved) {
            match sender.0.poll_reserve(1, &mut this.ticket, cx) {
                Poll::Pending => return Poll::Pending,
                // A channel that is closed says so when it is given an item, which it gives back.
                Poll::Ready(reserved) => this.reserved = reserved.is_some(),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), SendError<T>> {
        let this = &mut *self;
        let Some(sender) = &this.sender else {
            return Err(SendError::Closed(item));
        };
        if std::mem::take(&mut this.reserved) {
            return sender.0.send_reserved(item).map_err(SendError::Closed);
        }
        sender.try_send(item).map(drop)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        Poll::Ready(Ok(()))
    }

    /// This end is dropped; the channel is closed when no other sender is left.
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.leave();
        self.sender = None;
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for SenderSink<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> From<Closed<T>> for SendError<T> {
    fn from(closed: Closed<T>) -> Self {
        Self::Closed(closed.into_inner())
    }
}

impl<T> fmt::Debug for SenderSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderSink").field("sender", &self.sender).field("reserved", &self.reserved).finish()
    }
}
