//! [`Limit`]: what every limiter can do, so that one stands in for another.

mod acquire;
mod denied;
mod grant;
mod waiting;

use std::sync::Arc;
use std::task::{Context, Poll};

use weirs_runtime::{Clock, Instant};

pub use acquire::{Acquire, Held, acquire, try_acquire};
pub use denied::Denied;
pub use grant::{Grant, Outcome};
pub use waiting::Waiting;

/// Says who may go now: rates, semaphores, windows, and any limiter of your own.
///
/// It is for whoever takes *some* limiter: `&dyn Limit`, or `Arc<dyn Limit>`. [`acquire`] waits for one and
/// gives a guard; nothing is boxed for a wait. Whoever has a limiter of a known type calls its own methods.
///
/// A request is a cost, and by when. Whose it is, or how important, is bound to the limit that is handed on:
/// [`KeyLimit`](crate::KeyLimit) is for one key, [`PriorityLimit`](crate::PriorityLimit) for one priority.
///
/// # Rules for implementors
/// 1. `try_acquire_at` admits the whole cost or none of it, and does not overtake those who wait, unless the
///    limiter's docs say so. Refused, it changes nothing. A cost of zero is admitted, and nothing is charged.
/// 2. A cost that can never be admitted is [`Denied::TooLarge`] at once, for those too who wait already when
///    it gets so.
/// 3. `poll_acquire` leaves in its [`Waiting`] what it has to know at the next poll. As long as it gives
///    `Pending`, it is polled again with the same one, or `cancel` is called. When it is ready, nothing is
///    left of the wait; the caller may use the `Waiting` for a wait anew.
/// 4. It keeps the [deadline](Waiting::deadline): it fails as early as it can tell, and at the deadline at
///    the latest. [`Waiting::poll_deadline`] does the latter.
/// 5. `cancel` takes a wait back, in whatever state it is: granted but not yet told, it gives everything
///    back. Without a wait it does nothing.
/// 6. `release` is called at most once for each [`Grant`].
/// 7. No lock is held while a waker is cloned, woken or dropped.
///
/// # Examples
/// A limiter of one's own: the door is open, or it is not.
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::task::{Context, Poll};
/// use std::time::Duration;
/// use weirs_limiters::{Denied, Grant, Limit, Waiting, try_acquire};
/// use weirs_runtime::{Clock, Instant};
///
/// struct Door {
///     open: AtomicBool,
///     clock: Clock,
/// }
///
/// impl Limit for Door {
///     fn clock(&self) -> &Clock {
///         &self.clock
///     }
///
///     fn try_acquire_at(&self, _now: Instant, cost: u64) -> Result<Grant, Denied> {
///         match self.open.load(Ordering::Acquire) || cost == 0 {
///             true => Ok(Grant::new(cost, u64::MAX)),
///             false => Err(Denied::Later { retry_after: Duration::from_secs(1) }),
///         }
///     }
///
///     fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
///         self.try_acquire_at(now, cost).map(|grant| grant.remaining())
///     }
///
///     // It looks again every second.
///     fn poll_acquire(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>> {
///         loop {
///             let now = self.clock.now();
///             match self.try_acquire_at(now, waiting.cost()) {
///                 Err(Denied::Later { retry_after }) if now + retry_after <= waiting.deadline() => {
///                     match waiting.poll_until(&self.clock, now + retry_after, cx) {
///                         Poll::Ready(()) => continue,
///                         Poll::Pending => return Poll::Pending,
///                     }
///                 }
///                 result => return Poll::Ready(result),
///             }
///         }
///     }
///
///     fn cancel(&self, _: &mut Waiting) {}
/// }
///
/// let door = Door { open: AtomicBool::new(false), clock: Clock::default() };
/// assert!(try_acquire(&door as &dyn Limit, 1).is_err());
/// door.open.store(true, Ordering::Release);
/// assert!(try_acquire(&door as &dyn Limit, 1).is_ok());
/// ```
pub trait Limit: Send + Sync {
    /// The clock whose time counts.
    fn clock(&self) -> &Clock;

    /// Admits `cost` now, or says why not. `now` is a recent look at [`clock`](Limit::clock): layers share
    /// it.
    ///
    /// # Errors
    /// [`Denied`], and then nothing was charged.
    fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied>;

    /// What [`try_acquire_at`](Limit::try_acquire_at) would say, with nothing charged: how many would be
    /// left.
    ///
    /// # Errors
    /// The same.
    fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied>;

    /// Waits until `waiting.cost()` is admitted.
    fn poll_acquire(&self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Grant, Denied>>;

    /// Takes a wait back.
    fn cancel(&self, waiting: &mut Waiting);

    /// What was admitted is over, with this outcome.
    ///
    /// A rate, of which nothing is held, hears only [`Outcome::Unused`] and takes its cells back. The grant
    /// is one of this very limiter, given back once: with any other it may admit more than it should, or
    /// panic.
    fn release(&self, grant: Grant, outcome: Outcome) {
        let _ = (grant, outcome);
    }
}

macro_rules! pass_on {
    ($($pointer:ty),*) => {$(
        impl<L: Limit + ?Sized> Limit for $pointer {
            fn clock(&self) -> &Clock {
                (**self).clock()
            }

            fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied> {
                (**self).try_acquire_at(now, cost)
            }

            fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
                (**self).peek_at(now, cost)
            }

            fn poll_acquire(
                &self,
                waiting: &mut Waiting,
                cx: &mut Context<'_>,
            ) -> Poll<Result<Grant, Denied>> {
                (**self).poll_acquire(waiting, cx)
            }

            fn cancel(&self, waiting: &mut Waiting) {
                (**self).cancel(waiting);
            }

            fn release(&self, grant: Grant, outcome: Outcome) {
                (**self).release(grant, outcome);
            }
        }
    )*};
}

pass_on!(&L, Arc<L>, Box<L>);
