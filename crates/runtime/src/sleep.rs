//! [`Sleep`]: waiting for a point in time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::{Clock, Instant, TimerKey};

/// Waits until a deadline; made by [`Clock::sleep`] and [`Clock::sleep_until`].
///
/// # Waiting
/// A sleep is lazy: it registers with its clock's driver at the first poll that has to wait, and takes
/// itself out when it is dropped. One that is never polled costs nothing. It may be [reset](Sleep::reset) at
/// any time, after its end too. Polled again after its end it is ready again: it says "the deadline has
/// passed", which stays true.
///
/// # Cancel safety
/// Dropping a sleep removes its timer. Nothing else happened.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Clock, block_on};
///
/// let clock = Clock::default();
/// block_on(async {
///     let mut idle = clock.sleep(Duration::from_secs(30));
///     // Something happened: the idle time starts anew.
///     idle.reset_after(Duration::from_millis(1));
///     idle.await;
/// });
/// ```
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    clock: Clock,
    at: Instant,
    key: Option<TimerKey>,
}

impl Sleep {
    pub(crate) fn new(clock: Clock, at: Instant) -> Self {
        Self { clock, at, key: None }
    }

    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.at
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        self.clock.has_come(self.at)
    }

    /// The clock whose time it waits in.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Waits until `at` instead. Whoever awaits the sleep has to poll it again to be woken at the new time.
    ///
    /// # Panics
    /// With debug assertions, when `at` comes from another clock.
    #[track_caller]
    pub fn reset(&mut self, at: Instant) {
        at.assert_of_clock(self.clock.id());
        self.unregister();
        self.at = at;
    }

    /// Waits until `duration` from now instead, like [`reset`](Sleep::reset).
    pub fn reset_after(&mut self, duration: Duration) {
        self.reset(self.clock.now() + duration);
    }

    fn unregister(&mut self) {
        if let Some(key) = self.key.take() {
            self.clock.remove(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at == Instant::FAR_FUTURE {
            return Poll::Pending;
        }
        if self.is_elapsed() {
            self.unregister();
            return Poll::Ready(());
        }
        if let Some(key) = self.key {
            if self.clock.refresh(key, cx.waker()) {
                return Poll::Pending;
            }
        }
        // The driver looks once more as it registers: between our look and its own the deadline may have
        // come.
        self.key = self.clock.insert(self.at, cx.waker());
        if self.key.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.unregister();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.at).field("registered", &self.key.is_some()).finish()
    }
}
