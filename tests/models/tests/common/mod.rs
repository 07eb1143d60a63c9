//! What the models of streams share.
#![allow(dead_code, reason = "each model uses a part of it")]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use loom::future::AtomicWaker;
use loom::sync::atomic::AtomicBool;

/// A stream of one item, that comes when it is opened; and a future likewise.
pub struct Gate {
    shared: Arc<Shared>,
    item: Option<u32>,
}

pub struct Opener(Arc<Shared>);

#[derive(Default)]
struct Shared {
    open: AtomicBool,
    waker: AtomicWaker,
}

pub fn gate(item: u32) -> (Opener, Gate) {
    let shared = Arc::new(Shared::default());
    (Opener(Arc::clone(&shared)), Gate { shared, item: Some(item) })
}

impl Opener {
    pub fn open(self) {
        self.0.open.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

impl Stream for Gate {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        if self.item.is_some() {
            self.shared.waker.register_by_ref(cx.waker());
            if !self.shared.open.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.item.take())
    }
}

/// The items are ready.
pub struct Ready<T>(pub Vec<T>);

impl<T: Unpin> Stream for Ready<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(self.0.pop())
    }
}

pub fn next<S: Stream + Unpin>(stream: &mut S) -> impl Future<Output = Option<S::Item>> + Unpin {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx))
}

/// Counts its wakes. Not one of loom's atomics: it is looked at when all threads are done.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub struct Woken(Arc<Count>);

impl Woken {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    pub fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.0));
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    pub fn times(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Nobody keeps its waker.
    pub fn is_free(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}
