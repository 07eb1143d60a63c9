//! Windows: at most so many in a stretch of time, counted in four ways.

mod acquire;
mod builder;
mod error;
mod fixed;
mod locked;
mod log;
mod segmented;
mod sliding;

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use crate::line::{Line, Source};
use crate::{Denied, Grant, Limit, LimiterStats, Outcome, Waiting};
use fixed::Fixed;
use locked::Locked;
use log::Log;
use segmented::Segments;
use sliding::Sliding;

pub(crate) use acquire::poll;

pub use acquire::AcquireWindow;
pub use builder::WindowBuilder;
pub use error::WindowError;

/// At most `limit` in each window of the calendar: the first minute, the second, the third.
///
/// **In a stretch of time as long as a window, wherever it begins, up to `2 * limit` are admitted**: all of
/// one window at its end, and all of the next at its beginning. It is what a quota "per day" or a bill
/// means. Where something has to be kept from overload, take [`SegmentedWindow`] or a
/// [`RateLimiter`](crate::RateLimiter).
///
/// | | in any stretch as long as a window | state | an admission costs |
/// |---|---|---|---|
/// | [`FixedWindow`] | `2 * limit` | one word | one atomic exchange |
/// | [`SlidingCounter`] | `2 * limit`, for smooth traffic about `limit` | three words | a lock |
/// | [`SegmentedWindow`] | `limit` | a word a segment | a lock |
/// | [`SlidingLog`] | `limit`, and never less than is possible | two words an admission | a lock |
/// | [`Quota::strict_window`](crate::Quota::strict_window) | `limit` | one word | one atomic exchange |
///
/// # Examples
/// ```
/// use std::time::{Duration, SystemTime};
/// use weirs_limiters::FixedWindow;
///
/// let hour = Duration::from_secs(3_600);
/// // Windows begin with the hours of the wall clock.
/// let hourly = FixedWindow::builder(1_000, hour).calendar(SystemTime::now()).fixed().unwrap();
/// let grant = hourly.try_acquire(1).unwrap();
/// assert_eq!(grant.remaining(), 999);
/// ```
pub struct FixedWindow {
    line: Line<Fixed>,
}

/// About `limit` in any window: what was admitted in the window before counts by the part of it that still
/// lies within reach.
///
/// For traffic without sudden changes it is close to the truth. **An adversary gets up to `2 * limit`**: all
/// at the end of one window, and then as many again as the weight of those fades. See [`FixedWindow`] for
/// the others.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::SlidingCounter;
///
/// let counter = SlidingCounter::new(2, Duration::from_secs(60)).unwrap();
/// counter.try_acquire(2).unwrap();
/// assert!(counter.try_acquire(1).is_err());
/// ```
pub struct SlidingCounter {
    line: Line<Locked<Sliding>>,
}

/// At most `limit` in any window, wherever it begins, counted in segments.
///
/// A window of `n` segments may touch `n + 1` of them, so that many are counted. **Never more than `limit`
/// are admitted in any stretch of time as long as a window.** The price: who always asks gets `limit`
/// in `n + 1` segments, so with ten of them at least ten elevenths of what would be possible. See
/// [`FixedWindow`] for the others.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::SegmentedWindow;
///
/// let window = SegmentedWindow::new(100, Duration::from_secs(60)).unwrap();
/// window.try_acquire(100).unwrap();
/// assert!(window.try_acquire(1).unwrap_err().retry_after().unwrap() <= Duration::from_secs(66));
/// ```
pub struct SegmentedWindow {
    line: Line<Locked<Segments>>,
}

/// At most `limit` in any window, wherever it begins, and as many as that allows: each admission is
/// remembered for as long as a window.
///
/// **Never more than `limit` are admitted in any stretch of time as long as a window**, and a refusal is one
/// only if that would be broken. It remembers up to `limit` admissions with 16 bytes each; those at one
/// instant are one. See [`FixedWindow`] for the others.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::SlidingLog;
///
/// let log = SlidingLog::new(2, Duration::from_secs(60)).unwrap();
/// log.try_acquire(1).unwrap();
/// log.try_acquire(1).unwrap();
/// assert!(log.try_acquire(1).is_err());
/// ```
pub struct SlidingLog {
    line: Line<Locked<Log>>,
}

macro_rules! windows {
    ($($window:ident: $build:ident),*) => {$(
        impl $window {
            /// In real time, beginning now, with room for 1024 who wait.
            ///
            /// # Errors
            /// [`WindowError`], when the numbers make no window.
            pub fn new(limit: u64, window: Duration) -> Result<Self, WindowError> {
                Self::builder(limit, window).$build()
            }

            /// Sets all that can be set.
            pub fn builder(limit: u64, window: Duration) -> WindowBuilder {
                WindowBuilder::new(limit, window)
            }

            /// Takes `n` now, all or none, without overtaking those who wait.
            ///
            /// # Errors
            /// [`Denied::Later`] says when it is worth asking again (while others wait: when at the
            /// earliest), [`Denied::TooLarge`] that it never is, [`Denied::Closed`]. Nothing was taken.
            pub fn try_acquire(&self, n: u64) -> Result<Grant, Denied> {
                self.try_acquire_at(self.line.clock().now(), n)
            }

            /// [`try_acquire`](Self::try_acquire) without a look at the clock.
            ///
            /// A `now` that lies before an earlier one counts as that.
            ///
            /// # Errors
            /// As `try_acquire`.
            pub fn try_acquire_at(&self, now: Instant, n: u64) -> Result<Grant, Denied> {
                self.line.try_acquire_at(now, n)
            }

            /// Takes `n`, and waits for them.
            ///
            /// # Waiting
            /// First come, first served, with one timer for all who wait.
            ///
            /// # Cancel safety
            /// Dropped before it is ready, nothing was taken, and the next in the queue has its turn.
            ///
            /// # Errors
            /// [`Denied::TooLarge`], [`Denied::QueueFull`], [`Denied::Closed`], and [`Denied::Later`] when
            /// nobody may wait.
            pub fn acquire(&self, n: u64) -> AcquireWindow<'_> {
                AcquireWindow::new(self, Waiting::new(n))
            }

            /// [`acquire`](Self::acquire), but until then.
            ///
            /// # Waiting
            /// As `acquire`. Each of these waits has a timer: how requests of several sizes fall into
            /// windows is not known before.
            ///
            /// # Cancel safety
            /// As `acquire`.
            ///
            /// # Errors
            /// [`Denied::WouldMissDeadline`] as soon as it is known, [`Denied::DeadlinePassed`], and those
            /// of `acquire`.
            ///
            /// # Panics
            /// With debug assertions, when `deadline` comes from another clock.
            pub fn acquire_by(&self, n: u64, deadline: Instant) -> AcquireWindow<'_> {
                AcquireWindow::new(self, Waiting::new(n).by(deadline))
            }

            /// How many could be taken now. Those who wait may want them.
            pub fn available(&self) -> u64 {
                self.line.source.left(self.line.clock().now())
            }

            /// How many in a window.
            pub fn limit(&self) -> u64 {
                self.line.source.most()
            }

            /// How many wait.
            pub fn waiting(&self) -> usize {
                self.line.waiting().0
            }

            /// What it looks like now.
            pub fn stats(&self) -> LimiterStats {
                self.line.stats()
            }

            /// Admits nobody any more: everybody who waits or asks hears [`Denied::Closed`].
            pub fn close(&self) {
                self.line.close();
            }

            /// Whether it was closed.
            pub fn is_closed(&self) -> bool {
                self.line.is_closed()
            }

            /// The clock whose time counts.
            pub fn clock(&self) -> &Clock {
                self.line.clock()
            }
        }

        impl Limit for $window {
            fn clock(&self) -> &Clock {
                self.line.clock()
            }

            fn try_acquire_at(&self, now: Instant, cost: u64) -> Result<Grant, Denied> {
                self.try_acquire_at(now, cost)
            }

            fn peek_at(&self, now: Instant, cost: u64) -> Result<u64, Denied> {
                self.line.peek_at(now, cost)
            }

            fn poll_acquire(
                &self,
                waiting: &mut Waiting,
                cx: &mut Context<'_>,
            ) -> Poll<Result<Grant, Denied>> {
                acquire::poll(&self.line, waiting, cx)
            }

            fn cancel(&self, waiting: &mut Waiting) {
                self.line.cancel(waiting);
            }

            fn release(&self, grant: Grant, outcome: Outcome) {
                if outcome == Outcome::Unused {
                    self.line.source.give_back(Instant::from_nanos(grant.note()), grant.cost());
                    self.line.brought();
                }
            }
        }

        impl fmt::Debug for $window {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($window))
                    .field("limit", &self.limit())
                    .field("waiting", &self.waiting())
                    .field("closed", &self.is_closed())
                    .finish_non_exhaustive()
            }
        }
    )*};
}

windows! {
    FixedWindow: fixed,
    SlidingCounter: sliding_counter,
    SegmentedWindow: segmented,
    SlidingLog: sliding_log
}
