//! [`Serial`]: a stage that does one job at a time, in the task of its neighbours.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::attempt::{Attempt, Duty, Entry, Outcome};
use super::ending::Ending;
use super::feed::Feed;
use super::flow::Flow;
use super::unprocessed::Left;

pin_project! {
    /// A stage that does one job at a time, in the task of its neighbours.
    ///
    /// While its job waits, the stages before it go on, up to one item that it holds for later: all jobs of
    /// an island wait together.
    pub(super) struct Serial<W: Flow, F, U, E, Fut>
    where
        U: Send,
        U: 'static,
    {
        #[pin]
        feed: Feed<W, E>,
        #[pin]
        attempt: Option<Attempt<W::Item, Fut>>,
        next: Option<Entry<W::Item>>,
        output: Option<Outcome<W::Item, U, E>>,
        ended: bool,
        duty: Arc<Duty<W::Item, F, E>>,
    }

    impl<W: Flow, F, U, E, Fut> PinnedDrop for Serial<W, F, U, E, Fut>
    where
        U: Send,
        U: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(outcome) = this.output.take() {
                this.duty.hand_back_outcome(outcome);
            }
            if let Some(attempt) = this.attempt.as_pin_mut() {
                attempt.give_up(this.duty);
            }
            if let Some(entry) = this.next.take() {
                this.duty.hand_back(Left::Waiting, entry.number, entry.item);
            }
        }
    }
}

impl<W: Flow, F, U: Send + 'static, E, Fut> Serial<W, F, U, E, Fut> {
    pub(super) fn new(feed: Feed<W, E>, duty: Duty<W::Item, F, E>) -> Self {
        Self { feed, attempt: None, next: None, output: None, ended: false, duty: Arc::new(duty) }
    }
}

impl<W, F, U, E, Fut> Serial<W, F, U, E, Fut>
where
    W: Flow,
    F: Fn(W::Item) -> Fut,
    U: Send + 'static,
    Fut: Future<Output: Ending<Value = U, Error = E>>,
{
    /// The next output, if there is one without waiting.
    #[inline]
    fn next_output(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome<W::Item, U, E>>> {
        let mut this = self.as_mut().project();
        loop {
            if let Some(attempt) = this.attempt.as_mut().as_pin_mut() {
                if let Poll::Ready(outcome) = attempt.poll(this.duty, cx) {
                    this.attempt.set(None);
                    return Poll::Ready(Some(outcome));
                }
                self.look_ahead(cx);
                return Poll::Pending;
            }
            let next = match this.next.take() {
                None if *this.ended => return Poll::Ready(None),
                None => this.feed.as_mut().poll_next(cx),
                next => Poll::Ready(next),
            };
            match next {
                Poll::Ready(Some(entry)) => this.attempt.set(Some(Attempt::new(entry))),
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Its own work waits; those before it do not have to.
    #[cold]
    fn look_ahead(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        if this.next.is_none() && !*this.ended {
            match this.feed.as_mut().poll_next(cx) {
                Poll::Ready(Some(entry)) => *this.next = Some(entry),
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => return,
            }
        }
        if !*this.ended {
            this.feed.poll_progress(cx);
        }
    }
}

impl<W, F, U, E, Fut> Flow for Serial<W, F, U, E, Fut>
where
    W: Flow,
    F: Fn(W::Item) -> Fut + Send + Sync + 'static,
    U: Send + 'static,
    E: Send + 'static,
    Fut: Future<Output: Ending<Value = U, Error = E>> + Send + 'static,
{
    type Item = Outcome<W::Item, U, E>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.as_mut().project().output.take() {
            None => self.next_output(cx),
            output => Poll::Ready(output),
        }
    }

    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        if self.output.is_none() {
            if let Poll::Ready(output) = self.as_mut().next_output(cx) {
                *self.project().output = output;
            }
        }
    }
}
