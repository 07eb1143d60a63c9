//! [`Lease`]: cells taken in advance, to be handed out where nobody else looks.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::RateLimiter;
use crate::{Denied, Limit, Waiting};

/// Cells of a [`RateLimiter`] for one thread or task: taken `size` at a time, and handed out without a look
/// at the clock or at memory that others write. Dropped, it gives back what is left.
///
/// It is for limits that many threads ask millions of times a second, where they would get in each other's
/// way. What it costs:
///
/// - Cells in hand are charged, so in the long run there are never more than the quota says. But they may be
///   used later than they were taken: in any time `W` at most `burst + rate * W` and the sizes of all leases.
///   Where that is too many, make the burst smaller by the sizes.
/// - Up to `size` cells may lie idle in each lease, while others are refused or wait.
/// - Whoever has cells in hand goes ahead of those who wait at the limiter, and also after it was closed or
///   its quota was changed.
///
/// The limiter is a reference, or an [`Arc`](std::sync::Arc).
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use weirs_limiters::{Lease, Quota, Rate, RateLimiter};
///
/// let limiter = Arc::new(RateLimiter::new(Quota::new(Rate::per_hour(1), 100).unwrap()));
/// let mut lease = Lease::new(Arc::clone(&limiter), 32);
/// for _ in 0..10 {
///     lease.try_acquire(1).unwrap();
/// }
/// assert_eq!((lease.left(), limiter.available()), (22, 68));
/// drop(lease);
/// assert_eq!(limiter.available(), 90);
/// ```
pub struct Lease<L: Deref<Target = RateLimiter>> {
    limiter: L,
    size: u64,
    left: u64,
}

impl<L: Deref<Target = RateLimiter>> Lease<L> {
    /// A lease without cells: it takes the first when they are asked for. One whose size is zero keeps none,
    /// and one above the burst never gets so many.
    pub fn new(limiter: L, size: u64) -> Self {
        Self { limiter, size, left: 0 }
    }

    /// Hands out `n` cells now, all or none. Without enough in hand it takes `size` more; if there are not so
    /// many, only what is missing.
    ///
    /// # Errors
    /// As [`RateLimiter::try_acquire`], where only what is missing counts. What is in hand stays.
    #[inline]
    pub fn try_acquire(&mut self, n: u64) -> Result<(), Denied> {
        match self.left.checked_sub(n) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => self.try_acquire_more(n),
        }
    }

    #[cold]
    fn try_acquire_more(&mut self, n: u64) -> Result<(), Denied> {
        let missing = n - self.left;
        let now = self.limiter.clock().now();
        if self.size > missing && self.limiter.try_acquire_at(now, self.size).is_ok() {
            self.left = self.size - missing;
            return Ok(());
        }
        self.limiter.try_acquire_at(now, missing)?;
        self.left = 0;
        Ok(())
    }

    /// [`try_acquire`](Lease::try_acquire), and waits for what is missing.
    ///
    /// # Waiting
    /// As [`RateLimiter::acquire`]: behind all who wait there. With enough in hand it does not wait.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was taken: what was in hand still is.
    ///
    /// # Errors
    /// As [`RateLimiter::acquire`], where only what is missing counts.
    pub fn acquire(&mut self, n: u64) -> AcquireLeased<'_, L> {
        AcquireLeased { lease: self, n, waiting: Waiting::new(0) }
    }

    /// How many are in hand.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Gives back what is in hand, as before a long pause: others can use it.
    pub fn give_back(&mut self) {
        match std::mem::take(&mut self.left) {
            0 => {}
            left => self.limiter.credit(left),
        }
    }

    /// The limiter.
    pub fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }
}

impl<L: Deref<Target = RateLimiter>> Drop for Lease<L> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<L: Deref<Target = RateLimiter>> fmt::Debug for Lease<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("size", &self.size).field("left", &self.left).finish_non_exhaustive()
    }
}

/// The future of [`Lease::acquire`]. Polled again after its end it asks anew.
#[must_use = "it does nothing unless it is awaited"]
pub struct AcquireLeased<'l, L: Deref<Target = RateLimiter>> {
    lease: &'l mut Lease<L>,
    n: u64,
    /// For what is missing. While it waits nobody else has the lease, so that stays the same.
    waiting: Waiting,
}

impl<L: Deref<Target = RateLimiter>> Future for AcquireLeased<'_, L> {
    type Output = Result<(), Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.waiting.key().is_none() {
            match this.lease.try_acquire(this.n) {
                Err(Denied::Later { .. }) => {}
                result => return Poll::Ready(result),
            }
            this.waiting = Waiting::new(this.n - this.lease.left);
        }
        let Poll::Ready(result) = this.lease.limiter.poll_acquire(&mut this.waiting, cx) else {
            return Poll::Pending;
        };
        if result.is_ok() {
            this.lease.left = 0;
        }
        Poll::Ready(result.map(|_| ()))
    }
}

impl<L: Deref<Target = RateLimiter>> Drop for AcquireLeased<'_, L> {
    fn drop(&mut self) {
        self.lease.limiter.cancel(&mut self.waiting);
    }
}

impl<L: Deref<Target = RateLimiter>> fmt::Debug for AcquireLeased<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireLeased")
            .field("lease", &self.lease)
            .field("n", &self.n)
            .finish_non_exhaustive()
    }
}
