//! [`TimeoutEach`] and [`IdleTimeout`]: a limit on the wait for the next item.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::{Clock, Elapsed, ZeroPeriod};

use super::timer::{Timer, not_zero};

pin_project! {
    /// Items, and [`Elapsed`] where one took too long; made by
    /// [`timeout_each`](crate::StreamUtil::timeout_each).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct TimeoutEach<S> {
        #[pin]
        limited: Limited<S>,
    }
}

pin_project! {
    /// Items until one takes too long, and then [`Elapsed`] and the end; made by
    /// [`idle_timeout`](crate::StreamUtil::idle_timeout).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct IdleTimeout<S> {
        #[pin]
        limited: Limited<S>,
    }
}

impl<S: Stream> TimeoutEach<S> {
    pub(crate) fn new(source: S, limit: Duration, clock: &Clock) -> Result<Self, ZeroPeriod> {
        Ok(Self { limited: Limited::new(source, limit, clock)? })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.limited.source
    }

    /// Gives the source back. Nothing was taken out of it that was not given.
    pub fn into_inner(self) -> S {
        self.limited.source
    }
}

impl<S: Stream> IdleTimeout<S> {
    pub(crate) fn new(source: S, limit: Duration, clock: &Clock) -> Result<Self, ZeroPeriod> {
        Ok(Self { limited: Limited::new(source, limit, clock)? })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.limited.source
    }

    /// Gives the source back. Nothing was taken out of it that was not given.
    pub fn into_inner(self) -> S {
        self.limited.source
    }
}

impl<S: Stream> Stream for TimeoutEach<S> {
    type Item = Result<S::Item, Elapsed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().limited.poll_next(cx)
    }
}

impl<S: Stream> Stream for IdleTimeout<S> {
    type Item = Result<S::Item, Elapsed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let next = ready!(this.limited.as_mut().poll_next(cx));
        *this.limited.project().ended |= matches!(next, Some(Err(_)));
        Poll::Ready(next)
    }
}

pin_project! {
    struct Limited<S> {
        #[pin]
        source: S,
        limit: Duration,
        timer: Timer,
        ended: bool,
    }
}

impl<S: Stream> Limited<S> {
    fn new(source: S, limit: Duration, clock: &Clock) -> Result<Self, ZeroPeriod> {
        Ok(Self { source, limit: not_zero(limit)?, timer: Timer::new(clock), ended: false })
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<S::Item, Elapsed>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        // First the source: an item that is there at the limit still counts.
        if let Poll::Ready(next) = this.source.poll_next(cx) {
            this.timer.clear();
            *this.ended = next.is_none();
            return Poll::Ready(next.map(Ok));
        }
        this.timer.start(*this.limit);
        ready!(this.timer.poll(cx));
        Poll::Ready(Some(Err(Elapsed)))
    }
}

impl<S: fmt::Debug> fmt::Debug for TimeoutEach<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limited.debug("TimeoutEach", f)
    }
}

impl<S: fmt::Debug> fmt::Debug for IdleTimeout<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limited.debug("IdleTimeout", f)
    }
}

impl<S: fmt::Debug> Limited<S> {
    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct(name);
        debug.field("source", &self.source).field("limit", &self.limit);
        debug.field("until", &self.timer.deadline()).finish()
    }
}
