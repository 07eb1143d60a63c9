//! The streams of [`LimitStream`](super::LimitStream), and what comes out of them.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::{Acquire, Denied, Held, Limit, Outcome, acquire};

pin_project! {
    /// One item after the other waits for the limiter.
    pub(super) struct Admit<S: Stream, L: Limit> {
        #[pin]
        stream: S,
        limit: L,
        item: Option<S::Item>,
        waits: Option<Acquire<L>>,
    }
}

impl<S: Stream, L: Limit + Clone> Admit<S, L> {
    pub(super) fn new(stream: S, limit: L) -> Self {
        Self { stream, limit, item: None, waits: None }
    }

    #[allow(clippy::type_complexity, reason = "an item, or the item with the reason")]
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Admitted<L, S::Item>, NotAdmitted<S::Item>>>> {
        let this = self.project();
        if this.item.is_none() {
            match ready!(this.stream.poll_next(cx)) {
                Some(item) => *this.item = Some(item),
                None => return Poll::Ready(None),
            }
        }
        let waits = this.waits.get_or_insert_with(|| acquire(this.limit.clone(), 1));
        let result = ready!(Pin::new(waits).poll(cx));
        *this.waits = None;
        Poll::Ready(this.item.take().map(|item| match result {
            Ok(held) => Ok(Admitted { item, held }),
            Err(denied) => Err(NotAdmitted { item, denied }),
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.stream.size_hint();
        let here = usize::from(self.item.is_some());
        (least.saturating_add(here), most.and_then(|most| most.checked_add(here)))
    }
}

macro_rules! streams {
    ($($(#[$docs:meta])* $stream:ident: $item:ty, $of:expr;)*) => {$(
        pin_project! {
            $(#[$docs])*
            #[must_use = "it does nothing unless it is polled"]
            pub struct $stream<S: Stream, L: Limit> {
                #[pin]
                admit: Admit<S, L>,
            }
        }

        impl<S: Stream, L: Limit> $stream<S, L> {
            pub(super) fn new(admit: Admit<S, L>) -> Self {
                Self { admit }
            }
        }

        impl<S: Stream, L: Limit + Clone> Stream for $stream<S, L> {
            type Item = Result<$item, NotAdmitted<S::Item>>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                let polled = self.project().admit.poll(cx);
                polled.map(|item| item.map(|item| item.map($of)))
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.admit.size_hint()
            }
        }

        impl<S: Stream, L: Limit> fmt::Debug for $stream<S, L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let waits = self.admit.item.is_some();
                f.debug_struct(stringify!($stream)).field("waits", &waits).finish_non_exhaustive()
            }
        }
    )*};
}

streams! {
    /// The stream of [`LimitStream::rate_limited`](super::LimitStream::rate_limited).
    RateLimited: S::Item, |admitted: Admitted<L, S::Item>| admitted.item;
    /// The stream of [`LimitStream::limit_concurrency`](super::LimitStream::limit_concurrency).
    LimitConcurrency: Admitted<L, S::Item>, |admitted| admitted;
}

/// An item, and what it holds of the limiter until it is dropped.
#[must_use = "what it holds is given back when it is dropped"]
pub struct Admitted<L: Limit, T> {
    item: T,
    held: Held<L>,
}

impl<L: Limit, T> Admitted<L, T> {
    /// Ends what it holds so, and gives the item.
    pub fn end(self, outcome: Outcome) -> T {
        self.held.end(outcome);
        self.item
    }

    /// The item and the guard.
    pub fn into_parts(self) -> (T, Held<L>) {
        (self.item, self.held)
    }
}

impl<L: Limit, T> Deref for Admitted<L, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<L: Limit, T> DerefMut for Admitted<L, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<L: Limit, T> fmt::Debug for Admitted<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("held", &self.held).finish_non_exhaustive()
    }
}

/// An item that the limiter did not admit, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct NotAdmitted<T> {
    /// What was not admitted.
    pub item: T,
    /// Why.
    pub denied: Denied,
}

impl<T> fmt::Debug for NotAdmitted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotAdmitted").field("denied", &self.denied).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for NotAdmitted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.denied.fmt(f)
    }
}

impl<T> Error for NotAdmitted<T> {}
