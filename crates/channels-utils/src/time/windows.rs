//! [`TumblingWindows`] and [`SessionWindows`]: items that belong together by their time.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::{Clock, Instant, ZeroPeriod};

use super::BUDGET;
use super::timer::{Timer, end_of_period, not_zero};

/// The items of a stretch of time.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeWindow<T> {
    /// What came in it, in order; at least one.
    pub items: Vec<T>,
    /// When it began.
    pub from: Instant,
    /// When it ended. What came at that very moment is no part of it.
    pub until: Instant,
    /// It has as many items as it may have: it was given before its end, or, where windows overlap, the
    /// oldest items had to go.
    pub is_full: bool,
}

pin_project! {
    /// Items by the period in which they came; made by
    /// [`tumbling_windows`](crate::StreamUtil::tumbling_windows).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct TumblingWindows<S: Stream> {
        #[pin]
        source: S,
        items: Vec<S::Item>,
        most: usize,
        period: Duration,
        // When the first item came: periods are counted from there.
        first: Option<Instant>,
        // Set while there is an item.
        timer: Timer,
        ended: bool,
    }
}

pin_project! {
    /// Items that came close together; made by [`session_windows`](crate::StreamUtil::session_windows).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct SessionWindows<S: Stream> {
        #[pin]
        source: S,
        items: Vec<S::Item>,
        most: usize,
        gap: Duration,
        from: Option<Instant>,
        // Set while there is an item.
        timer: Timer,
        ended: bool,
    }
}

impl<S: Stream> TumblingWindows<S> {
    pub(crate) fn new(
        source: S,
        period: Duration,
        most: NonZeroUsize,
        clock: &Clock,
    ) -> Result<Self, ZeroPeriod> {
        let (period, most, timer) = (not_zero(period)?, most.get(), Timer::new(clock));
        Ok(Self { source, items: Vec::new(), most, period, first: None, timer, ended: false })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, and the items of the window that goes on.
    pub fn into_parts(self) -> (S, Vec<S::Item>) {
        (self.source, self.items)
    }
}

impl<S: Stream> SessionWindows<S> {
    pub(crate) fn new(
        source: S,
        gap: Duration,
        most: NonZeroUsize,
        clock: &Clock,
    ) -> Result<Self, ZeroPeriod> {
        let (gap, most, timer) = (not_zero(gap)?, most.get(), Timer::new(clock));
        Ok(Self { source, items: Vec::new(), most, gap, from: None, timer, ended: false })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, and the items of the window that goes on.
    pub fn into_parts(self) -> (S, Vec<S::Item>) {
        (self.source, self.items)
    }
}

impl<S: Stream> Stream for TumblingWindows<S> {
    type Item = TimeWindow<S::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let window = |items: &mut Vec<S::Item>, until: Instant, is_full| {
            let items = std::mem::take(items);
            Poll::Ready(Some(TimeWindow { items, from: until - *this.period, until, is_full }))
        };
        if let Poll::Ready(until) = this.timer.poll(cx) {
            return window(this.items, until, false);
        }
        let mut left = BUDGET;
        while !*this.ended && left > 0 {
            left -= 1;
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    if !this.timer.is_set() {
                        let now = this.timer.now();
                        let first = *this.first.get_or_insert(now);
                        this.timer.set(end_of_period(first, now, *this.period));
                    }
                    this.items.push(item);
                    if this.items.len() >= *this.most {
                        break;
                    }
                }
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => break,
            }
        }
        let is_full = this.items.len() >= *this.most;
        if is_full || *this.ended {
            let until = this.timer.deadline();
            this.timer.clear();
            return until.map_or(Poll::Ready(None), |until| window(this.items, until, is_full));
        }
        if left == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match this.timer.poll(cx) {
            Poll::Ready(until) => window(this.items, until, false),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: Stream> Stream for SessionWindows<S> {
    type Item = TimeWindow<S::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let window = |items: &mut Vec<S::Item>, from: &mut Option<Instant>, until, is_full| {
            let (items, from) = (std::mem::take(items), from.take().unwrap_or(until));
            Poll::Ready(Some(TimeWindow { items, from, until, is_full }))
        };
        if let Poll::Ready(until) = this.timer.poll(cx) {
            return window(this.items, this.from, until, false);
        }
        let before = this.items.len();
        let mut left = BUDGET;
        while !*this.ended && left > 0 && this.items.len() < *this.most {
            left -= 1;
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => this.items.push(item),
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => break,
            }
        }
        let is_full = this.items.len() >= *this.most;
        if this.items.is_empty() {
            return if *this.ended { Poll::Ready(None) } else { wait_or_go_on(left, cx) };
        }
        if this.items.len() > before || *this.ended || !this.timer.is_set() {
            let now = this.timer.now();
            this.from.get_or_insert(now);
            if is_full || *this.ended {
                this.timer.clear();
                return window(this.items, this.from, now, is_full);
            }
            this.timer.set(now + *this.gap);
        }
        if left == 0 {
            return wait_or_go_on(left, cx);
        }
        match this.timer.poll(cx) {
            Poll::Ready(until) => window(this.items, this.from, until, false),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn wait_or_go_on<T>(left: usize, cx: &Context<'_>) -> Poll<T> {
    if left == 0 {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

impl<T> fmt::Debug for TimeWindow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TimeWindow");
        debug.field("items", &self.items.len()).field("from", &self.from).field("until", &self.until);
        debug.field("is_full", &self.is_full).finish()
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for TumblingWindows<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TumblingWindows");
        debug.field("source", &self.source).field("period", &self.period);
        debug.field("items", &self.items.len()).field("until", &self.timer.deadline()).finish()
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for SessionWindows<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SessionWindows");
        debug.field("source", &self.source).field("gap", &self.gap);
        debug.field("items", &self.items.len()).field("until", &self.timer.deadline()).finish()
    }
}
