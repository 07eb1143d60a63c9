//! Polling by hand.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future, polled by hand, and how often it was woken.
pub(crate) struct Hand<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
pub(crate) struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[allow(dead_code, reason = "each test program has its own copy, and not all use all of it")]
impl<F: Future> Hand<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    /// With a new waker each time.
    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        self.woken = Arc::default();
        self.poll_again()
    }

    /// With the waker of the time before.
    pub(crate) fn poll_again(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// How often the last waker was woken.
    pub(crate) fn wakes(&self) -> usize {
        self.woken.0.load(Ordering::Relaxed)
    }
}
