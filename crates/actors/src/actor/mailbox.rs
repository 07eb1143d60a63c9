//! [`Mailbox`]: the settings of an actor's queue.

/// How many messages wait for an actor, and what happens when there is no room.
///
/// # Examples
/// ```
/// use weirs_actors::actor::{Mailbox, Overflow};
///
/// const SAMPLES: Mailbox = Mailbox::bounded(1000).overflow(Overflow::DropOldest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "settings do nothing by themselves"]
pub struct Mailbox {
    capacity: usize,
    pub(super) overflow: Overflow,
}

/// What happens when there is no room for another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Whoever tells waits.
    Wait,
    /// The oldest that waits is dropped; the new one, if all are in the actor's hands already.
    DropOldest,
    /// The new one is dropped.
    DropNewest,
}

impl Mailbox {
    /// So many messages wait at most; those in the actor's hands count. Urgent ones have a lane of their own
    /// of that length.
    pub const fn bounded(capacity: usize) -> Self {
        Self { capacity, overflow: Overflow::Wait }
    }

    /// What happens when there is no room. [`Overflow::Wait`], unless said otherwise.
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::bounded(64)
    }
}
