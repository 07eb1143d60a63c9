//! [`Bridge`] and [`BridgeUnordered`]: a stream of streams as one stream, one by one or several at once.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::Merge;

pin_project! {
    /// The items of a stream of streams, one stream after the other; made by
    /// [`StreamUtil::bridge`](crate::StreamUtil::bridge).
    ///
    /// # Waiting
    /// It waits for the stream at hand; when that has ended, for the next one.
    ///
    /// # Cancel safety
    /// It holds no item, only the stream at hand.
    ///
    /// # Panics
    /// A panic of a stream goes to whoever polls; what was polled is not polled again. If that was an inner
    /// stream, the next one follows.
    #[must_use = "streams do nothing unless polled"]
    pub struct Bridge<S: Stream> {
        #[pin]
        outer: Option<S>,
        #[pin]
        inner: Option<S::Item>,
        // In a poll; after it only when that panicked.
        polled: bool,
    }
}

impl<S: Stream> Bridge<S> {
    pub(crate) fn new(outer: S) -> Self {
        Self { outer: Some(outer), inner: None, polled: false }
    }
}

impl<S: Stream<Item: Stream>> Stream for Bridge<S> {
    type Item = <S::Item as Stream>::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if std::mem::replace(this.polled, true) {
            match this.inner.is_some() {
                true => this.inner.set(None),
                false => this.outer.set(None),
            }
        }
        // Streams that are empty must not keep the executor for ever.
        for _ in 0..64 {
            if let Some(inner) = this.inner.as_mut().as_pin_mut() {
                match inner.poll_next(cx) {
                    Poll::Ready(None) => this.inner.set(None),
                    polled => {
                        *this.polled = false;
                        return polled;
                    }
                }
            }
            let Some(outer) = this.outer.as_mut().as_pin_mut() else {
                *this.polled = false;
                return Poll::Ready(None);
            };
            match outer.poll_next(cx) {
                Poll::Ready(Some(inner)) => this.inner.set(Some(inner)),
                Poll::Ready(None) => this.outer.set(None),
                Poll::Pending => {
                    *this.polled = false;
                    return Poll::Pending;
                }
            }
        }
        *this.polled = false;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Stream> fmt::Debug for Bridge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Bridge");
        debug.field("more", &self.outer.is_some()).field("at_hand", &self.inner.is_some()).finish()
    }
}

/// So many items are given before the outer stream is looked at again.
const BETWEEN: u32 = 16;

pin_project! {
    /// The items of a stream of streams, several streams at once; made by
    /// [`StreamUtil::bridge_unordered`](crate::StreamUtil::bridge_unordered).
    ///
    /// # Waiting
    /// It waits for any of the streams at hand, and while it has fewer than it may have, for the next one.
    /// The outer stream is not polled while as many as may be are at hand.
    ///
    /// # Fairness
    /// That of [`Merge`]. Streams that are new get their turn after at most 16 items.
    ///
    /// # Cancel safety
    /// It holds no item, only the streams at hand.
    ///
    /// # Panics
    /// A panic of a stream goes to whoever polls; what was polled is not polled again.
    #[must_use = "streams do nothing unless polled"]
    pub struct BridgeUnordered<S: Stream> {
        #[pin]
        outer: Option<S>,
        inner: Merge<S::Item>,
        most: NonZeroUsize,
        given: u32,
        // In a poll of the outer stream; after it only when that panicked.
        polled: bool,
    }
}

impl<S: Stream> BridgeUnordered<S> {
    pub(crate) fn new(outer: S, most: NonZeroUsize) -> Self {
        Self { outer: Some(outer), inner: Merge::new(), most, given: 0, polled: false }
    }

    /// How many streams are at hand.
    pub fn at_hand(&self) -> usize {
        self.inner.len()
    }
}

impl<S: Stream<Item: Stream>> Stream for BridgeUnordered<S> {
    type Item = <S::Item as Stream>::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if std::mem::take(this.polled) {
            this.outer.set(None);
        }
        if *this.given < BETWEEN {
            match Pin::new(&mut *this.inner).poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    *this.given += 1;
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        *this.given = 0;
        let mut outer_waits = false;
        for _ in 0..64 {
            if this.inner.len() >= this.most.get() {
                break;
            }
            let Some(outer) = this.outer.as_mut().as_pin_mut() else { break };
            *this.polled = true;
            let polled = outer.poll_next(cx);
            *this.polled = false;
            match polled {
                Poll::Ready(Some(inner)) => {
                    this.inner.push(inner);
                }
                Poll::Ready(None) => this.outer.set(None),
                Poll::Pending => {
                    outer_waits = true;
                    break;
                }
            }
        }
        match Pin::new(&mut *this.inner).poll_next(cx) {
            Poll::Ready(None) if this.outer.is_none() => Poll::Ready(None),
            Poll::Ready(Some(item)) => Poll::Ready(Some(item)),
            _ => {
                // An inner stream may have ended just now, and made room.
                let asks = this.outer.is_some() && this.inner.len() < this.most.get() && !outer_waits;
                if asks {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

impl<S: Stream> fmt::Debug for BridgeUnordered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BridgeUnordered");
        debug.field("inner", &self.inner).field("most", &self.most).finish_non_exhaustive()
    }
}
