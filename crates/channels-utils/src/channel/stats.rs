//! [`ChannelStats`]: what a channel has seen.

use std::fmt;

/// A look at a channel at one moment. Its `Display` is a line for a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStats {
    /// How many items are in it.
    pub len: usize,
    /// How many fit.
    pub capacity: usize,
    /// How many there were at most.
    pub high_water: usize,
    /// How many were accepted.
    pub sent: u64,
    /// How many were received.
    pub received: u64,
    /// How many the policy dropped, evicted ones and refused ones.
    pub dropped: u64,
    /// How many senders wait for room.
    pub senders_waiting: usize,
    /// How many receivers wait for an item.
    pub receivers_waiting: usize,
}

impl fmt::Display for ChannelStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, capacity, high_water, sent, received, dropped, .. } = self;
        write!(f, "{len} of {capacity}, at most {high_water}; {sent} sent, {received} received")?;
        if *dropped > 0 {
            write!(f, ", {dropped} dropped")?;
        }
        Ok(())
    }
}
