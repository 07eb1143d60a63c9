//! [`Flow`]: an assembled part of a pipeline; and the smallest parts: [`Origin`] and [`Mapped`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_runtime::waiting::Ticket;
use weirs_runtime::{Clock, Instant};

use super::desk::{Desk, bump};
use super::site::{Cause, Site};
use crate::panics::contain;

/// So many items that are left out in a row, then the executor's other tasks have their turn.
pub(super) const TURN: u32 = 128;

/// Items in a row; after some time, or very many, the executor's other tasks have their turn.
///
/// To give way costs as much as a hundred short items, and so nobody does it after every hundred.
#[derive(Debug, Default)]
pub(super) struct Turn {
    items: u32,
    began: Option<Instant>,
}

impl Turn {
    const FEW: u32 = 32;
    const MOST: u32 = 2048;
    const LONGEST: Duration = Duration::from_micros(200);

    /// One more item: whether the turn is over.
    #[inline]
    pub(super) fn is_over(&mut self, clock: &Clock) -> bool {
        self.items += 1;
        self.items % Self::FEW == 0 && self.looks_over(clock)
    }

    /// It looks at the clock after a few items, and then after every 128: not at all where few come at once.
    #[cold]
    fn looks_over(&mut self, clock: &Clock) -> bool {
        if self.items != Self::FEW && self.items % TURN != 0 {
            return false;
        }
        let now = clock.now();
        let began = *self.began.get_or_insert(now);
        let is_over = self.items >= Self::MOST || now.saturating_since(began) > Self::LONGEST;
        if is_over {
            *self = Self::default();
        }
        is_over
    }
}

/// An assembled part of a pipeline: a stream that can also be told to go on without being asked for an item.
///
/// A stage that waits for its own future polls whoever is before it by `poll_progress`, so that no future of
/// the pipeline stands still because another one waits.
pub trait Flow: Send + 'static {
    /// What comes out.
    type Item: Send + 'static;

    /// The next item.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>>;

    /// Goes on as far as it can without giving an item.
    fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>);
}

/// A flow of any type, that gives these items.
pub(super) type AnyFlow<T> = Pin<Box<dyn Flow<Item = T>>>;

impl<T: Send + 'static> Flow for AnyFlow<T> {
    type Item = T;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().as_mut().poll_next(cx)
    }

    #[inline]
    fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.get_mut().as_mut().poll_progress(cx);
    }
}

pin_project! {
    /// The source: it ends when the pipeline is told to stop.
    pub struct Origin<S> {
        #[pin]
        stream: Option<S>,
        site: Site,
        desk: Arc<Desk>,
        ticket: Option<Ticket>,
    }

    impl<S> PinnedDrop for Origin<S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.site.forget_source(this.ticket);
        }
    }
}

impl<S: Stream> Origin<S> {
    pub(super) fn new(stream: S, site: Site) -> Self {
        let desk = site.desk_of_end("source");
        Self { stream: Some(stream), site, desk, ticket: None }
    }
}

impl<S: Stream<Item: Send + 'static> + Send + 'static> Flow for Origin<S> {
    type Item = S::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let polled = if this.site.is_stopping() {
            Poll::Ready(Ok(None))
        } else {
            match contain(|| stream.poll_next(cx)) {
                Ok(Poll::Pending) => this.site.poll_stopping(this.ticket, cx).map(|()| Ok(None)),
                Ok(Poll::Ready(item)) => Poll::Ready(Ok(item)),
                Err(payload) => Poll::Ready(Err(payload)),
            }
        };
        match ready!(polled) {
            Ok(Some(item)) => {
                bump(&this.desk.taken);
                bump(&this.desk.given);
                if let Some(gauge) = &this.desk.gauge {
                    gauge.passes(this.site.clock().now());
                }
                return Poll::Ready(Some(item));
            }
            Ok(None) => {}
            Err(payload) => this.site.fail("source", Cause::Panicked(payload)),
        }
        if let Err(payload) = contain(|| this.stream.set(None)) {
            this.site.fail("source", Cause::Panicked(payload));
        }
        Poll::Ready(None)
    }

    fn poll_progress(self: Pin<&mut Self>, _: &mut Context<'_>) {}
}

pin_project! {
    /// A function of each item, in the same task.
    pub struct Mapped<W, F> {
        #[pin]
        flow: Option<W>,
        f: F,
        name: &'static str,
        site: Site,
    }
}

impl<W, F> Mapped<W, F> {
    pub(super) fn new(flow: W, f: F, name: &'static str, site: Site) -> Self {
        Self { flow: Some(flow), f, name, site }
    }
}

impl<W: Flow, U, F> Flow for Mapped<W, F>
where
    U: Send + 'static,
    F: FnMut(W::Item) -> Option<U> + Send + 'static,
{
    type Item = U;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<U>> {
        let mut this = self.project();
        for _ in 0..TURN {
            let Some(flow) = this.flow.as_mut().as_pin_mut() else { return Poll::Ready(None) };
            let Some(item) = ready!(flow.poll_next(cx)) else { return Poll::Ready(None) };
            match contain(|| (this.f)(item)) {
                Ok(Some(mapped)) => return Poll::Ready(Some(mapped)),
                Ok(None) => {}
                Err(payload) => {
                    this.site.fail(this.name, Cause::Panicked(payload));
                    this.flow.set(None);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        if let Some(flow) = self.project().flow.as_pin_mut() {
            flow.poll_progress(cx);
        }
    }
}

pin_project! {
    /// A flow as a stream, for whoever takes streams.
    pub(super) struct AsStream<W> {
        #[pin]
        flow: W,
    }
}

impl<W> AsStream<W> {
    pub(super) fn new(flow: W) -> Self {
        Self { flow }
    }
}

impl<W: Flow> Stream for AsStream<W> {
    type Item = W::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<W::Item>> {
        self.project().flow.poll_next(cx)
    }
}
