//! [`Slow`] and [`Missed`]: what becomes of one who is slower than the others, and what it hears of it.

use std::error::Error;
use std::fmt;

/// What becomes of one of several who get the same items, when it is slower than the others: a receiver of a
/// [broadcast](crate::broadcast), or a consumer of a [`TeeHub`](crate::TeeHub).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slow {
    /// The others wait for it, and so does who sends.
    #[default]
    Wait,
    /// It loses its oldest items, and hears how many: for whoever wants what is new.
    DropOldest,
    /// It does not get the new items, and hears how many, in their place: for whoever looks at samples.
    DropNewest,
    /// It is let go when an item comes for which it has no room. It still gets what it has, then hears of it,
    /// and then the end.
    Disconnect,
}

/// What one who was slow hears in place of items that it did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// So many items are missing here.
    Lagged(u64),
    /// It was let go: nothing comes after this.
    Disconnected,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(items) => write!(f, "too slow: {items} items are missing"),
            Self::Disconnected => f.write_str("too slow: let go"),
        }
    }
}

impl Error for Missed {}
