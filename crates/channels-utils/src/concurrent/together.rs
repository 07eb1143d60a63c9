//! [`ForEachWith`] and [`TryForEachWith`]: a body for each result, which runs together with the work.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::hub::BUDGET;
use super::panics::FirstPanic;
use super::{Concurrent, Work};

pin_project! {
    /// Awaits a body for each result while the work goes on; made by
    /// [`Concurrent::for_each_with`](super::Concurrent::for_each_with).
    #[must_use = "nothing runs before it is awaited"]
    pub struct ForEachWith<W, B, C> {
        #[pin]
        inner: Together<W, B, C>,
    }
}

pin_project! {
    /// Awaits a body for each result, until one fails, while the work goes on; made by
    /// [`Concurrent::try_for_each_with`](super::Concurrent::try_for_each_with).
    #[must_use = "nothing runs before it is awaited"]
    pub struct TryForEachWith<W, B, C> {
        #[pin]
        inner: Together<W, B, C>,
    }
}

impl<W, B, C> ForEachWith<W, B, C> {
    pub(super) fn new(concurrent: Concurrent<W>, body: B) -> Self {
        Self { inner: Together { concurrent, body, running: None } }
    }
}

impl<W, B, C> TryForEachWith<W, B, C> {
    pub(super) fn new(concurrent: Concurrent<W>, body: B) -> Self {
        Self { inner: Together { concurrent, body, running: None } }
    }
}

impl<W: Work, B: FnMut(W::Item) -> C, C: Future<Output = ()>> Future for ForEachWith<W, B, C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().inner.poll(cx, |()| ControlFlow::<()>::Continue(())).map(|_| ())
    }
}

impl<W, B, C, E> Future for TryForEachWith<W, B, C>
where
    W: Work,
    B: FnMut(W::Item) -> C,
    C: Future<Output = Result<(), E>>,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let judge = |result| match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        };
        self.project().inner.poll(cx, judge).map(|error| error.map_or(Ok(()), Err))
    }
}

pin_project! {
    struct Together<W, B, C> {
        #[pin]
        concurrent: Concurrent<W>,
        body: B,
        #[pin]
        running: Option<C>,
    }
}

impl<W: Work, B: FnMut(W::Item) -> C, C: Future> Together<W, B, C> {
    fn poll<E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        judge: impl Fn(C::Output) -> ControlFlow<E>,
    ) -> Poll<Option<E>> {
        let this = self.project();
        let (concurrent, mut running) = (this.concurrent.project(), this.running);
        let (mut work, hub) = (concurrent.work, concurrent.hub);
        for _ in 0..BUDGET {
            work.as_mut().turn(hub, 0);
            if running.is_none() {
                match work.as_mut().take() {
                    Some(item) => {
                        running.set(Some((this.body)(item)));
                        hub.consumer.ready = true;
                        // There is room for one more, which is to run beside the body.
                        work.as_mut().turn(hub, 0);
                    }
                    None if work.is_over() => return Poll::Ready(None),
                    None => {}
                }
            }
            let Some(body) = running.as_mut().as_pin_mut().filter(|_| hub.consumer.ready) else {
                hub.rest(cx.waker());
                return Poll::Pending;
            };
            hub.consumer.ready = false;
            let mut panics = FirstPanic::default();
            let poll = panics.run(|| body.poll(&mut Context::from_waker(hub.consumer.waker())));
            if matches!(poll, Some(Poll::Pending)) {
                hub.rest(cx.waker());
                return Poll::Pending;
            }
            panics.run(|| running.set(None));
            if let Some(Poll::Ready(output)) = poll {
                if let ControlFlow::Break(error) = judge(output) {
                    work.as_mut().stop(&mut panics);
                    return Poll::Ready(Some(panics.resume_or(error)));
                }
            }
            panics.resume();
        }
        hub.go_on = true;
        hub.rest(cx.waker());
        Poll::Pending
    }
}

impl<W: fmt::Debug, B, C> fmt::Debug for ForEachWith<W, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForEachWith").field("work", &self.inner.concurrent).finish()
    }
}

impl<W: fmt::Debug, B, C> fmt::Debug for TryForEachWith<W, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryForEachWith").field("work", &self.inner.concurrent).finish()
    }
}
