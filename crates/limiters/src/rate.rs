//! [`Rate`] and [`Quota`]: how many in how long, exactly.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// How many cells a limiter gives out in how long: an exact ratio, never a float.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::Rate;
///
/// const API: Rate = Rate::per_second(100);
/// let odd = Rate::new(7, Duration::from_secs(3)).unwrap();
/// assert_eq!(odd.to_string(), "7 per 3s");
/// assert!(Rate::new(7, Duration::ZERO).is_err());
/// # let _ = API;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    cells: u64,
    /// Zero stands for "unlimited".
    nanos: u64,
}

impl Rate {
    /// Nothing is ever given out, but for what a limiter begins with.
    pub const ZERO: Self = Self { cells: 0, nanos: 1 };
    /// Everything is given out at once.
    pub const UNLIMITED: Self = Self { cells: 1, nanos: 0 };

    /// So many cells in so long a time.
    ///
    /// # Errors
    /// [`QuotaError::ZeroPeriod`], and [`QuotaError::TooFast`] for more than a cell a nanosecond; a period of
    /// more than 584 years is [`QuotaError::TooLong`], a ratio that is too long a fraction
    /// [`QuotaError::TooFine`].
    pub const fn new(cells: u64, per: Duration) -> Result<Self, QuotaError> {
        let nanos = per.as_nanos();
        if nanos == 0 {
            return Err(QuotaError::ZeroPeriod);
        }
        if nanos > u64::MAX as u128 {
            return Err(QuotaError::TooLong);
        }
        let nanos = nanos as u64;
        if cells > nanos {
            return Err(QuotaError::TooFast);
        }
        if cells == 0 {
            return Ok(Self::ZERO);
        }
        let divisor = greatest_common_divisor(cells, nanos);
        if cells / divisor >= 1 << 48 {
            return Err(QuotaError::TooFine);
        }
        Ok(Self { cells: cells / divisor, nanos: nanos / divisor })
    }

    /// So many a second.
    ///
    /// # Panics
    /// For more than a thousand million.
    pub const fn per_second(cells: u64) -> Self {
        Self::per_seconds(cells, 1)
    }

    /// So many a minute.
    ///
    /// # Panics
    /// For more than sixty thousand million.
    pub const fn per_minute(cells: u64) -> Self {
        Self::per_seconds(cells, 60)
    }

    /// So many an hour.
    ///
    /// # Panics
    /// For more than 3.6 million million.
    pub const fn per_hour(cells: u64) -> Self {
        Self::per_seconds(cells, 3_600)
    }

    const fn per_seconds(cells: u64, seconds: u64) -> Self {
        match Self::new(cells, Duration::from_secs(seconds)) {
            Ok(rate) => rate,
            Err(_) => panic!("more than a cell a nanosecond"),
        }
    }

    /// Whether nothing is given out.
    pub const fn is_zero(self) -> bool {
        self.cells == 0
    }

    /// Whether everything is given out at once.
    pub const fn is_unlimited(self) -> bool {
        self.nanos == 0
    }

    /// The ratio in lowest terms: cells, and nanoseconds.
    pub(crate) const fn ratio(self) -> (u64, u64) {
        (self.cells, self.nanos)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cells, Duration::from_nanos(self.nanos)) {
            (0, _) => f.write_str("nothing"),
            (_, Duration::ZERO) => f.write_str("unlimited"),
            (cells, period) => write!(f, "{cells} per {period:?}"),
        }
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A rate, and how many cells may gather while nobody takes them.
///
/// In any time `W` at most `burst + rate * W` are given out.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_limiters::{Quota, Rate};
///
/// // Ten a second, twenty at once.
/// let api = Quota::new(Rate::per_second(10), 20).unwrap();
/// // Never more than a hundred in any minute, ten of them at once.
/// let strict = Quota::strict_window(100, Duration::from_secs(60), 10).unwrap();
/// assert_eq!((api.burst(), strict.burst()), (20, 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    rate: Rate,
    burst: u64,
}

impl Quota {
    /// The largest burst.
    pub const MAX_BURST: u64 = 1 << 38;
    /// Everything is given out at once.
    pub const UNLIMITED: Self = Self { rate: Rate::UNLIMITED, burst: Self::MAX_BURST };

    /// A rate and a burst.
    ///
    /// # Errors
    /// [`QuotaError::ZeroBurst`], and [`QuotaError::TooLarge`] for one above [`MAX_BURST`](Self::MAX_BURST).
    pub const fn new(rate: Rate, burst: u64) -> Result<Self, QuotaError> {
        if burst == 0 {
            return Err(QuotaError::ZeroBurst);
        }
        if burst > Self::MAX_BURST {
            return Err(QuotaError::TooLarge);
        }
        Ok(Self { rate, burst })
    }

    /// One at a time, evenly spaced: a leaky bucket. A wake-up that comes late is not made up for; with a
    /// burst of two it is.
    pub const fn smooth(rate: Rate) -> Self {
        Self { rate, burst: 1 }
    }

    /// Never more than `limit` in any window of this length, wherever it begins; `burst` of them at once.
    ///
    /// The rate that does it is `(limit - burst)` per window, so a small burst wastes little.
    ///
    /// # Errors
    /// [`QuotaError::BurstAboveLimit`] when `burst` is not below `limit`, and those of [`Quota::new`] and
    /// [`Rate::new`].
    pub const fn strict_window(limit: u64, window: Duration, burst: u64) -> Result<Self, QuotaError> {
        if burst >= limit {
            return Err(QuotaError::BurstAboveLimit);
        }
        match Rate::new(limit - burst, window) {
            Ok(rate) => Self::new(rate, burst),
            Err(error) => Err(error),
        }
    }

    /// What [`Rate::ratio`] and [`Quota::burst`] gave.
    pub(crate) const fn from_parts(cells: u64, nanos: u64, burst: u64) -> Self {
        Self { rate: Rate { cells, nanos }, burst }
    }

    /// The rate.
    pub const fn rate(self) -> Rate {
        self.rate
    }

    /// How many may gather.
    pub const fn burst(self) -> u64 {
        self.burst
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} at once", self.rate, self.burst)
    }
}

/// Why these numbers make no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuotaError {
    /// The period is zero. For no limit at all there is [`Rate::UNLIMITED`].
    ZeroPeriod,
    /// The period is longer than 584 years.
    TooLong,
    /// More than a cell a nanosecond. For no limit at all there is [`Rate::UNLIMITED`].
    TooFast,
    /// The ratio has more than 2^48 cells in lowest terms.
    TooFine,
    /// Without a burst nothing would ever be given out. To refuse everything there is [`Rate::ZERO`].
    ZeroBurst,
    /// The burst is above [`Quota::MAX_BURST`].
    TooLarge,
    /// Warming up takes a rate that is neither zero nor unlimited, and a time.
    NoWarmUp,
    /// Nothing of the window's limit is left for the rate.
    BurstAboveLimit,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroPeriod => "the period is zero; use `Rate::UNLIMITED` for no limit",
            Self::TooLong => "the period is longer than 584 years",
            Self::TooFast => "more than a cell a nanosecond; use `Rate::UNLIMITED` for no limit",
            Self::TooFine => "more than 2^48 cells in lowest terms",
            Self::ZeroBurst => "the burst is zero; use `Rate::ZERO` to refuse everything",
            Self::TooLarge => "the burst is above `Quota::MAX_BURST`",
            Self::NoWarmUp => "warming up takes a time, and a rate that is neither zero nor unlimited",
            Self::BurstAboveLimit => "the burst leaves nothing of the window's limit for the rate",
        })
    }
}

impl Error for QuotaError {}
