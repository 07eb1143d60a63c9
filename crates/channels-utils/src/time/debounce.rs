//! [`Debounce`]: one item, or two, of a burst of many.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::{Clock, ZeroPeriod};

use super::BUDGET;
use super::timer::{Timer, not_zero};

/// Which items of a burst [`debounce`](crate::StreamUtil::debounce) gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Edges {
    /// The first, at once.
    Leading,
    /// The last, when it has been quiet for a while.
    #[default]
    Trailing,
    /// The first at once, and the last after the quiet. A burst of one is given once.
    Both,
}

pin_project! {
    /// The first or the last item of each burst; made by [`debounce`](crate::StreamUtil::debounce).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Debounce<S: Stream> {
        #[pin]
        source: S,
        last: Option<S::Item>,
        quiet: Duration,
        edges: Edges,
        // Set while a burst goes on: it is over then, unless something comes.
        timer: Timer,
        ended: bool,
    }
}

impl<S: Stream> Debounce<S> {
    pub(crate) fn new(source: S, quiet: Duration, edges: Edges, clock: &Clock) -> Result<Self, ZeroPeriod> {
        let (quiet, timer) = (not_zero(quiet)?, Timer::new(clock));
        Ok(Self { source, last: None, quiet, edges, timer, ended: false })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, and the last item of the burst that goes on, if it would be given.
    pub fn into_parts(self) -> (S, Option<S::Item>) {
        (self.source, self.last)
    }
}

impl<S: Stream> Stream for Debounce<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        // First the timer: what comes after the quiet begins another burst, however late it is looked for.
        if this.timer.poll(cx).is_ready() {
            if let Some(item) = this.last.take() {
                return Poll::Ready(Some(item));
            }
        }
        let mut came = false;
        let mut left = BUDGET;
        while !*this.ended && left > 0 {
            left -= 1;
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) if *this.edges != Edges::Trailing && !this.timer.is_set() => {
                    this.timer.start(*this.quiet);
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(Some(item)) => {
                    came = true;
                    // What it takes the place of is dropped when nothing is half done.
                    let _before = match this.edges {
                        Edges::Leading => Some(item),
                        Edges::Trailing | Edges::Both => this.last.replace(item),
                    };
                }
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => break,
            }
        }
        if *this.ended {
            this.timer.clear();
            return Poll::Ready(this.last.take());
        }
        if came || this.last.is_some() && !this.timer.is_set() {
            this.timer.set(this.timer.now() + *this.quiet);
        }
        if left == 0 {
            // The burst goes on.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(this.timer.poll(cx));
        match this.last.take() {
            Some(item) => Poll::Ready(Some(item)),
            None => Poll::Pending,
        }
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for Debounce<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Debounce");
        debug.field("source", &self.source).field("quiet", &self.quiet).field("edges", &self.edges);
        debug.field("until", &self.timer.deadline()).finish()
    }
}
