//! A bounded channel with levels: what is urgent goes first, and nothing starves.
//!
//! Level 0 is the most urgent. Within a level it is first in, first out. A level that was passed over as
//! often as the [aging bound](Builder::aging) says has its turn; the same holds for senders that wait for
//! shared room. To take an item costs a look at each level: levels are few.
//!
//! # Examples
//! ```
//! use std::num::NonZeroUsize;
//! use weirs_channels_utils::priority;
//! use weirs_runtime::block_on;
//!
//! const URGENT: usize = 0;
//! const LATER: usize = 1;
//!
//! let levels = NonZeroUsize::new(2).unwrap();
//! let (sender, mut receiver) = priority::channel(levels, NonZeroUsize::new(8).unwrap());
//! block_on(async {
//!     sender.send(LATER, "tidy up").await.unwrap();
//!     sender.send(LATER, "count").await.unwrap();
//!     sender.send(URGENT, "put out the fire").await.unwrap();
//!     assert_eq!(receiver.recv().await, Some("put out the fire"));
//!     assert_eq!(receiver.recv().await, Some("tidy up"));
//! });
//! ```

mod receiver;
mod sender;
mod state;

use std::fmt;
use std::num::NonZeroUsize;

pub use receiver::{Receiver, Recv};
pub use sender::{Send, Sender};

use crate::sync::Arc;
use state::State;
use weirs_runtime::waiting::Served;

/// How often a level is passed over if nothing else is said.
const AGING: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// A channel with so many levels that share the capacity.
#[must_use]
pub fn channel<T>(levels: NonZeroUsize, capacity: NonZeroUsize) -> (Sender<T>, Receiver<T>) {
    builder(levels, capacity).build()
}

/// A channel with levels of which more is to be said.
pub fn builder(levels: NonZeroUsize, capacity: NonZeroUsize) -> Builder {
    Builder { levels, capacity, per_level: false, aging: Some(AGING) }
}

/// Makes a channel with levels; from [`builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing before it builds"]
pub struct Builder {
    levels: NonZeroUsize,
    capacity: NonZeroUsize,
    per_level: bool,
    aging: Option<NonZeroUsize>,
}

impl Builder {
    /// Each level has the capacity for itself; else they share it.
    pub fn per_level(mut self) -> Self {
        self.per_level = true;
        self
    }

    /// How many more urgent items may be taken while one waits at the front of a less urgent level; 64 if
    /// nothing else is said. With `k` levels that are all overdue, each gets its turn within `k` takes.
    pub fn aging(mut self, most: NonZeroUsize) -> Self {
        self.aging = Some(most);
        self
    }

    /// The most urgent first, always: the others may starve.
    pub fn strict(mut self) -> Self {
        self.aging = None;
        self
    }

    /// The two ends.
    #[must_use]
    pub fn build<T>(self) -> (Sender<T>, Receiver<T>) {
        let Self { levels, capacity, per_level, aging } = self;
        let state = State::new(levels.get(), capacity.get(), per_level, aging.map(NonZeroUsize::get));
        let shared = Arc::new(Served::new(state));
        (Sender::new(Arc::clone(&shared), levels.get()), Receiver::new(shared))
    }
}

/// A look at a channel with levels at one moment. Its `Display` is a line for a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PriorityStats {
    /// How many items are in each level.
    pub levels: Vec<usize>,
    /// How many fit: in each level, or in all together.
    pub capacity: usize,
    /// How many there were at most, in all levels together.
    pub high_water: usize,
    /// How many were accepted.
    pub sent: u64,
    /// How many were received.
    pub received: u64,
    /// How many were received before more urgent ones, because they had waited long enough.
    pub aged: u64,
    /// How many senders wait for room.
    pub senders_waiting: usize,
    /// How many receivers wait for an item.
    pub receivers_waiting: usize,
}

impl fmt::Display for PriorityStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { levels, capacity, high_water, sent, received, .. } = self;
        write!(f, "{levels:?} of {capacity}, at most {high_water}; {sent} sent, {received} received")
    }
}
