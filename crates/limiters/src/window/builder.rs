//! [`WindowBuilder`]: everything that can be set of a window.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weirs_runtime::{Clock, Instant};

use super::WindowError;
use super::{
    Fixed, FixedWindow, Locked, Log, SegmentedWindow, Segments, Sliding, SlidingCounter, SlidingLog,
};
use crate::Quota;
use crate::line::{Counts, Line, MAX_WAITERS, Source};

/// Makes windows of any kind; made by [`FixedWindow::builder`] and its siblings.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::SegmentedWindow;
///
/// let window = SegmentedWindow::builder(100, Duration::from_secs(60)).segments(20).segmented().unwrap();
/// assert_eq!(window.limit(), 100);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it makes nothing until one of the windows is built"]
pub struct WindowBuilder {
    limit: u64,
    window: Duration,
    segments: usize,
    begins: Begins,
    max_waiters: usize,
    clock: Option<Clock>,
    counts: bool,
}

#[derive(Clone, Copy, Debug)]
enum Begins {
    Now,
    At(Instant),
    Calendar(SystemTime),
}

impl WindowBuilder {
    pub(super) fn new(limit: u64, window: Duration) -> Self {
        Self {
            limit,
            window,
            segments: 10,
            begins: Begins::Now,
            max_waiters: MAX_WAITERS,
            clock: None,
            counts: false,
        }
    }

    /// Of how many segments a [`SegmentedWindow`] is made: ten without it. More of them waste less.
    pub fn segments(mut self, segments: usize) -> Self {
        self.segments = segments;
        self
    }

    /// A moment at which a window begins: when it is built without it. All others begin a whole number of
    /// windows before or after.
    pub fn aligned_to(mut self, begin: Instant) -> Self {
        self.begins = Begins::At(begin);
        self
    }

    /// Windows begin with the minutes, hours or days of the calendar (in UTC): at whole multiples of their
    /// length since 1970. `now` is what the wall clock says when the window is built; for the days of
    /// another time zone, add its offset. A wall clock that is set anew later is not followed.
    pub fn calendar(mut self, now: SystemTime) -> Self {
        self.begins = Begins::Calendar(now);
        self
    }

    /// How many may wait: 1024 without it. With zero nobody waits.
    pub fn max_waiters(mut self, most: usize) -> Self {
        self.max_waiters = most;
        self
    }

    /// The clock whose time counts: real time without it.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Whether the `stats` of the window tell how often it said what.
    pub fn counted(mut self, counted: bool) -> Self {
        self.counts = counted;
        self
    }

    /// Makes a [`FixedWindow`].
    ///
    /// # Errors
    /// [`WindowError`], when the numbers make no window.
    pub fn fixed(self) -> Result<FixedWindow, WindowError> {
        let line = self.line(|this, length, phase| Ok(Fixed::new(this.limit, length, phase)))?;
        Ok(FixedWindow { line })
    }

    /// Makes a [`SlidingCounter`].
    ///
    /// # Errors
    /// [`WindowError`], when the numbers make no window.
    pub fn sliding_counter(self) -> Result<SlidingCounter, WindowError> {
        let line =
            self.line(|this, length, phase| Ok(Locked::new(Sliding::new(this.limit, length, phase))))?;
        Ok(SlidingCounter { line })
    }

    /// Makes a [`SegmentedWindow`].
    ///
    /// # Errors
    /// [`WindowError`], when the numbers make no window.
    pub fn segmented(self) -> Result<SegmentedWindow, WindowError> {
        let line = self.line(|this, length, phase| {
            if this.segments == 0 || this.segments > 1 << 16 || this.segments as u64 > length {
                return Err(WindowError::Segments);
            }
            // Rounded up: longer windows than asked for are strict for these too.
            let segment = length.div_ceil(this.segments as u64);
            Ok(Locked::new(Segments::new(this.limit, segment, this.segments, phase % segment)))
        })?;
        Ok(SegmentedWindow { line })
    }

    /// Makes a [`SlidingLog`].
    ///
    /// # Errors
    /// [`WindowError`], when the numbers make no window.
    pub fn sliding_log(self) -> Result<SlidingLog, WindowError> {
        let line = self.line(|this, length, _| Ok(Locked::new(Log::new(this.limit, length))))?;
        Ok(SlidingLog { line })
    }

    fn line<S: Source>(
        self,
        source: impl FnOnce(&Self, u64, u64) -> Result<S, WindowError>,
    ) -> Result<Line<S>, WindowError> {
        let length = self.window.as_nanos();
        let error = match (self.limit, length) {
            (0, _) => Some(WindowError::ZeroLimit),
            (_, 0) => Some(WindowError::ZeroWindow),
            (Quota::MAX_BURST.., _) if self.limit > Quota::MAX_BURST => Some(WindowError::TooLarge),
            _ if length > u128::from(u64::MAX / 2) => Some(WindowError::TooLong),
            _ if u128::from(self.limit) > length => Some(WindowError::TooFast),
            _ => None,
        };
        if let Some(error) = error {
            return Err(error);
        }
        let length = length as u64;
        let clock = self.clock.clone().unwrap_or_default();
        let phase = self.phase(clock.now(), length);
        let source = source(&self, length, phase)?;
        Ok(Line::new(source, clock, self.max_waiters, Counts::new(self.counts)))
    }

    /// How far into a window the clock was at its zero.
    fn phase(&self, now: Instant, length: u64) -> u64 {
        let begin = match self.begins {
            Begins::Now => now.as_nanos() % length,
            Begins::At(begin) => begin.as_nanos() % length,
            Begins::Calendar(wall) => {
                let length = i128::from(length);
                let into = match wall.duration_since(UNIX_EPOCH) {
                    Ok(since) => since.as_nanos() as i128 % length,
                    Err(before) => -(before.duration().as_nanos() as i128),
                };
                (i128::from(now.as_nanos()) - into).rem_euclid(length) as u64
            }
        };
        (length - begin) % length
    }
}
