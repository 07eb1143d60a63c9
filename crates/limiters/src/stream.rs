//! [`LimitStream`]: streams whose items are admitted by a limiter.

mod admit;

use futures_core::Stream;

use crate::Limit;
use admit::Admit;

pub use admit::{Admitted, LimitConcurrency, NotAdmitted, RateLimited};

/// Limits on any stream.
///
/// # Examples
/// ```
/// use futures_lite::{StreamExt, stream};
/// use weirs_limiters::{LimitStream, Quota, Rate, RateLimiter};
/// use weirs_runtime::block_on;
///
/// let limiter = RateLimiter::new(Quota::new(Rate::per_second(1_000), 1).unwrap());
/// let items = stream::iter(1..=3).rate_limited(&limiter);
/// let sum = block_on(items.map(|item| item.unwrap()).fold(0, |sum, item| sum + item));
/// assert_eq!(sum, 6);
/// ```
pub trait LimitStream: Stream + Sized {
    /// Each item costs one of the limiter, which may be a reference or an [`Arc`](std::sync::Arc).
    ///
    /// # Waiting
    /// An item is taken from the stream first, and waits then: a stream that has nothing costs nothing.
    ///
    /// # Cancel safety
    /// Between polls nothing is lost. Dropped, the item that waits is dropped with the stream.
    ///
    /// # Errors
    /// What the limiter refuses comes out as [`NotAdmitted`] with its item; the stream goes on.
    fn rate_limited<L: Limit + Clone>(self, limit: L) -> RateLimited<Self, L> {
        RateLimited::new(Admit::new(self, limit))
    }

    /// Each item holds one of the limiter until it is dropped; the next comes when there is room for it.
    ///
    /// # Waiting
    /// As `rate_limited`.
    ///
    /// # Cancel safety
    /// As `rate_limited`.
    ///
    /// # Errors
    /// As `rate_limited`.
    ///
    /// # Examples
    /// ```
    /// use std::pin::pin;
    /// use std::sync::Arc;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_limiters::{LimitStream, Semaphore};
    /// use weirs_runtime::block_on;
    ///
    /// let running = Arc::new(Semaphore::new(2));
    /// let mut items = pin!(stream::iter(["one", "two", "three"]).limit_concurrency(Arc::clone(&running)));
    /// block_on(async {
    ///     let (one, two) = (items.next().await.unwrap().unwrap(), items.next().await.unwrap().unwrap());
    ///     assert_eq!((*one, running.available()), ("one", 0));
    ///     drop(two);
    ///     assert_eq!(*items.next().await.unwrap().unwrap(), "three");
    /// });
    /// ```
    fn limit_concurrency<L: Limit + Clone>(self, limit: L) -> LimitConcurrency<Self, L> {
        LimitConcurrency::new(Admit::new(self, limit))
    }
}

impl<S: Stream> LimitStream for S {}
