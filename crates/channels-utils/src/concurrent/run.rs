//! [`RunConcurrent`] and [`TryRunConcurrent`]: a future for each item, and nothing to consume.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{Concurrent, Work};

pin_project! {
    /// Runs a future for each item; made by
    /// [`run_concurrent`](crate::StreamUtil::run_concurrent).
    #[must_use = "nothing runs before it is awaited"]
    pub struct RunConcurrent<W> {
        #[pin]
        inner: Concurrent<W>,
    }
}

pin_project! {
    /// Runs a future for each item until one fails; made by
    /// [`try_run_concurrent`](crate::StreamUtil::try_run_concurrent).
    #[must_use = "nothing runs before it is awaited"]
    pub struct TryRunConcurrent<W> {
        #[pin]
        inner: Concurrent<W>,
    }
}

impl<W: Work<Item = ()>> RunConcurrent<W> {
    pub(crate) fn new(work: W) -> Self {
        // All results are taken in the turn in which they come.
        Self { inner: Concurrent::new(work).unread(usize::MAX) }
    }
}

impl<W: Work<Item = Result<(), E>>, E> TryRunConcurrent<W> {
    pub(crate) fn new(work: W) -> Self {
        // All results are taken in the turn in which they come.
        Self { inner: Concurrent::new(work).unread(usize::MAX) }
    }
}

impl<W: Work<Item = ()>> Future for RunConcurrent<W> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().inner.poll_all(cx, Some).map(|_| ())
    }
}

impl<W: Work<Item = Result<(), E>>, E> Future for TryRunConcurrent<W> {
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let over = self.project().inner.poll_all(cx, Result::err);
        over.map(|error| error.map_or(Ok(()), Err))
    }
}

impl<W: Work> Concurrent<W> {
    /// A turn: what `keep` keeps of the last result, when all are there.
    fn poll_all<E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        keep: impl Fn(W::Item) -> Option<E>,
    ) -> Poll<Option<E>> {
        let this = self.project();
        let mut work = this.work;
        work.as_mut().turn(this.hub, 0);
        // One that is the last has stopped all others.
        let mut kept = None;
        while let Some(item) = work.as_mut().take() {
            kept = keep(item);
        }
        if work.is_over() {
            return Poll::Ready(kept);
        }
        this.hub.rest(cx.waker());
        Poll::Pending
    }
}

impl<W: fmt::Debug> fmt::Debug for RunConcurrent<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunConcurrent").field("inner", &self.inner).finish()
    }
}

impl<W: fmt::Debug> fmt::Debug for TryRunConcurrent<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryRunConcurrent").field("inner", &self.inner).finish()
    }
}
