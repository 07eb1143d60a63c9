//! [`Conflate`], [`EveryNth`] and [`TakeLast`]: fewer items than came.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

/// So many items are folded into one at most: a source that is always ready must not be read for ever.
const MOST: u32 = 1024;

pin_project! {
    /// All that is ready, folded into one; made by [`StreamUtil::conflate`](crate::StreamUtil::conflate).
    #[must_use = "streams do nothing unless polled"]
    pub struct Conflate<S, B, I, F> {
        #[pin]
        source: S,
        init: I,
        fold: F,
        folded: Option<B>,
        ended: bool,
    }
}

impl<S, B, I, F> Conflate<S, B, I, F> {
    pub(crate) fn new(source: S, init: I, fold: F) -> Self {
        Self { source, init, fold, folded: None, ended: false }
    }
}

impl<S, B, I, F> Stream for Conflate<S, B, I, F>
where
    S: Stream,
    I: FnMut(S::Item) -> B,
    F: FnMut(&mut B, S::Item),
{
    type Item = B;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<B>> {
        let mut this = self.project();
        let mut number = 0;
        while !*this.ended && number < MOST {
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => match this.folded {
                    Some(folded) => (this.fold)(folded, item),
                    None => *this.folded = Some((this.init)(item)),
                },
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending if this.folded.is_none() => return Poll::Pending,
                Poll::Pending => break,
            }
            number += 1;
        }
        Poll::Ready(this.folded.take())
    }
}

impl<S: fmt::Debug, B, I, F> fmt::Debug for Conflate<S, B, I, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conflate").field("source", &self.source).finish_non_exhaustive()
    }
}

pin_project! {
    /// One of so many items; made by [`StreamUtil::every_nth`](crate::StreamUtil::every_nth).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct EveryNth<S> {
        #[pin]
        source: S,
        every: NonZeroUsize,
        // How many are passed over before the next.
        skip: usize,
        ended: bool,
    }
}

impl<S> EveryNth<S> {
    pub(crate) fn new(source: S, every: NonZeroUsize) -> Self {
        Self { source, every, skip: 0, ended: false }
    }
}

impl<S: Stream> Stream for EveryNth<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        for _ in 0..MOST {
            if *this.ended {
                return Poll::Ready(None);
            }
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(_)) if *this.skip > 0 => *this.skip -= 1,
                Poll::Ready(Some(item)) => {
                    *this.skip = this.every.get() - 1;
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pin_project! {
    /// The last items of a stream; made by [`StreamUtil::take_last`](crate::StreamUtil::take_last).
    #[must_use = "streams do nothing unless polled"]
    pub struct TakeLast<S: Stream> {
        #[pin]
        source: S,
        number: usize,
        last: VecDeque<S::Item>,
        ended: bool,
    }
}

impl<S: Stream> TakeLast<S> {
    pub(crate) fn new(source: S, number: NonZeroUsize) -> Self {
        Self { source, number: number.get(), last: VecDeque::new(), ended: false }
    }
}

impl<S: Stream> Stream for TakeLast<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        for _ in 0..MOST {
            if *this.ended {
                return Poll::Ready(this.last.pop_front());
            }
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    let too_many = this.last.len() == *this.number;
                    let oldest = too_many.then(|| this.last.pop_front());
                    this.last.push_back(item);
                    drop(oldest);
                }
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Stream> fmt::Debug for TakeLast<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakeLast").field("number", &self.number).finish_non_exhaustive()
    }
}
