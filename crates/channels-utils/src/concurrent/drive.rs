//! [`Drive`] and [`Results`]: a consumer that runs together with the work.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::hub::BUDGET;
use super::panics::FirstPanic;
use super::{Concurrent, Work};
use crate::sync::{Arc, Mutex, lock};

pin_project! {
    /// Runs a consumer together with the work whose results it consumes; made by
    /// [`Concurrent::drive`](super::Concurrent::drive).
    #[must_use = "nothing runs before it is awaited"]
    pub struct Drive<W: Work, C> {
        #[pin]
        concurrent: Concurrent<W>,
        #[pin]
        consumer: C,
        desk: Arc<Mutex<Desk<W::Item>>>,
    }
}

/// The results of the work that runs beside this consumer; a [`Stream`]. From
/// [`Concurrent::drive`](super::Concurrent::drive).
pub struct Results<T> {
    desk: Arc<Mutex<Desk<T>>>,
}

/// Where the work lays down what the consumer takes.
struct Desk<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
    over: bool,
}

impl<W: Work, C: Future> Drive<W, C> {
    pub(super) fn new(mut concurrent: Concurrent<W>, consumer: impl FnOnce(Results<W::Item>) -> C) -> Self {
        concurrent.hub.consumer.ready = true;
        let desk = Arc::new(Mutex::new(Desk { items: VecDeque::new(), waker: None, over: false }));
        let consumer = consumer(Results { desk: Arc::clone(&desk) });
        Self { concurrent, consumer, desk }
    }
}

impl<W: Work, C: Future> Future for Drive<W, C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.project();
        let (concurrent, mut consumer) = (this.concurrent.project(), this.consumer);
        let (mut work, hub) = (concurrent.work, concurrent.hub);
        for round in 0..BUDGET {
            let held = lock(this.desk).items.len();
            work.as_mut().turn(hub, held);
            let called = lay_down(work.as_mut(), this.desk);
            hub.begin();
            // A consumer that wakes itself gives way to the rest of the executor; one that is called by what
            // was just laid down need not.
            let again = round == 0 || called;
            if !again || !mem::take(&mut hub.consumer.ready) {
                hub.rest(cx.waker());
                return Poll::Pending;
            }
            let poll = consumer.as_mut().poll(&mut Context::from_waker(hub.consumer.waker()));
            if let Poll::Ready(output) = poll {
                let mut panics = FirstPanic::default();
                work.as_mut().stop(&mut panics);
                return Poll::Ready(panics.resume_or(output));
            }
        }
        hub.go_on = true;
        hub.rest(cx.waker());
        Poll::Pending
    }
}

/// Lays down what is finished; true if somebody was called for it.
fn lay_down<W: Work>(mut work: Pin<&mut W>, desk: &Mutex<Desk<W::Item>>) -> bool {
    let first = work.as_mut().take();
    let over = first.is_none() && work.is_over();
    if first.is_none() && !over {
        return false;
    }
    let mut desk = lock(desk);
    desk.items.extend(first);
    desk.items.extend(std::iter::from_fn(|| work.as_mut().take()));
    desk.over |= over;
    let waker = desk.waker.take();
    drop(desk);
    let called = waker.is_some();
    if let Some(waker) = waker {
        waker.wake();
    }
    called
}

impl<T> Results<T> {
    /// The next result; `None` when there are no more.
    ///
    /// # Waiting
    /// It waits until one is finished; in order, until it is its turn.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was taken.
    pub fn recv(&mut self) -> RecvResult<'_, T> {
        RecvResult { results: self }
    }

    /// How many are finished and can be taken without waiting.
    pub fn len(&self) -> usize {
        lock(&self.desk).items.len()
    }

    /// Whether the next would have to be waited for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Stream for Results<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let take = |desk: &mut Desk<T>| match desk.items.pop_front() {
            Some(item) => Some(Some(item)),
            None => desk.over.then_some(None),
        };
        let mut desk = lock(&self.desk);
        if let Some(item) = take(&mut desk) {
            return Poll::Ready(item);
        }
        if desk.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        drop(desk);
        // Cloning and dropping a waker is foreign code.
        let waker = cx.waker().clone();
        let mut desk = lock(&self.desk);
        if let Some(item) = take(&mut desk) {
            drop(desk);
            drop(waker);
            return Poll::Ready(item);
        }
        let last = desk.waker.replace(waker);
        drop(desk);
        drop(last);
        Poll::Pending
    }
}

/// Waits for the next result; made by [`Results::recv`].
#[derive(Debug)]
#[must_use = "nothing is taken before it is awaited"]
pub struct RecvResult<'a, T> {
    results: &'a mut Results<T>,
}

impl<T> Future for RecvResult<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut *self.results).poll_next(cx)
    }
}

impl<W: Work + fmt::Debug, C> fmt::Debug for Drive<W, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").field("work", &self.concurrent).finish()
    }
}

impl<T> fmt::Debug for Results<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("unread", &self.len()).finish()
    }
}
