//! [`SampleEvery`]: the last item of each period.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::{Clock, Instant, ZeroPeriod};

use super::BUDGET;
use super::timer::{Timer, end_of_period, not_zero};

pin_project! {
    /// The last item of each period; made by [`sample_every`](crate::StreamUtil::sample_every).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct SampleEvery<S: Stream> {
        #[pin]
        source: S,
        last: Option<S::Item>,
        period: Duration,
        // When the first item came: periods are counted from there.
        first: Option<Instant>,
        timer: Timer,
        ended: bool,
    }
}

impl<S: Stream> SampleEvery<S> {
    pub(crate) fn new(source: S, period: Duration, clock: &Clock) -> Result<Self, ZeroPeriod> {
        let (period, timer) = (not_zero(period)?, Timer::new(clock));
        Ok(Self { source, last: None, period, first: None, timer, ended: false })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, and the last item of the period that goes on.
    pub fn into_parts(self) -> (S, Option<S::Item>) {
        (self.source, self.last)
    }
}

impl<S: Stream> Stream for SampleEvery<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        // What came before the end of the period was seen before it: its end goes first.
        if this.timer.poll(cx).is_ready() {
            return Poll::Ready(this.last.take());
        }
        let mut left = BUDGET;
        while !*this.ended && left > 0 {
            left -= 1;
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => drop(this.last.replace(item)),
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => break,
            }
        }
        if *this.ended {
            this.timer.clear();
            return Poll::Ready(this.last.take());
        }
        if this.last.is_some() && !this.timer.is_set() {
            let now = this.timer.now();
            let first = *this.first.get_or_insert(now);
            this.timer.set(end_of_period(first, now, *this.period));
        }
        if left == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(this.timer.poll(cx));
        Poll::Ready(this.last.take())
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for SampleEvery<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SampleEvery");
        debug.field("source", &self.source).field("period", &self.period);
        debug.field("until", &self.timer.deadline()).finish()
    }
}
