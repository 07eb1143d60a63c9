//! [`LimitSink`]: sinks whose items are admitted by a limiter.

mod paced;

use futures_sink::Sink;

use crate::Limit;

pub use paced::{Paced, PacedError};

/// A pace for any sink: beside [`LimitStream`](crate::LimitStream), for whoever writes.
///
/// # Examples
/// ```
/// use futures::SinkExt;
/// use weirs_limiters::{LimitSink, Quota, Rate, RateLimiter};
/// use weirs_runtime::block_on;
///
/// let limiter = RateLimiter::new(Quota::new(Rate::per_second(1_000), 1).unwrap());
/// let mut sink = Vec::new().paced(&limiter);
/// block_on(async {
///     for item in 1..=3 {
///         sink.send(item).await.unwrap();
///     }
/// });
/// assert_eq!(sink.into_inner(), [1, 2, 3]);
/// ```
pub trait LimitSink<Item>: Sink<Item> + Sized {
    /// Each item costs one of the limiter, which may be a reference or an [`Arc`](std::sync::Arc).
    ///
    /// # Waiting
    /// It is ready when the sink has room and the limiter has admitted one: a sink that is full costs
    /// nothing. Nothing is held of the limiter once the item is in the sink.
    ///
    /// # Cancel safety
    /// Between polls nothing is lost: what was admitted is there for the next item. Dropped, it goes back.
    ///
    /// # Panics
    /// `start_send` does, when it was not ready.
    ///
    /// # Errors
    /// [`PacedError::Denied`] before an item is handed in, when the limiter refuses; the sink can be used on.
    fn paced<L: Limit + Clone>(self, limit: L) -> Paced<Self, L> {
        Paced::new(self, limit)
    }
}

impl<Item, S: Sink<Item>> LimitSink<Item> for S {}
