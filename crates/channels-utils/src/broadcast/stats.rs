//! [`BroadcastStats`]: what a broadcast has seen.

use std::fmt;

/// A look at a broadcast at one moment. Its `Display` is a line for a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastStats {
    /// How many items the slowest receiver has still to get.
    pub len: usize,
    /// How many fit, for each receiver.
    pub capacity: usize,
    /// How many a receiver had to get at most.
    pub high_water: usize,
    /// How many were sent.
    pub sent: u64,
    /// How many receivers did not get, each for itself.
    pub missed: u64,
    /// How many receivers there are.
    pub receivers: usize,
    /// How many senders wait for room.
    pub senders_waiting: usize,
}

impl fmt::Display for BroadcastStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, capacity, high_water, sent, missed, receivers, .. } = self;
        write!(f, "{len} of {capacity}, at most {high_water}; {sent} sent to {receivers} receivers")?;
        if *missed > 0 {
            write!(f, ", {missed} missed")?;
        }
        Ok(())
    }
}
