//! [`Recipient`]: an address that takes narrower messages.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{NoRoom, Place, Room, TellError, TryTellError};
use crate::actor::inbox::{Inbox, Refused};
use crate::current::Unheard;

/// An address that takes narrower messages; made by [`Addr::map`](super::Addr::map).
pub struct Recipient<N>(Arc<dyn Narrow<N>>);

/// Waits for room before it makes the message, so that what was handed in can be given back.
trait Narrow<N>: Send + Sync {
    fn room(&self) -> &(dyn Room + Send + Sync);
    /// Whether it takes everything at once, and drops something for it.
    fn never_waits(&self) -> bool;
    fn push_promised(&self, message: N);
    fn try_push(&self, message: N) -> Result<(), TryTellError<N>>;
    fn is_closed(&self) -> bool;
}

struct Mapped<M, F> {
    inbox: Arc<Inbox<M>>,
    map: F,
}

impl<N: Send + 'static> Recipient<N> {
    pub(super) fn new<M: Send + 'static>(
        inbox: &Arc<Inbox<M>>,
        map: impl Fn(N) -> M + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Mapped { inbox: Arc::clone(inbox), map }))
    }
}

/// A place that was promised, given back unless it is used.
struct Promise<'a, M>(Option<&'a Inbox<M>>);

impl<M> Drop for Promise<'_, M> {
    fn drop(&mut self) {
        if let Some(inbox) = self.0 {
            inbox.break_promise();
        }
    }
}

impl<M: Send, N, F: Fn(N) -> M + Send + Sync> Narrow<N> for Mapped<M, F> {
    fn room(&self) -> &(dyn Room + Send + Sync) {
        &*self.inbox
    }

    fn never_waits(&self) -> bool {
        self.inbox.never_waits()
    }

    fn push_promised(&self, message: N) {
        let mut promise = Promise(Some(&self.inbox));
        let message = (self.map)(message);
        promise.0 = None;
        // An actor that ended since the room was promised drops it like others that wait.
        if let Err(message) = self.inbox.push_promised(message) {
            self.inbox.unheard(message, Unheard::Closed);
        }
    }

    fn try_push(&self, message: N) -> Result<(), TryTellError<N>> {
        if self.inbox.is_closed() {
            return Err(TryTellError::Closed(message));
        }
        if self.never_waits() {
            // One that ended since then drops it like others that wait.
            if let Err(Refused::Full(message) | Refused::Closed(message)) =
                self.inbox.push((self.map)(message))
            {
                self.inbox.unheard(message, Unheard::Closed);
            }
            return Ok(());
        }
        let mut ticket = None;
        let cx = Context::from_waker(std::task::Waker::noop());
        match self.inbox.poll_room(&cx, &mut ticket) {
            Poll::Ready(Ok(())) => {
                self.push_promised(message);
                Ok(())
            }
            Poll::Ready(Err(())) => Err(TryTellError::Closed(message)),
            Poll::Pending => {
                if let Some(ticket) = ticket {
                    self.inbox.leave(ticket);
                }
                Err(TryTellError::Full(message))
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }
}

impl<N: Send + 'static> Recipient<N> {
    /// Tells the actor, waiting for room in its queue, as [`Addr::tell`](super::Addr::tell) does. The message
    /// is made when there is room.
    ///
    /// # Errors
    /// [`TellError`] says why it was not sent. Here is what was handed in again.
    ///
    /// # Panics
    /// With the function that makes the message; nothing is sent then.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the message was not sent.
    pub async fn tell(&self, message: N) -> Result<(), TellError<N>> {
        if self.0.never_waits() {
            return self.0.try_push(message).map_err(|error| TellError::Closed(error.into_inner()));
        }
        let room = {
            let mut place = Place::new(self.0.room());
            poll_fn(|cx| place.poll(cx, true)).await
        };
        match room {
            Ok(()) => {
                self.0.push_promised(message);
                Ok(())
            }
            Err(NoRoom::Closed) => Err(TellError::Closed(message)),
            Err(NoRoom::Cycle(path)) => Err(TellError::Cycle(message, path)),
        }
    }

    /// Tells the actor, without waiting.
    ///
    /// # Errors
    /// There is no room, or the actor has ended for good. Here is what was handed in again.
    ///
    /// # Panics
    /// As [`tell`](Recipient::tell).
    pub fn try_tell(&self, message: N) -> Result<(), TryTellError<N>> {
        self.0.try_push(message)
    }

    /// Whether no message is taken any more.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<N> Clone for Recipient<N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<N> fmt::Debug for Recipient<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient").field("closed", &self.0.is_closed()).finish()
    }
}
