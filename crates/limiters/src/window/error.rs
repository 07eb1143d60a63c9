//! [`WindowError`]: why numbers make no window.

use std::error::Error;
use std::fmt;

/// Why these numbers make no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WindowError {
    /// Nothing would ever be admitted.
    ZeroLimit,
    /// The limit is above [`Quota::MAX_BURST`](crate::Quota::MAX_BURST).
    TooLarge,
    /// The window has no length.
    ZeroWindow,
    /// The window is longer than 292 years.
    TooLong,
    /// More than one a nanosecond.
    TooFast,
    /// No segments, or more than 65,536, or shorter ones than a nanosecond.
    Segments,
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroLimit => "the limit is zero, so nothing would ever be admitted",
            Self::TooLarge => "the limit is above `Quota::MAX_BURST`",
            Self::ZeroWindow => "the window has no length",
            Self::TooLong => "the window is longer than 292 years",
            Self::TooFast => "more than one a nanosecond",
            Self::Segments => "a window has 1 to 65536 segments of a nanosecond or more",
        })
    }
}

impl Error for WindowError {}
