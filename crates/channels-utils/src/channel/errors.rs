//! What a send or a receive came to: [`Sent`], [`SendError`], [`Closed`], [`TryRecvError`].

use std::error::Error;
use std::fmt;

/// What became of an item that a channel accepted or that its policy dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent<T> {
    /// It is in the channel.
    Queued,
    /// It is in the channel, and this one, the oldest, had to go.
    Evicted(T),
    /// It is not in the channel: this is it.
    Refused(T),
}

impl<T> Sent<T> {
    /// What the policy dropped, if it dropped anything.
    pub fn dropped(self) -> Option<T> {
        match self {
            Self::Queued => None,
            Self::Evicted(item) | Self::Refused(item) => Some(item),
        }
    }

    /// Whether the item is in the channel.
    pub fn is_queued(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Why an item was not sent; it gives the item back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<T> {
    /// There is no room now. There may be later.
    Full(T),
    /// The channel was closed, or has no receiver. It will take no item any more.
    Closed(T),
}

impl<T> SendError<T> {
    /// Gives the item back.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }

    /// Whether there was no room: try again later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the channel is closed: do not try again.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "Full(..)" } else { "Closed(..)" })
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "the channel is full" } else { "the channel is closed" })
    }
}

impl<T> Error for SendError<T> {}

/// The channel is closed, or nobody receives; it gives back what was handed in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> Closed<T> {
    /// Gives back what was handed in.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed")
    }
}

impl<T> Error for Closed<T> {}

/// Why there was no item to receive without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none now. There may be later.
    Empty,
    /// There is none, and there will be none.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the channel is empty",
            Self::Closed => "the channel is closed",
        })
    }
}

impl Error for TryRecvError {}
