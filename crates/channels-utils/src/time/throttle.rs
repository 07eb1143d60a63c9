//! [`Throttle`]: items no faster than a rate.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::{Clock, Instant, ZeroPeriod};

use super::timer::{Timer, not_zero};

pin_project! {
    /// Items no faster than a rate; made by [`throttle`](crate::StreamUtil::throttle).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Throttle<S: Stream> {
        #[pin]
        source: S,
        // The item whose time has not come.
        held: Option<S::Item>,
        pace: Pace,
        timer: Timer,
        ended: bool,
    }
}

impl<S: Stream> Throttle<S> {
    pub(crate) fn new(
        source: S,
        n: NonZeroUsize,
        period: Duration,
        burst: NonZeroUsize,
        clock: &Clock,
    ) -> Result<Self, ZeroPeriod> {
        let pace = Pace::new(n, not_zero(period)?, burst);
        Ok(Self { source, held: None, pace, timer: Timer::new(clock), ended: false })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, and the item that was taken out of it and still waits.
    pub fn into_parts(self) -> (S, Option<S::Item>) {
        (self.source, self.held)
    }
}

impl<S: Stream> Stream for Throttle<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        if this.held.is_none() {
            if *this.ended {
                return Poll::Ready(None);
            }
            *this.held = ready!(this.source.as_mut().poll_next(cx));
            *this.ended = this.held.is_none();
            if *this.ended {
                return Poll::Ready(None);
            }
            let now = this.timer.now();
            let due = this.pace.due(now);
            if due <= now {
                this.pace.went(now);
                return Poll::Ready(this.held.take());
            }
            this.timer.set(due);
        }
        ready!(this.timer.poll(cx));
        // Whoever comes late for it shifts those that follow.
        this.pace.went(this.timer.now());
        Poll::Ready(this.held.take())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let held = usize::from(self.held.is_some());
        let (least, most) = self.source.size_hint();
        (least.saturating_add(held), most.and_then(|most| most.checked_add(held)))
    }
}

/// `n` a period, evenly spread, and so many at once after a quiet time. A third of a second is kept exactly:
/// times are counted in parts of a nanosecond, `n` of them each.
struct Pace {
    n: u128,
    /// Parts of a nanosecond from one item to the next.
    step: u128,
    /// So much earlier than its place in the rhythm an item may come.
    early: u128,
    /// The next place in the rhythm.
    next: u128,
}

impl Pace {
    fn new(n: NonZeroUsize, period: Duration, burst: NonZeroUsize) -> Self {
        let step = u128::from(u64::try_from(period.as_nanos()).unwrap_or(u64::MAX));
        let early = step.saturating_mul(burst.get() as u128 - 1);
        Self { n: n.get() as u128, step, early, next: 0 }
    }

    /// When an item that is there now may go.
    fn due(&self, now: Instant) -> Instant {
        let due = self.next.saturating_sub(self.early).div_ceil(self.n);
        let nanos = u64::try_from(due).unwrap_or(u64::MAX);
        now + Duration::from_nanos(nanos.saturating_sub(now.as_nanos()))
    }

    /// An item goes.
    fn went(&mut self, now: Instant) {
        let here = u128::from(now.as_nanos()) * self.n;
        // Less than a nanosecond late is not late: it was rounded up.
        let late = here >= self.next.saturating_add(self.n);
        self.next = if late { here } else { self.next }.saturating_add(self.step);
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for Throttle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Throttle");
        debug.field("source", &self.source).field("holds", &self.held.is_some());
        debug.field("until", &self.timer.deadline()).finish()
    }
}
