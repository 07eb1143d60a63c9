//! [`Request`]: an item that has its reply with it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Canceled, Receiver, Sender, channel};
use crate::{Closed, SendError, Sent};

/// An item, and the place for the reply to it.
///
/// Dropped without a reply, whoever asked gets [`Canceled`]: nobody waits for ever.
#[derive(Debug)]
pub struct Request<T, R> {
    /// What is asked.
    pub item: T,
    /// Where the reply goes.
    pub reply: Sender<R>,
}

/// The reply to a [`Request`]: a future of it, or of [`Canceled`].
pub type Response<R> = Receiver<R>;

/// An item with a place for the reply.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{bounded, oneshot::Request};
/// use weirs_runtime::block_on;
///
/// let (sender, mut receiver) = bounded::<Request<&str, usize>>(NonZeroUsize::MIN);
/// let client = sender.call("how long is this?");
/// let server = async {
///     let request = receiver.recv().await.unwrap();
///     let length = request.item.len();
///     request.respond(length).unwrap();
/// };
/// let (length, ()) = block_on(futures_lite::future::zip(client, server));
/// assert_eq!(length, Ok(17));
/// ```
pub fn request<T, R>(item: T) -> (Request<T, R>, Response<R>) {
    let (reply, response) = channel();
    (Request { item, reply }, response)
}

impl<T, R> Request<T, R> {
    /// Gives the reply; the item is dropped.
    ///
    /// # Errors
    /// [`Closed`] with the reply when nobody waits for it any more.
    pub fn respond(self, reply: R) -> Result<(), Closed<R>> {
        self.reply.send(reply)
    }

    /// Whether nobody waits for the reply any more.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

impl<T, R> crate::Sender<Request<T, R>> {
    /// Sends a request and waits for the reply.
    ///
    /// # Waiting
    /// As [`send`](crate::Sender::send), and then until the reply comes.
    ///
    /// # Cancel safety
    /// Dropped before the request is sent, nothing was sent. Dropped later, the request
    /// [is abandoned](Request::is_abandoned): whoever works on it may see that and stop.
    ///
    /// # Errors
    /// [`CallError`]: it was not sent, and gives the item back; or it was dropped without a reply.
    pub fn call(&self, item: T) -> Call<'_, T, R> {
        let (request, response) = request(item);
        Call { send: Some(self.send(request)), response }
    }
}

/// Why there was no reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CallError<T> {
    /// It was not sent: the channel is closed, or [full](crate::Overflow::Error), or its policy refused it.
    NotSent(SendError<T>),
    /// It was sent, and dropped without a reply.
    Canceled,
}

impl<T> CallError<T> {
    /// The item, if it was not sent.
    pub fn into_inner(self) -> Option<T> {
        match self {
            Self::NotSent(error) => Some(error.into_inner()),
            Self::Canceled => None,
        }
    }
}

impl<T> fmt::Debug for CallError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(error) => f.debug_tuple("NotSent").field(error).finish(),
            Self::Canceled => f.write_str("Canceled"),
        }
    }
}

impl<T> fmt::Display for CallError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(error) => error.fmt(f),
            Self::Canceled => Canceled::new().fmt(f),
        }
    }
}

impl<T> Error for CallError<T> {}

/// Sends a request and waits for the reply; made by [`Sender::call`](crate::Sender::call).
#[derive(Debug)]
#[must_use = "nothing is sent before it is awaited"]
pub struct Call<'a, T, R> {
    send: Option<crate::Send<'a, Request<T, R>>>,
    response: Response<R>,
}

impl<T, R> Future for Call<'_, T, R> {
    type Output = Result<R, CallError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { send, response } = &mut *self;
        if let Some(sending) = send {
            let Poll::Ready(sent) = Pin::new(sending).poll(cx) else { return Poll::Pending };
            *send = None;
            match sent {
                Ok(Sent::Queued) => {}
                // The one before gets `Canceled` by this.
                Ok(Sent::Evicted(oldest)) => drop(oldest),
                Ok(Sent::Refused(request)) => {
                    return Poll::Ready(Err(CallError::NotSent(SendError::Full(request.item))));
                }
                Err(SendError::Full(request)) => {
                    return Poll::Ready(Err(CallError::NotSent(SendError::Full(request.item))));
                }
                Err(SendError::Closed(request)) => {
                    return Poll::Ready(Err(CallError::NotSent(SendError::Closed(request.item))));
                }
            }
        }
        Pin::new(response).poll(cx).map_err(|Canceled(())| CallError::Canceled)
    }
}
