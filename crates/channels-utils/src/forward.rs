//! [`forward`]: a stream, sent into a channel: the way from other crates' ends to these.
//!
//! A receiver of `async_channel` is a [`Stream`] as it is, and so is a [`Receiver`](crate::Receiver).
//! What goes from one channel into another is driven by whoever polls this future; it needs no task of
//! its own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::{SendError, Sender, Sent};
use weirs_runtime::waiting::Ticket;

/// Sends what a stream gives, until it ends; gives how many were sent.
///
/// # Waiting
/// For items, and for room as [`Sender::send`] does. It takes the next item only when the one before was
/// sent: at most one is in its hands.
///
/// # Cancel safety
/// Dropped before it completes, the item that waits for room is dropped with it, and the stream too.
/// Awaited by `&mut` nothing is lost.
///
/// # Errors
/// [`SendError`] with the item that was not sent, when the channel is closed, or
/// [full](crate::Overflow::Error). A channel that is closed while the stream is silent ends it at once: then
/// there is no item. What the stream has still to give stays in the [`Forward`].
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{bounded, forward};
/// use weirs_runtime::block_on;
///
/// let (theirs, stream) = async_channel::unbounded();
/// theirs.try_send("from another crate").unwrap();
/// theirs.close();
///
/// let (sender, mut receiver) = bounded(NonZeroUsize::MIN);
/// assert_eq!(block_on(forward(stream, sender)), Ok(1));
/// assert_eq!(block_on(receiver.recv()), Some("from another crate"));
/// ```
pub fn forward<S: Stream>(stream: S, sender: Sender<S::Item>) -> Forward<S> {
    Forward { stream, sink: Hold { sender: Some(sender), item: None, ticket: None, end: None }, sent: 0 }
}

pin_project! {
    /// Sends what a stream gives; made by [`forward`].
    #[must_use = "nothing is sent before it is awaited"]
    pub struct Forward<S: Stream> {
        #[pin]
        stream: S,
        sink: Hold<S::Item>,
        sent: u64,
    }
}

/// The sender, and the item that waits for room.
struct Hold<T> {
    sender: Option<Sender<T>>,
    item: Option<T>,
    ticket: Option<Ticket>,
    /// Waits for the end of the channel.
    end: Option<Ticket>,
}

impl<T> Hold<T> {
    /// Sends the item, if one waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Sent<T>>, SendError<T>>> {
        let (Some(sender), true) = (&self.sender, self.item.is_some()) else {
            return Poll::Ready(Ok(None));
        };
        sender.poll_send(&mut self.item, &mut self.ticket, cx).map_ok(Some)
    }

    /// Waits until nobody receives any more.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.as_ref().map_or(Poll::Pending, |sender| sender.poll_closed(&mut self.end, cx))
    }
}

impl<T> Hold<T> {
    fn leave(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        self.ticket.take().into_iter().for_each(|ticket| sender.leave_room(ticket));
        self.end.take().into_iter().for_each(|ticket| sender.leave_end(ticket));
    }
}

impl<T> Drop for Hold<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<S: Stream> Future for Forward<S> {
    type Output = Result<u64, SendError<Option<S::Item>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // So many items before others have their turn.
        const MOST: usize = 64;
        let mut this = self.project();
        for _ in 0..MOST {
            match this.sink.poll_send(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(SendError::Full(item))) => {
                    return Poll::Ready(Err(SendError::Full(Some(item))));
                }
                Poll::Ready(Err(SendError::Closed(item))) => {
                    return Poll::Ready(Err(SendError::Closed(Some(item))));
                }
                Poll::Ready(Ok(sent)) => *this.sent += u64::from(sent.is_some_and(|sent| sent.is_queued())),
            }
            match this.stream.as_mut().poll_next(cx) {
                // The stream may be silent for ever.
                Poll::Pending => return this.sink.poll_closed(cx).map(|()| Err(SendError::Closed(None))),
                Poll::Ready(item @ Some(_)) => this.sink.item = item,
                Poll::Ready(None) => {
                    // The channel ends, if this was its last sender.
                    this.sink.leave();
                    return Poll::Ready(Ok(*this.sent));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Stream> fmt::Debug for Forward<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("sent", &self.sent).finish_non_exhaustive()
    }
}
