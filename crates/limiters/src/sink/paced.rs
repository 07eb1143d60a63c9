//! [`Paced`]: the sink of [`LimitSink`](super::LimitSink), and its error.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;
use pin_project_lite::pin_project;

use crate::{Acquire, Denied, Held, Limit, Outcome, acquire};

pin_project! {
    /// The sink of [`LimitSink::paced`](super::LimitSink::paced).
    #[must_use = "it does nothing unless something is sent"]
    pub struct Paced<S, L: Limit> {
        #[pin]
        sink: S,
        limit: L,
        waits: Option<Acquire<L>>,
        // For the next item.
        admitted: Option<Unsent<L>>,
    }
}

/// One that was admitted and not sent: it goes back.
struct Unsent<L: Limit>(Option<Held<L>>);

impl<L: Limit> Unsent<L> {
    fn end(mut self, outcome: Outcome) {
        if let Some(held) = self.0.take() {
            held.end(outcome);
        }
    }
}

impl<L: Limit> Drop for Unsent<L> {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            held.unused();
        }
    }
}

impl<S, L: Limit> Paced<S, L> {
    pub(super) fn new(sink: S, limit: L) -> Self {
        Self { sink, limit, waits: None, admitted: None }
    }

    /// The sink inside.
    pub fn get_ref(&self) -> &S {
        &self.sink
    }

    /// The sink inside; what was admitted and not sent goes back.
    pub fn into_inner(self) -> S {
        self.sink
    }
}

impl<Item, S: Sink<Item>, L: Limit + Clone> Sink<Item> for Paced<S, L> {
    type Error = PacedError<S::Error>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let mut this = self.project();
        if this.admitted.is_none() {
            ready!(this.sink.as_mut().poll_ready(cx)).map_err(PacedError::Sink)?;
            let waits = this.waits.get_or_insert_with(|| acquire(this.limit.clone(), 1));
            let result = ready!(Pin::new(waits).poll(cx));
            *this.waits = None;
            *this.admitted = Some(Unsent(Some(result.map_err(PacedError::Denied)?)));
        }
        // Its room may be gone by now.
        this.sink.poll_ready(cx).map_err(PacedError::Sink)
    }

    fn start_send(self: Pin<&mut Self>, item: Item) -> Result<(), Self::Error> {
        let this = self.project();
        let admitted = this.admitted.take().expect("`start_send` comes after `poll_ready`");
        this.sink.start_send(item).map_err(PacedError::Sink)?;
        admitted.end(Outcome::Success);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.project().sink.poll_flush(cx).map_err(PacedError::Sink)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.project().sink.poll_close(cx).map_err(PacedError::Sink)
    }
}

impl<S, L: Limit> fmt::Debug for Paced<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paced")
            .field("waits", &self.waits.is_some())
            .field("admitted", &self.admitted.is_some())
            .finish_non_exhaustive()
    }
}

/// Why nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacedError<E> {
    /// The limiter refused.
    Denied(Denied),
    /// The sink failed.
    Sink(E),
}

impl<E: fmt::Display> fmt::Display for PacedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for PacedError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Denied(denied) => Some(denied),
            Self::Sink(error) => Some(error),
        }
    }
}
