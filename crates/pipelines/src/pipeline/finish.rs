//! [`Finish`]: what takes the items at the end of a pipeline.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;
use pin_project_lite::pin_project;

use super::desk::{Desk, bump};
use super::flow::{Flow, Turn};
use super::site::{Cause, Site};
use super::unprocessed::Left;
use crate::dead_letter::BoxError;
use crate::panics::{contain, let_go, poll_contained};

/// What takes the items at the end of a pipeline.
pub trait Finish<T>: Send + 'static {
    /// What it makes of them.
    type Output: Send + 'static;

    /// Takes items until there are no more.
    fn poll<W: Flow<Item = T>>(
        self: Pin<&mut Self>,
        flow: Pin<&mut W>,
        end: &End,
        cx: &mut Context<'_>,
    ) -> Poll<()>;

    /// The pipeline is over or aborted: drops what runs, and gives what there is.
    fn end(self: Pin<&mut Self>, end: &End) -> Self::Output;
}

/// The end of a pipeline.
#[derive(Debug)]
pub struct End {
    pub(super) site: Site,
    pub(super) desk: Arc<Desk>,
}

impl End {
    pub(super) fn fail(&self, cause: Cause) {
        self.site.fail("sink", cause);
    }

    #[inline]
    fn delivered(&self) {
        bump(&self.desk.given);
        if let Some(gauge) = &self.desk.gauge {
            gauge.passes(self.site.clock().now());
        }
    }

    fn interrupted(&self) {
        bump(&self.desk.interrupted);
    }

    /// The next item, of so many in a row.
    #[inline]
    pub(super) fn poll_next<W: Flow>(
        &self,
        flow: Pin<&mut W>,
        turn: &mut Turn,
        cx: &mut Context<'_>,
    ) -> Poll<Option<W::Item>> {
        if turn.is_over(self.site.clock()) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let item = ready!(flow.poll_next(cx));
        if item.is_some() {
            bump(&self.desk.taken);
        }
        Poll::Ready(item)
    }
}

/// A value to which each item adds something.
#[derive(Debug)]
pub struct Folded<A, F> {
    value: Option<A>,
    f: F,
}

impl<A, F> Folded<A, F> {
    pub(super) fn new(value: A, f: F) -> Self {
        Self { value: Some(value), f }
    }
}

// Neither is ever pinned.
impl<A, F> Unpin for Folded<A, F> {}

impl<T, A, F> Finish<T> for Folded<A, F>
where
    T: Send + 'static,
    A: Send + 'static,
    F: FnMut(&mut A, T) + Send + 'static,
{
    type Output = A;

    fn poll<W: Flow<Item = T>>(
        mut self: Pin<&mut Self>,
        mut flow: Pin<&mut W>,
        end: &End,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Self { value, f } = &mut *self;
        let Some(value) = value else { return Poll::Ready(()) };
        let mut turn = Turn::default();
        while let Some(item) = ready!(end.poll_next(flow.as_mut(), &mut turn, cx)) {
            if let Err(payload) = contain(|| f(value, item)) {
                end.interrupted();
                end.fail(Cause::Panicked(payload));
                break;
            }
            end.delivered();
        }
        Poll::Ready(())
    }

    fn end(mut self: Pin<&mut Self>, _: &End) -> A {
        let Some(value) = self.value.take() else { unreachable!("it ends once") };
        value
    }
}

pin_project! {
    /// A future for each item, one after another.
    #[derive(Debug)]
    pub struct ForEach<F, Fut> {
        f: F,
        #[pin]
        running: Option<Fut>,
    }
}

impl<F, Fut> ForEach<F, Fut> {
    pub(super) fn new(f: F) -> Self {
        Self { f, running: None }
    }
}

impl<T, F, Fut> Finish<T> for ForEach<F, Fut>
where
    T: Send + 'static,
    F: FnMut(T) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    type Output = ();

    fn poll<W: Flow<Item = T>>(
        self: Pin<&mut Self>,
        mut flow: Pin<&mut W>,
        end: &End,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut this = self.project();
        let mut turn = Turn::default();
        loop {
            if let Some(running) = this.running.as_mut().as_pin_mut() {
                let Poll::Ready(mut ended) = poll_contained(running, cx) else {
                    flow.poll_progress(cx);
                    return Poll::Pending;
                };
                if let Err(payload) = contain(|| this.running.set(None)) {
                    ended = Err(payload);
                }
                if let Err(payload) = ended {
                    end.interrupted();
                    end.fail(Cause::Panicked(payload));
                    return Poll::Ready(());
                }
                end.delivered();
            }
            let Some(item) = ready!(end.poll_next(flow.as_mut(), &mut turn, cx)) else {
                return Poll::Ready(());
            };
            match contain(|| (this.f)(item)) {
                Ok(running) => this.running.set(Some(running)),
                Err(payload) => {
                    end.interrupted();
                    end.fail(Cause::Panicked(payload));
                    return Poll::Ready(());
                }
            }
        }
    }

    fn end(self: Pin<&mut Self>, end: &End) {
        let mut this = self.project();
        if this.running.is_some() {
            end.interrupted();
            if let Err(payload) = contain(|| this.running.set(None)) {
                let_go(payload);
            }
        }
    }
}

pin_project! {
    /// Into a sink.
    #[derive(Debug)]
    pub struct Into<S, T> {
        #[pin]
        sink: Option<S>,
        item: Option<T>,
        flushed: bool,
        ended: bool,
    }
}

impl<S, T> Into<S, T> {
    pub(super) fn new(sink: S) -> Self {
        Self { sink: Some(sink), item: None, flushed: true, ended: false }
    }
}

impl<S, T> Finish<T> for Into<S, T>
where
    T: Send + 'static,
    S: Sink<T> + Send + 'static,
    S::Error: std::convert::Into<BoxError>,
{
    type Output = ();

    fn poll<W: Flow<Item = T>>(
        self: Pin<&mut Self>,
        mut flow: Pin<&mut W>,
        end: &End,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut this = self.project();
        let Some(mut sink) = this.sink.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        let mut turn = Turn::default();
        let polled = loop {
            if this.item.is_none() && !*this.ended {
                match end.poll_next(flow.as_mut(), &mut turn, cx) {
                    Poll::Ready(Some(item)) => *this.item = Some(item),
                    Poll::Ready(None) => *this.ended = true,
                    Poll::Pending if *this.flushed => return Poll::Pending,
                    // What it has taken does not wait for what comes next.
                    Poll::Pending => match contain(|| sink.as_mut().poll_flush(cx)) {
                        Ok(Poll::Ready(Ok(()))) => {
                            *this.flushed = true;
                            return Poll::Pending;
                        }
                        Ok(Poll::Pending) => return Poll::Pending,
                        Ok(Poll::Ready(Err(error))) => break Ok(Err(error)),
                        Err(payload) => break Err(payload),
                    },
                }
            }
            let asked = match this.item {
                Some(_) => contain(|| sink.as_mut().poll_ready(cx)),
                None => contain(|| sink.as_mut().poll_close(cx)),
            };
            match asked {
                Ok(Poll::Pending) => {
                    flow.poll_progress(cx);
                    return Poll::Pending;
                }
                Ok(Poll::Ready(Err(error))) => break Ok(Err(error)),
                Err(payload) => break Err(payload),
                Ok(Poll::Ready(Ok(()))) => match this.item.take() {
                    None => return Poll::Ready(()),
                    Some(item) => match contain(|| sink.as_mut().start_send(item)) {
                        Ok(Ok(())) => {
                            *this.flushed = false;
                            end.delivered();
                        }
                        failed => {
                            end.interrupted();
                            break failed;
                        }
                    },
                },
            }
        };
        match polled {
            Ok(Ok(())) => {}
            Ok(Err(error)) => end.fail(Cause::Failed(error.into())),
            Err(payload) => end.fail(Cause::Panicked(payload)),
        }
        Poll::Ready(())
    }

    fn end(self: Pin<&mut Self>, end: &End) {
        let mut this = self.project();
        if let Some(item) = this.item.take() {
            bump(&end.desk.handed_back);
            end.site.hand_back("sink", Left::Waiting, 0, item);
        }
        if let Err(payload) = contain(|| this.sink.set(None)) {
            let_go(payload);
        }
    }
}
