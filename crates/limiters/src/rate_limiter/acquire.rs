//! [`AcquireCells`]: waiting for cells of a rate limiter.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::RateLimiter;
use crate::{Denied, Grant, Limit, Waiting};

/// The future of [`RateLimiter::acquire`] and [`RateLimiter::acquire_by`]. Polled again after its end it
/// asks anew.
#[must_use = "it does nothing unless it is awaited"]
pub struct AcquireCells<'a, L: Limit = RateLimiter> {
    limiter: &'a L,
    waiting: Waiting,
}

impl<'a, L: Limit> AcquireCells<'a, L> {
    pub(crate) fn new(limiter: &'a L, waiting: Waiting) -> Self {
        Self { limiter, waiting }
    }
}

impl<L: Limit> Future for AcquireCells<'_, L> {
    type Output = Result<Grant, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.limiter.poll_acquire(&mut this.waiting, cx)
    }
}

impl<L: Limit> Drop for AcquireCells<'_, L> {
    fn drop(&mut self) {
        self.limiter.cancel(&mut self.waiting);
    }
}

impl<L: Limit + fmt::Debug> fmt::Debug for AcquireCells<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireCells")
            .field("limiter", &self.limiter)
            .field("n", &self.waiting.cost())
            .finish_non_exhaustive()
    }
}
