//! [`Attempt`]: what the work is told of the attempt that it is.

use std::fmt;
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

/// One attempt at the work: which one it is, and how much time it has.
///
/// A stack hands it to the closure. It is a small `Copy` value without a lifetime, so that an async closure
/// may borrow what it likes.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Attempt, Error, timeout};
/// use weirs_runtime::block_on;
///
/// async fn fetch(at: Attempt) -> Result<Duration, &'static str> {
///     // What is left goes on the wire, so that the other side can give up too.
///     at.remaining().ok_or("no limit")
/// }
///
/// let left = block_on(timeout(Duration::from_secs(2)).call(fetch));
/// assert_eq!(left, Ok::<_, Error<_>>(Duration::from_secs(2)));
/// ```
#[derive(Clone, Copy)]
pub struct Attempt {
    deadline: Instant,
    /// Nanoseconds from the moment at which it is looked at: the limits of timers that do not run yet.
    within: u64,
    /// Amplification and number, 32 bits each. Whole words are read as they were written, wherever it is
    /// copied to; with small fields each copy would have to wait for the one before it.
    numbers: u64,
    /// Depth, hedge and lane, 16 bits each.
    place: u64,
}

impl Attempt {
    /// The first attempt, with no limit of time.
    pub const fn first() -> Self {
        Self { deadline: Instant::FAR_FUTURE, within: u64::MAX, numbers: 1 << 32 | 1, place: 0 }
    }

    /// Which one it is, from 1, as the innermost retry counts.
    #[inline]
    pub const fn number(&self) -> u32 {
        self.numbers as u32
    }

    /// Which hedge it is: 0 is the one that began first. A hint to ask another server.
    pub const fn hedge(&self) -> u16 {
        (self.place >> 16) as u16
    }

    /// How many stacks stand above this one, each told by [`under`](crate::Call::under).
    pub const fn depth(&self) -> u16 {
        (self.place >> 32) as u16
    }

    /// The product of the numbers of all attempts above and of this one: the how-manieth request the far end
    /// may see for one at the top.
    #[inline]
    pub const fn amplification(&self) -> u32 {
        (self.numbers >> 32) as u32
    }

    /// How much time it had when it began, or `None` without a limit.
    ///
    /// It is for the work: what a deadline leaves is reckoned when that begins. A policy, which sees the
    /// attempt before that, asks for the [`deadline`](Attempt::deadline).
    pub fn remaining(&self) -> Option<Duration> {
        (self.within != u64::MAX).then(|| Duration::from_nanos(self.within))
    }

    /// By when it has to end, or `None` without a limit.
    ///
    /// A limit counts from the first time that somebody has to wait. As long as nobody had to, it is reckoned
    /// from now.
    pub fn deadline(&self, clock: &Clock) -> Option<Instant> {
        if self.within == u64::MAX {
            return (self.deadline != Instant::FAR_FUTURE).then_some(self.deadline);
        }
        Some(self.deadline.min(clock.now() + Duration::from_nanos(self.within)))
    }

    /// The same with at most so much time, from when somebody first has to wait.
    #[inline]
    #[must_use = "the attempt itself is unchanged"]
    pub fn within(self, limit: Duration) -> Self {
        self.within_nanos(nanos(limit))
    }

    #[inline]
    pub(crate) fn within_nanos(mut self, limit: u64) -> Self {
        self.within = self.within.min(limit);
        self
    }

    /// The same with this deadline, if it has no earlier one.
    #[inline]
    #[must_use = "the attempt itself is unchanged"]
    pub fn by(mut self, deadline: Instant) -> Self {
        self.deadline = self.deadline.min(deadline);
        self
    }

    /// The attempt of that number inside this one, as a retry hands it on: the amplification of this one is
    /// multiplied.
    #[inline]
    #[must_use = "the attempt itself is unchanged"]
    pub fn numbered(mut self, number: u32) -> Self {
        let amplification = self.amplification().saturating_mul(number);
        self.numbers = u64::from(amplification) << 32 | u64::from(number);
        self
    }

    /// The same as that hedge, in a lane of its own.
    #[must_use = "the attempt itself is unchanged"]
    pub fn hedged(mut self, hedge: u16, lane: Lane) -> Self {
        self.place = self.place >> 32 << 32 | u64::from(hedge) << 16 | u64::from(lane.0);
        self
    }

    /// Where in the call it runs; see [`Inner`](crate::Inner).
    #[inline]
    pub const fn lane(&self) -> Lane {
        Lane(self.place as u16)
    }

    /// The deadline that it was given, whatever timers there are.
    #[inline]
    pub(crate) fn set_deadline(&self) -> Option<Instant> {
        (self.deadline != Instant::FAR_FUTURE).then_some(self.deadline)
    }

    /// What a stack inside the work begins with.
    pub(crate) fn nested(self) -> Self {
        // What it had when it began is the most that it can have now.
        let depth = self.depth().saturating_add(1);
        Self { numbers: self.numbers >> 32 << 32 | 1, place: u64::from(depth) << 32, ..self }
    }

    /// The same as it begins now: what is left is reckoned once, and the clock is read only if there is a
    /// deadline.
    #[inline]
    pub(crate) fn begun(mut self, clock: &Clock) -> Self {
        if self.deadline != Instant::FAR_FUTURE {
            self.within = self.within.min(nanos(self.deadline.saturating_since(clock.now())));
        }
        self
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("number", &self.number())
            .field("amplification", &self.amplification())
            .field("depth", &self.depth())
            .field("hedge", &self.hedge())
            .field("deadline", &self.set_deadline())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

impl Default for Attempt {
    fn default() -> Self {
        Self::first()
    }
}

/// Which of the attempts that run at the same time: a hedge gives each of them a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(pub(crate) u16);

impl Lane {
    pub(crate) const FIRST: Self = Self(0);
}

pub(crate) const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos < u64::MAX as u128 { nanos as u64 } else { u64::MAX }
}
