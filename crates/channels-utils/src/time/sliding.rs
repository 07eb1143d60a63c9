//! [`SlidingWindows`] and [`WindowsByCount`]: windows that share items.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::{Clock, Instant, ZeroPeriod};

use super::timer::{Timer, end_of_period, not_zero};
use super::{BUDGET, TimeWindow};

pin_project! {
    /// What came in the last while, now and then; made by
    /// [`sliding_windows`](crate::StreamUtil::sliding_windows).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct SlidingWindows<S: Stream> {
        #[pin]
        source: S,
        items: VecDeque<(Instant, S::Item)>,
        // How many of the items, the last ones, were in no window yet.
        fresh: usize,
        // Items had to go before their time.
        is_full: bool,
        most: usize,
        length: Duration,
        step: Duration,
        // When the first item came: steps are counted from there.
        first: Option<Instant>,
        // Set while there is an item.
        timer: Timer,
        ended: bool,
    }
}

impl<S: Stream> SlidingWindows<S> {
    pub(crate) fn new(
        source: S,
        length: Duration,
        step: Duration,
        most: NonZeroUsize,
        clock: &Clock,
    ) -> Result<Self, ZeroPeriod> {
        Ok(Self {
            source,
            items: VecDeque::new(),
            fresh: 0,
            is_full: false,
            most: most.get(),
            length: not_zero(length)?,
            step: not_zero(step)?,
            first: None,
            timer: Timer::new(clock),
            ended: false,
        })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, and the items that were in no window yet.
    pub fn into_parts(self) -> (S, Vec<S::Item>) {
        let known = self.items.len() - self.fresh;
        (self.source, self.items.into_iter().skip(known).map(|(_, item)| item).collect())
    }
}

impl<S: Stream> Stream for SlidingWindows<S>
where
    S::Item: Clone,
{
    type Item = TimeWindow<S::Item>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(window) = self.as_mut().at_the_end_of_a_step(cx) {
            return Poll::Ready(Some(window));
        }
        let mut this = self.as_mut().project();
        let mut now = None;
        let mut left = BUDGET;
        while !*this.ended && left > 0 {
            left -= 1;
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    let now = *now.get_or_insert_with(|| this.timer.now());
                    let mut oldest = None;
                    if this.items.len() == *this.most {
                        *this.is_full = true;
                        *this.fresh = (*this.fresh).min(*this.most - 1);
                        oldest = this.items.pop_front();
                    }
                    this.items.push_back((now, item));
                    *this.fresh += 1;
                    if !this.timer.is_set() {
                        let first = *this.first.get_or_insert(now);
                        this.timer.set(end_of_period(first, now, *this.step));
                    }
                    drop(oldest);
                }
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => break,
            }
        }
        if *this.ended {
            // What was in no window yet gets one.
            let until = if *this.fresh > 0 { this.timer.deadline() } else { None };
            let window = until.and_then(|until| self.as_mut().window(until));
            let this = self.project();
            this.timer.clear();
            this.items.clear();
            *this.fresh = 0;
            return Poll::Ready(window);
        }
        if left == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.at_the_end_of_a_step(cx) {
            Some(window) => Poll::Ready(Some(window)),
            None => Poll::Pending,
        }
    }
}

impl<S: Stream> SlidingWindows<S>
where
    S::Item: Clone,
{
    /// The window that ends now, if one does and anything is in it.
    fn at_the_end_of_a_step(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Option<TimeWindow<S::Item>> {
        loop {
            let this = self.as_mut().project();
            let Poll::Ready(until) = this.timer.poll(cx) else { return None };
            // First what comes next: a clone may panic.
            if let Some(first) = *this.first {
                let now = this.timer.now();
                this.timer.set(end_of_period(first, now, *this.step));
            }
            if let Some(window) = self.as_mut().window(until) {
                return Some(window);
            }
            if self.items.is_empty() {
                self.as_mut().project().timer.clear();
                return None;
            }
        }
    }

    /// What came in the while before `until`.
    fn window(self: Pin<&mut Self>, until: Instant) -> Option<TimeWindow<S::Item>> {
        let this = self.project();
        let from = until - *this.length;
        while this.items.front().is_some_and(|(at, _)| *at < from) {
            *this.fresh = (*this.fresh).min(this.items.len() - 1);
            this.items.pop_front();
        }
        let items: Vec<_> = this.items.iter().map(|(_, item)| item.clone()).collect();
        *this.fresh = 0;
        let is_full = std::mem::take(this.is_full);
        (!items.is_empty()).then_some(TimeWindow { items, from, until, is_full })
    }
}

pin_project! {
    /// Items by their number; made by [`windows_by_count`](crate::StreamUtil::windows_by_count).
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct WindowsByCount<S: Stream> {
        #[pin]
        source: S,
        items: VecDeque<S::Item>,
        // How many of the items, the last ones, were in no window yet.
        fresh: usize,
        // So many items stand between two windows and are in none.
        skip: usize,
        size: usize,
        step: usize,
        ended: bool,
    }
}

impl<S: Stream> WindowsByCount<S> {
    pub(crate) fn new(source: S, size: NonZeroUsize, step: NonZeroUsize) -> Self {
        let (size, step) = (size.get(), step.get());
        Self { source, items: VecDeque::new(), fresh: 0, skip: 0, size, step, ended: false }
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source, and the items that were in no window yet.
    pub fn into_parts(self) -> (S, Vec<S::Item>) {
        let known = self.items.len() - self.fresh;
        (self.source, self.items.into_iter().skip(known).collect())
    }
}

impl<S: Stream> Stream for WindowsByCount<S>
where
    S::Item: Clone,
{
    type Item = Vec<S::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<S::Item>>> {
        let mut this = self.project();
        for _ in 0..BUDGET {
            if this.items.len() == *this.size {
                // First the clones, for they may panic; what is in hand is in hand still.
                let window = this.items.iter().cloned().collect();
                *this.fresh = 0;
                *this.skip = this.step.saturating_sub(*this.size);
                let gone = (*this.step).min(*this.size);
                drop(this.items.drain(..gone));
                return Poll::Ready(Some(window));
            }
            if *this.ended {
                return Poll::Ready(None);
            }
            match this.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(_)) if *this.skip > 0 => *this.skip -= 1,
                Poll::Ready(Some(item)) => {
                    this.items.push_back(item);
                    *this.fresh += 1;
                }
                Poll::Ready(None) => {
                    *this.ended = true;
                    let rest: Vec<_> = std::mem::take(this.items).into();
                    let is_new = std::mem::take(this.fresh) > 0;
                    return Poll::Ready(is_new.then_some(rest));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for SlidingWindows<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SlidingWindows");
        debug.field("source", &self.source).field("length", &self.length).field("step", &self.step);
        debug.field("items", &self.items.len()).field("until", &self.timer.deadline()).finish()
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for WindowsByCount<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("WindowsByCount");
        debug.field("source", &self.source).field("size", &self.size).field("step", &self.step);
        debug.field("items", &self.items.len()).finish()
    }
}
