//! [`Denied`]: why somebody may not go.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a limiter said no. Nothing was charged.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{Denied, Quota, Rate, RateLimiter};
///
/// let limiter = RateLimiter::new(Quota::new(Rate::per_second(10), 1).unwrap());
/// limiter.try_acquire(1).unwrap();
/// let denied = limiter.try_acquire(1).unwrap_err();
/// assert!(denied.retry_after().unwrap() <= Duration::from_millis(100));
/// assert_eq!(limiter.try_acquire(2).unwrap_err(), Denied::TooLarge { max: 1 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// Not yet. Whoever waits exactly this long is admitted, if nobody else asks meanwhile; with
    /// [`Duration::MAX`] it is never, as things stand.
    Later {
        /// How long from now, rounded up.
        retry_after: Duration,
    },
    /// All is held by others, and nobody can tell until when.
    Busy {
        /// How many are free: fewer than were asked for, or others wait for them.
        free: u64,
    },
    /// More than this limiter can ever admit at once.
    TooLarge {
        /// The most that it can.
        max: u64,
    },
    /// As many wait as may.
    QueueFull {
        /// How many that is.
        waiting: usize,
    },
    /// The wait would end after the deadline, so it did not begin, or was ended when that turned out.
    WouldMissDeadline {
        /// How long it would have been, from now.
        needed: Duration,
    },
    /// The deadline came first.
    DeadlinePassed,
    /// Turned away so that more important work gets through.
    Shed {
        /// How important it was: less is more important.
        level: u16,
        /// What is at this level or above is turned away.
        threshold: u16,
    },
    /// Turned away by chance, because the other side refuses too much.
    Throttled {
        /// How many of a hundred are turned away now.
        percent: u8,
    },
    /// It stood too long in a queue that does not get shorter.
    Stale {
        /// For how long.
        waited: Duration,
    },
    /// The limiter was closed.
    Closed,
}

impl Denied {
    /// After how long it is worth asking again, if that is known: what an HTTP `Retry-After` says.
    ///
    /// It is rounded up, so whoever obeys and is alone is admitted.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Later { retry_after: wait } | Self::WouldMissDeadline { needed: wait } => {
                (*wait != Duration::MAX).then_some(*wait)
            }
            _ => None,
        }
    }

    /// Whether the same request may be admitted at another time.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::Closed => false,
            Self::Later { retry_after } => *retry_after != Duration::MAX,
            _ => true,
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later { retry_after: Duration::MAX } => f.write_str("nothing is given out"),
            Self::Later { retry_after } => write!(f, "over the limit; try again in {retry_after:?}"),
            Self::Busy { free } => write!(f, "not enough is free: {free}"),
            Self::TooLarge { max } => write!(f, "more than the {max} that can ever be admitted at once"),
            Self::QueueFull { waiting } => write!(f, "{waiting} wait already"),
            Self::WouldMissDeadline { needed } => {
                write!(f, "the deadline comes before the end of the wait of {needed:?}")
            }
            Self::DeadlinePassed => f.write_str("the deadline passed while waiting"),
            Self::Shed { level, threshold } => {
                write!(f, "turned away: level {level} is at or above {threshold}")
            }
            Self::Throttled { percent } => write!(f, "turned away by chance, as {percent} of a hundred are"),
            Self::Stale { waited } => write!(f, "it stood {waited:?} in a queue that does not get shorter"),
            Self::Closed => f.write_str("the limiter is closed"),
        }
    }
}

impl Error for Denied {}
