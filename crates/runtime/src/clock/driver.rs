//! [`TimerDriver`]: what a clock stands on.

use std::num::NonZeroU64;
use std::task::Waker;

use crate::Instant;

/// A source of time that can wake somebody later. [`Clock`](crate::Clock) is made of one.
///
/// Drivers keep wakers, not sleeps: a registered timer is a deadline, a [`Waker`] and a key, so nothing is
/// boxed and a driver is an ordinary trait object. The crate brings the real one (behind
/// [`Clock::default`](crate::Clock::default)) and [`hosted`](crate::Clock::hosted) ones; `weirs-testing`
/// brings the simulator's and a manual one.
///
/// # Rules for implementors
/// 1. `now` never goes backwards. (A clock that is fed from outside and does is not defended against: sleeps
///    simply last longer.)
/// 2. A timer that was inserted and neither fired nor removed fires once: its waker is woken at or after its
///    deadline, without anybody having to call the driver again.
/// 3. No waker is woken, cloned or dropped while the driver holds a lock: all three may run any code, this
///    driver included.
/// 4. A panic of one waker keeps no other from being woken.
pub trait TimerDriver: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Instant;

    /// Registers `waker` to be woken once, at `at` or soon after.
    ///
    /// `None` says that `at` has already come: nothing is registered and nothing will be woken. The driver
    /// decides this together with the registration, so that no deadline is lost between a look at the clock
    /// and the call.
    fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey>;

    /// Exchanges the waker of a timer; `false` when it has fired or was removed.
    fn refresh(&self, key: TimerKey, waker: &Waker) -> bool;

    /// Removes a timer if it is still there.
    fn remove(&self, key: TimerKey);
}

/// Names one registration in one [`TimerDriver`]. A key is never used again for a later registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerKey(NonZeroU64);

impl TimerKey {
    /// A key from the driver's own numbering.
    pub const fn new(number: NonZeroU64) -> Self {
        Self(number)
    }

    /// The driver's number.
    pub const fn number(self) -> NonZeroU64 {
        self.0
    }
}
