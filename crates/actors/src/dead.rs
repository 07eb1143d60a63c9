//! [`DeadReason`]: why a message was not delivered.

use std::fmt;

/// Why a message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadReason {
    /// It was being handled when the actor crashed.
    Crashed,
    /// The actor ended for good, and it was still in the queue.
    Ended,
    /// The queue was full, and its rule is to drop.
    Overflow,
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crashed => "the actor crashed over it",
            Self::Ended => "the actor ended",
            Self::Overflow => "the queue was full",
        })
    }
}
