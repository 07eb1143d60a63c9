//! [`Acquire`]: waiting for any limiter, and [`Held`]: the guard that it gives.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use weirs_runtime::Instant;

use super::{Denied, Grant, Limit, Outcome, Waiting};

/// Waits until a limiter admits `cost`, and holds it.
///
/// The limiter is a reference or an [`Arc`](std::sync::Arc), to a `dyn Limit` as well; with the `Arc` the
/// future and the guard are `'static`.
///
/// # Waiting
/// As the limiter does. Lazy: nothing happens before the first poll.
///
/// # Cancel safety
/// Dropped before it is ready, nothing was charged and nothing is held.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use weirs_limiters::{Limit, Semaphore, acquire};
/// use weirs_runtime::block_on;
///
/// async fn limited(limit: &dyn Limit) {
///     let held = acquire(limit, 1).await.unwrap();
///     // ... the work ...
///     held.success();
/// }
///
/// let semaphore = Semaphore::new(2);
/// block_on(limited(&semaphore));
/// assert_eq!(semaphore.available(), 2);
/// ```
pub fn acquire<L: Limit>(limit: L, cost: u64) -> Acquire<L> {
    Acquire { limit: Some(limit), waiting: Waiting::new(cost), waits: false }
}

/// Holds `cost` of a limiter if it is admitted at once.
///
/// # Errors
/// [`Denied`]; nothing was charged.
pub fn try_acquire<L: Limit>(limit: L, cost: u64) -> Result<Held<L>, Denied> {
    let grant = limit.try_acquire_at(limit.clock().now(), cost)?;
    Ok(Held { limit: Some(limit), grant })
}

/// The future of [`acquire`].
#[must_use = "it does nothing unless it is awaited"]
pub struct Acquire<L: Limit> {
    /// None when it is ready.
    limit: Option<L>,
    waiting: Waiting,
    /// Whether the limiter was polled and is not ready.
    waits: bool,
}

impl<L: Limit> Acquire<L> {
    /// The same, but until then: it fails before it queues if that is known to be too late.
    ///
    /// # Panics
    /// When it was polled before.
    pub fn by(mut self, deadline: Instant) -> Self {
        assert!(!self.waits && self.limit.is_some(), "a deadline is set before the first poll");
        self.waiting = Waiting::new(self.waiting.cost()).by(deadline);
        self
    }
}

// The limiter is never pinned.
impl<L: Limit> Unpin for Acquire<L> {}

impl<L: Limit> Future for Acquire<L> {
    type Output = Result<Held<L>, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let limit = this.limit.as_ref().expect("it is not polled after its end");
        this.waits = true;
        let Poll::Ready(result) = limit.poll_acquire(&mut this.waiting, cx) else {
            return Poll::Pending;
        };
        this.waits = false;
        let limit = this.limit.take();
        Poll::Ready(result.map(|grant| Held { limit, grant }))
    }
}

impl<L: Limit> Drop for Acquire<L> {
    fn drop(&mut self) {
        if self.waits {
            if let Some(limit) = &self.limit {
                limit.cancel(&mut self.waiting);
            }
        }
    }
}

impl<L: Limit> fmt::Debug for Acquire<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// What is held of a limiter. Dropped, it is given back as [`Outcome::Ignore`].
///
/// Of a rate nothing is held, so dropping this changes nothing there.
#[must_use = "it is given back when it is dropped"]
pub struct Held<L: Limit> {
    /// None when it has ended.
    limit: Option<L>,
    grant: Grant,
}

impl<L: Limit> Held<L> {
    /// What was admitted.
    pub fn grant(&self) -> Grant {
        self.grant
    }

    /// Done.
    pub fn success(self) {
        self.end(Outcome::Success);
    }

    /// Failed in a way that speaks of overload.
    pub fn overload(self) {
        self.end(Outcome::Overload);
    }

    /// Ended in a way that says nothing about the load.
    pub fn ignore(self) {
        self.end(Outcome::Ignore);
    }

    /// Never begun: it counts as not admitted at all.
    pub fn unused(self) {
        self.end(Outcome::Unused);
    }

    /// Ended so.
    pub fn end(self, outcome: Outcome) {
        let (limit, grant) = self.into_parts();
        limit.release(grant, outcome);
    }

    /// The limiter and the grant, which is from now on the caller's to give back.
    pub fn into_parts(self) -> (L, Grant) {
        let mut this = self;
        match this.limit.take() {
            Some(limit) => (limit, this.grant),
            None => unreachable!("it is there until it ends"),
        }
    }
}

impl<L: Limit> Drop for Held<L> {
    fn drop(&mut self) {
        if let Some(limit) = &self.limit {
            limit.release(self.grant, Outcome::Ignore);
        }
    }
}

impl<L: Limit> fmt::Debug for Held<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("grant", &self.grant).finish_non_exhaustive()
    }
}
