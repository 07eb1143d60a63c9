//! [`Heartbeat`]: an item now and then while there is no other.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::{Clock, ZeroPeriod};

use super::timer::{Timer, not_zero};

pin_project! {
    /// Items, and one made up for each quiet time; made by [`heartbeat`](crate::StreamUtil::heartbeat).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Heartbeat<S, F> {
        #[pin]
        source: S,
        make: F,
        quiet: Duration,
        timer: Timer,
        ended: bool,
    }
}

impl<S: Stream, F: FnMut() -> S::Item> Heartbeat<S, F> {
    pub(crate) fn new(source: S, quiet: Duration, make: F, clock: &Clock) -> Result<Self, ZeroPeriod> {
        let (quiet, timer) = (not_zero(quiet)?, Timer::new(clock));
        Ok(Self { source, make, quiet, timer, ended: false })
    }
}

impl<S, F> Heartbeat<S, F> {
    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// Gives the source back. Nothing was taken out of it that was not given.
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S: Stream, F: FnMut() -> S::Item> Stream for Heartbeat<S, F> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(next) = this.source.poll_next(cx) {
            this.timer.clear();
            *this.ended = next.is_none();
            return Poll::Ready(next);
        }
        this.timer.start(*this.quiet);
        ready!(this.timer.poll(cx));
        Poll::Ready(Some((this.make)()))
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Heartbeat<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Heartbeat");
        debug.field("source", &self.source).field("quiet", &self.quiet);
        debug.field("until", &self.timer.deadline()).finish_non_exhaustive()
    }
}
