//! Every item to every receiver, and nothing lost unless somebody chose to.
//!
//! Each receiver has a queue of its own, and all of them get the items in the one order in which the
//! sends were committed. The capacity is that of each queue: the slowest receiver with room is how far
//! the senders get. What a slow receiver means is said by [`Slow`]: it holds the senders back, or it
//! loses items and hears how many, or it is let go.
//!
//! An item is cloned by the sender, outside of all locks, once for each receiver but one. Large items go
//! into an [`std::sync::Arc`]. Sending [several at once](Sender::send_all) to receivers that take
//! [several at once](Receiver::batches) is by far the fastest way.
//!
//! It is never closed for good while a sender lives: without receivers, items are dropped, or the senders
//! [wait](Builder::wait_for_receivers).
//!
//! Where losing items is the normal case and thousands of receivers listen, tokio's `broadcast` keeps one
//! copy for all of them. async-broadcast keeps one copy too, with the receivers' clones made under its
//! lock: where items are sent and received one by one it is about twice as fast. Where they go in batches at
//! both ends, which it cannot, this one is four to ten times as fast.
//!
//! # Examples
//! ```
//! use std::num::NonZeroUsize;
//! use weirs_channels_utils::broadcast;
//! use weirs_runtime::block_on;
//!
//! let (sender, mut one) = broadcast::channel(NonZeroUsize::new(8).unwrap());
//! let mut two = sender.subscribe();
//! block_on(async {
//!     assert_eq!(sender.send("to all").await, Ok(2));
//!     assert_eq!(one.recv().await, Some(Ok("to all")));
//!     assert_eq!(two.recv().await, Some(Ok("to all")));
//!
//!     drop(sender);
//!     assert_eq!(one.recv().await, None);
//! });
//! ```

mod receiver;
mod ring;
mod sender;
mod state;
mod stats;

use std::num::NonZeroUsize;

pub use receiver::{Batches, Receiver, Recv, RecvMany};
pub use sender::{Send, SendAll, Sender};
pub use stats::BroadcastStats;

pub use crate::slow::{Missed, Slow};

use crate::sync::Arc;
use state::Shared;

/// A lossless broadcast with its first receiver.
#[must_use]
pub fn channel<T>(capacity: NonZeroUsize) -> (Sender<T>, Receiver<T>) {
    builder(capacity).build()
}

/// A broadcast of which more is to be said.
pub fn builder(capacity: NonZeroUsize) -> Builder {
    Builder { capacity, slow: Slow::Wait, replay: 0, waits_for_receivers: false }
}

/// Makes a broadcast; from [`builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing before it builds"]
pub struct Builder {
    capacity: NonZeroUsize,
    slow: Slow,
    replay: usize,
    waits_for_receivers: bool,
}

impl Builder {
    /// What happens when a receiver's queue is full; [`Slow::Wait`] if nothing else is said.
    /// [`Sender::subscribe_with`] says it for one receiver.
    pub fn slow(mut self, slow: Slow) -> Self {
        self.slow = slow;
        self
    }

    /// Keeps the last items for receivers that come later, which get up to so many of them first.
    pub fn replay(mut self, items: usize) -> Self {
        self.replay = items;
        self
    }

    /// Senders wait while there is no receiver; else what they send is dropped, and they get `Ok(0)`.
    pub fn wait_for_receivers(mut self) -> Self {
        self.waits_for_receivers = true;
        self
    }

    /// The sender and a first receiver. Drop that one for a broadcast without.
    #[must_use]
    pub fn build<T>(self) -> (Sender<T>, Receiver<T>) {
        let shared = Arc::new(Shared::new(self));
        let sender = Sender::new(Arc::clone(&shared));
        let receiver = sender.subscribe();
        (sender, receiver)
    }
}
