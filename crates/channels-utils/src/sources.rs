//! Where streams begin: [`ticker`], [`feed`], [`lines`].

mod feed;
mod lines;

use std::time::Duration;

use weirs_runtime::{Clock, Interval, ZeroPeriod};

pub use feed::{Rest, feed};
pub use lines::{LineError, Lines, lines};

/// A stream of ticks, one a period, the first a period from now.
///
/// Each is the instant at which it was due. Ticks that nobody takes do not pile up: one is given for all that
/// were missed, as Go's `time.Ticker` does. [`Interval::missed_ticks`] has the other ways.
///
/// # Errors
/// When `period` is zero.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use futures_lite::StreamExt;
/// use weirs_channels_utils::ticker;
/// use weirs_runtime::{Clock, block_on};
///
/// # fn main() -> Result<(), weirs_runtime::ZeroPeriod> {
/// let period = Duration::from_millis(1);
/// let ticks = block_on(ticker(&Clock::default(), period)?.take(2).collect::<Vec<_>>());
/// assert!(ticks[1] - ticks[0] >= period);
/// # Ok(())
/// # }
/// ```
pub fn ticker(clock: &Clock, period: Duration) -> Result<Interval, ZeroPeriod> {
    clock.interval(period)
}
