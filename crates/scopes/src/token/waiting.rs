//! [`UntilCancelled`], [`UntilCancelledOwned`] and [`Run`]: waiting for a token, alone or beside other work.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::CancelToken;
use super::node::Place;
use crate::{Cancelled, Reason};

/// Waits until a token is cancelled, and gives the reason; made by [`CancelToken::cancelled`].
///
/// Polled again after its end it is ready again.
///
/// # Cancel safety
/// Dropping it takes its waker out of the token. Nothing else happened.
#[must_use = "it does nothing unless it is awaited"]
pub struct UntilCancelled<'a> {
    token: &'a CancelToken,
    place: Option<Place>,
}

impl<'a> UntilCancelled<'a> {
    pub(super) fn new(token: &'a CancelToken) -> Self {
        Self { token, place: None }
    }
}

impl Future for UntilCancelled<'_> {
    type Output = Reason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let this = &mut *self;
        this.token.0.poll(&mut this.place, cx)
    }
}

impl Drop for UntilCancelled<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.token.0.unregister(place);
        }
    }
}

impl fmt::Debug for UntilCancelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilCancelled").field("token", self.token).finish_non_exhaustive()
    }
}

/// Waits until a token is cancelled, and keeps it meanwhile; made by [`CancelToken::cancelled_owned`].
///
/// For a future that has to be `'static`; otherwise it is an [`UntilCancelled`].
///
/// # Cancel safety
/// Dropping it takes its waker out of the token. Nothing else happened.
#[must_use = "it does nothing unless it is awaited"]
pub struct UntilCancelledOwned {
    token: CancelToken,
    place: Option<Place>,
}

impl UntilCancelledOwned {
    pub(super) fn new(token: CancelToken) -> Self {
        Self { token, place: None }
    }

    /// Takes the waker out: there is nothing more to wait for.
    fn stop(&mut self) {
        if let Some(place) = self.place.take() {
            self.token.0.unregister(place);
        }
    }
}

impl Future for UntilCancelledOwned {
    type Output = Reason;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let this = &mut *self;
        this.token.0.poll(&mut this.place, cx)
    }
}

impl Drop for UntilCancelledOwned {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for UntilCancelledOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilCancelledOwned").field("token", &self.token).finish_non_exhaustive()
    }
}

pin_project! {
    /// A future that is dropped when a token is cancelled; made by [`CancelToken::run`].
    ///
    /// The inner future is polled first: what is ready in the same poll as the cancelling is given, not lost.
    /// When the token is cancelled, the inner future is dropped before this one is ready.
    ///
    /// # Cancel safety
    /// Dropping it drops the inner future; what that means is the inner future's promise.
    ///
    /// # Errors
    /// [`Cancelled`] when the token was cancelled first.
    ///
    /// # Panics
    /// When it is polled after its end.
    #[must_use = "it does nothing unless it is awaited"]
    pub struct Run<F> {
        // None when it is over.
        #[pin]
        future: Option<F>,
        cancelled: UntilCancelledOwned,
    }
}

impl<F> Run<F> {
    pub(super) fn new(token: CancelToken, future: F) -> Self {
        Self { future: Some(future), cancelled: UntilCancelledOwned::new(token) }
    }
}

impl<F: Future> Future for Run<F> {
    type Output = Result<F::Output, Cancelled>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let future = this.future.as_mut().as_pin_mut().expect("it is not polled after its end");
        if let Poll::Ready(output) = future.poll(cx) {
            this.future.set(None);
            this.cancelled.stop();
            return Poll::Ready(Ok(output));
        }
        let why = std::task::ready!(Pin::new(this.cancelled).poll(cx));
        this.future.set(None);
        Poll::Ready(Err(Cancelled::new(why)))
    }
}

impl<F: fmt::Debug> fmt::Debug for Run<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("future", &self.future).field("token", &self.cancelled.token).finish()
    }
}
