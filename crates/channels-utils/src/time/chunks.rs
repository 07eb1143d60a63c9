//! [`ChunksOrTimeout`]: items in batches, which wait for no longer than a while.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::{Clock, ZeroPeriod};

use super::BUDGET;
use super::timer::{Timer, not_zero};

pin_project! {
    /// Items in batches; made by [`chunks_or_timeout`](crate::StreamUtil::chunks_or_timeout) and
    /// [`chunks_by_weight_or_timeout`](crate::StreamUtil::chunks_by_weight_or_timeout).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct ChunksOrTimeout<S: Stream, W = ByNumber> {
        #[pin]
        source: S,
        weigh: W,
        batch: Vec<S::Item>,
        weight: usize,
        // One that was too heavy for the batch before it.
        next: Option<(usize, S::Item)>,
        most: usize,
        within: Duration,
        timer: Timer,
        ended: bool,
    }
}

impl<S: Stream, W: Weigh<S::Item>> ChunksOrTimeout<S, W> {
    pub(crate) fn new(
        source: S,
        most: NonZeroUsize,
        within: Duration,
        weigh: W,
        clock: &Clock,
    ) -> Result<Self, ZeroPeriod> {
        let (within, most, timer) = (not_zero(within)?, most.get(), Timer::new(clock));
        let (batch, next) = (Vec::new(), None);
        Ok(Self { source, weigh, batch, weight: 0, next, most, within, timer, ended: false })
    }
}

impl<S: Stream, W> ChunksOrTimeout<S, W> {
    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// What was taken out of the source and not given out: the batch that is being filled.
    pub fn into_remainder(self) -> Vec<S::Item> {
        self.into_parts().1
    }

    /// The source, and what was taken out of it and not given out.
    pub fn into_parts(self) -> (S, Vec<S::Item>) {
        let mut rest = self.batch;
        rest.extend(self.next.map(|(_, item)| item));
        (self.source, rest)
    }
}

impl<S: Stream, W: Weigh<S::Item>> Stream for ChunksOrTimeout<S, W> {
    type Item = Vec<S::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<S::Item>>> {
        let mut this = self.project();
        // The one that was left over begins a batch. It may be a whole one.
        let left_over = this.next.take();
        let mut full = left_over.is_some_and(|(weight, item)| {
            *this.weight = weight;
            this.batch.push(item);
            weight >= *this.most
        });
        let mut left = BUDGET;
        while !full && left > 0 && !*this.ended {
            left -= 1;
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    let weight = this.weigh.weigh(&item);
                    let sum = this.weight.saturating_add(weight);
                    if sum > *this.most && !this.batch.is_empty() {
                        *this.next = Some((weight, item));
                        full = true;
                    } else {
                        *this.weight = sum;
                        this.batch.push(item);
                        full = sum >= *this.most;
                    }
                }
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => break,
            }
        }
        if full || *this.ended {
            this.timer.clear();
            *this.weight = 0;
            if this.next.is_some() {
                // The next batch has its first item.
                this.timer.start(*this.within);
            }
            let empty = Vec::with_capacity(if *this.ended { 0 } else { this.batch.len() });
            let batch = std::mem::replace(this.batch, empty);
            return Poll::Ready((!batch.is_empty()).then_some(batch));
        }
        if !this.batch.is_empty() {
            this.timer.start(*this.within);
            if this.timer.poll(cx).is_ready() {
                *this.weight = 0;
                return Poll::Ready(Some(std::mem::take(this.batch)));
            }
        }
        if left == 0 {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// What an item weighs.
pub trait Weigh<T> {
    /// What this one weighs.
    fn weigh(&mut self, item: &T) -> usize;
}

/// All items weigh the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByNumber;

/// A function says what an item weighs.
#[derive(Clone, Copy)]
pub struct ByWeight<F>(pub(crate) F);

impl<T> Weigh<T> for ByNumber {
    fn weigh(&mut self, _: &T) -> usize {
        1
    }
}

impl<T, F: FnMut(&T) -> usize> Weigh<T> for ByWeight<F> {
    fn weigh(&mut self, item: &T) -> usize {
        (self.0)(item)
    }
}

impl<F> fmt::Debug for ByWeight<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByWeight")
    }
}

impl<S: Stream + fmt::Debug, W> fmt::Debug for ChunksOrTimeout<S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ChunksOrTimeout");
        debug.field("source", &self.source).field("most", &self.most).field("within", &self.within);
        debug.field("batch", &self.batch.len()).finish_non_exhaustive()
    }
}
