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
pub struct AcquireCells<'a> {
    limiter: &'a RateLimiter,
    waiting: Waiting,
}

impl<'a> AcquireCells<'a> {
    pub(super) fn new(limiter: &'a RateLimiter, waiting: Waiting) -> Self {
        Self { limiter, waiting }
    }
}

impl Future for AcquireCells<'_> {
    type Output = Result<Grant, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.limiter.line.poll(&mut this.waiting, cx)
    }
}

impl Drop for AcquireCells<'_> {
    fn drop(&mut self) {
        self.limiter.cancel(&mut self.waiting);
    }
}

impl fmt::Debug for AcquireCells<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireCells")
            .field("limiter", &self.limiter)
            .field("n", &self.waiting.cost())
            .finish_non_exhaustive()
    }
}
