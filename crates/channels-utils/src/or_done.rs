//! [`OrDone`]: a stream until a signal.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

pin_project! {
    /// A stream that ends when its source ends or when a signal is there, whichever is first; made by
    /// [`StreamUtil::or_done`](crate::StreamUtil::or_done).
    ///
    /// # Waiting
    /// It waits for the source and for the signal.
    ///
    /// # Cancel safety
    /// It holds no item: what was not given out is still in the source.
    ///
    /// # Panics
    /// A panic of the source or of the signal goes to whoever polls. Then the stream has ended, without an
    /// [`end`](Self::end).
    #[must_use = "streams do nothing unless polled"]
    pub struct OrDone<S, F: Future> {
        #[pin]
        source: S,
        #[pin]
        signal: F,
        state: State<F::Output>,
    }
}

/// Why a stream [until a signal](OrDone) has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrDoneEnd {
    /// The source has no more items.
    Ended,
    /// The signal came. The source may have more items.
    Stopped,
}

enum State<T> {
    Runs,
    /// In a poll; after it only when that panicked.
    Polled,
    Ended,
    Stopped(T),
}

impl<S, F: Future> OrDone<S, F> {
    pub(crate) fn new(source: S, signal: F) -> Self {
        Self { source, signal, state: State::Runs }
    }

    /// Why it has ended; nothing as long as it has not.
    pub fn end(&self) -> Option<OrDoneEnd> {
        match self.state {
            State::Runs | State::Polled => None,
            State::Ended => Some(OrDoneEnd::Ended),
            State::Stopped(_) => Some(OrDoneEnd::Stopped),
        }
    }

    /// What the signal gave, if it was the signal that ended the stream.
    pub fn stopped_by(&self) -> Option<&F::Output> {
        match &self.state {
            State::Stopped(output) => Some(output),
            _ => None,
        }
    }

    /// The source, with all items that were not given out.
    pub fn into_inner(self) -> S {
        self.source
    }

    /// A look at the source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }
}

impl<S: Stream, F: Future> Stream for OrDone<S, F> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        if !matches!(this.state, State::Runs) {
            return Poll::Ready(None);
        }
        *this.state = State::Polled;
        if let Poll::Ready(output) = this.signal.poll(cx) {
            *this.state = State::Stopped(output);
            return Poll::Ready(None);
        }
        let polled = this.source.poll_next(cx);
        let ended = matches!(polled, Poll::Ready(None));
        *this.state = if ended { State::Ended } else { State::Runs };
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.state {
            State::Runs => (0, self.source.size_hint().1),
            _ => (0, Some(0)),
        }
    }
}

impl<S: Stream, F: Future> FusedStream for OrDone<S, F> {
    fn is_terminated(&self) -> bool {
        !matches!(self.state, State::Runs)
    }
}

impl<S: fmt::Debug, F: Future> fmt::Debug for OrDone<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrDone")
            .field("source", &self.source)
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
