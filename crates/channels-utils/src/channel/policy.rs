//! [`Overflow`]: what a channel does with an item for which it has no room.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

/// What a channel does with an item for which it has no room.
///
/// All but [`Block`](Self::Block) never wait. What they drop is counted in the channel's
/// [statistics](super::ChannelStats), shown to [`on_drop`](super::ChannelBuilder::on_drop), and given
/// back to whoever sends.
///
/// | policy | when full | for |
/// |---|---|---|
/// | `Block` | the sender waits | work that must all be done |
/// | `DropOldest` | the oldest goes | logs, recent history (a ring buffer) |
/// | `DropNewest` | the new one goes | first come, first served |
/// | `Latest` | always replaces what is there | a state of which only the last counts |
/// | `Sample(n)` | takes one of n, full or not | statistics of a flood |
/// | `SampleEvery(d)` | takes one a period, full or not | a display |
/// | `Error` | the sender gets an error | a caller who can answer "busy" |
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{Overflow, channel};
///
/// let third = Overflow::Sample(NonZeroUsize::new(3).unwrap());
/// let (sender, mut receiver) = channel(NonZeroUsize::new(8).unwrap()).overflow(third).build();
/// for number in 0..9 {
///     sender.try_send(number).unwrap();
/// }
/// assert_eq!(receiver.remaining().collect::<Vec<_>>(), [0, 3, 6]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The sender waits for room.
    #[default]
    Block,
    /// The oldest item makes room, and goes back to the sender.
    DropOldest,
    /// The new item goes back to the sender.
    DropNewest,
    /// There is one place, whatever the capacity, and the newest item has it.
    Latest,
    /// One of so many items is taken, the first of them; the others go back to the sender. When the channel
    /// is full, so does the one.
    Sample(NonZeroUsize),
    /// The first item of each period is taken; the others go back to the sender. When the channel is
    /// full, so does the first. A period of zero takes all.
    SampleEvery(Duration),
    /// The sender gets the item back with [`SendError::Full`](super::SendError::Full).
    Error,
}

/// A policy at work.
pub(super) enum Admission {
    Block,
    DropOldest,
    DropNewest,
    Error,
    Sample { every: NonZeroU64, seen: u64 },
    SampleEvery { period: Duration, clock: Clock, next: Option<Instant> },
}

impl Admission {
    pub(super) fn new(overflow: Overflow, clock: Clock) -> Self {
        match overflow {
            Overflow::Block => Self::Block,
            Overflow::DropOldest | Overflow::Latest => Self::DropOldest,
            Overflow::DropNewest => Self::DropNewest,
            Overflow::Error => Self::Error,
            Overflow::Sample(every) => {
                let every = NonZeroU64::try_from(every).unwrap_or(NonZeroU64::MAX);
                Self::Sample { every, seen: 0 }
            }
            Overflow::SampleEvery(period) => Self::SampleEvery { period, clock, next: None },
        }
    }

    /// Whether the item is among those that are sampled. `now` is asked only when it matters.
    pub(super) fn samples(&mut self, now: Option<Instant>) -> bool {
        match self {
            Self::Sample { every, seen } => {
                let first = *seen == 0;
                *seen = (*seen + 1) % *every;
                first
            }
            Self::SampleEvery { period, next, .. } => {
                let Some(now) = now else { return true };
                if next.is_some_and(|next| now < next) {
                    return false;
                }
                *next = Some(now + *period);
                true
            }
            _ => true,
        }
    }

    pub(super) fn clock(&self) -> Option<Clock> {
        match self {
            Self::SampleEvery { clock, .. } => Some(clock.clone()),
            _ => None,
        }
    }
}
