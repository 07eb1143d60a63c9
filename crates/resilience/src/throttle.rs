//! The client's throttle as a policy: spares a server that refuses.

use weirs_limiters::Limit;

use crate::stack::alone;
use crate::{Chain, Limited, Part, Root, Stack, StackBuilder};

/// A [`Throttle`](weirs_limiters::Throttle), alone: `throttle(&shared).call(work)`.
///
/// # Examples
/// ```
/// use weirs_limiters::Throttle;
/// use weirs_resilience::throttle;
/// use weirs_runtime::block_on;
///
/// let shared = Throttle::new();
/// let stack = throttle(&shared);
/// for _ in 0..100 {
///     let _ = block_on(stack.call(async |_| Err::<(), _>("it is too busy")));
/// }
/// assert!(shared.stats().rejection > 0.8);
/// ```
pub fn throttle<L: Limit>(throttle: L) -> Stack<Chain<Root, Limited<L>>> {
    alone(Limited::throttling(throttle))
}

impl<P: Part> StackBuilder<P> {
    /// Turns away at the client, by chance, when the server refuses too much: give a
    /// [`Throttle`](weirs_limiters::Throttle) by reference or in an [`Arc`](std::sync::Arc).
    ///
    /// Done is what went well and what failed for good ([`Class::Permanent`](crate::Class::Permanent)).
    /// Every other failure is a refusal. So is a call that was dropped after the work began: a server that
    /// hangs behind a limit of time further out is noticed too. Who gets as far as here counts, and whom
    /// somebody further in refused does not.
    ///
    /// [`Limited::throttling`] has more to set: put it in with [`policy`](StackBuilder::policy).
    pub fn throttle<L: Limit>(self, throttle: L) -> StackBuilder<Chain<P, Limited<L>>> {
        self.policy(Limited::throttling(throttle))
    }
}
