//! [`Permits`]: room in a channel that is kept for whoever holds them.

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Closed, SendError, Sender};
use weirs_runtime::waiting::Ticket;

/// Room for some items in a channel; made by [`Sender::reserve`]. Dropped, what was not used is free again.
#[must_use = "dropped, the room is free again"]
pub struct Permits<'a, T> {
    sender: &'a Sender<T>,
    amount: usize,
}

impl<'a, T> Permits<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, amount: usize) -> Self {
        Self { sender, amount }
    }

    /// Sends an item into the room that is kept for it, without waiting.
    ///
    /// # Panics
    /// When as many were sent as were reserved.
    ///
    /// # Errors
    /// [`Closed`] with the item when the channel was closed meanwhile.
    pub fn send(&mut self, item: T) -> Result<(), Closed<T>> {
        assert!(self.amount > 0, "all the reserved room is used");
        self.amount -= 1;
        self.sender.0.send_reserved(item).map_err(Closed)
    }

    /// For how many items there is room left.
    pub fn left(&self) -> usize {
        self.amount
    }
}

impl<T> Drop for Permits<'_, T> {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.sender.0.give_back(self.amount);
        }
    }
}

impl<T> fmt::Debug for Permits<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("left", &self.amount).finish_non_exhaustive()
    }
}

/// Waits for room; made by [`Sender::reserve`].
#[derive(Debug)]
#[must_use = "nothing is reserved before it is awaited"]
pub struct Reserve<'a, T> {
    sender: &'a Sender<T>,
    amount: usize,
    ticket: Option<Ticket>,
}

impl<'a, T> Reserve<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, amount: NonZeroUsize) -> Self {
        Self { sender, amount: amount.get(), ticket: None }
    }
}

impl<'a, T> Future for Reserve<'a, T> {
    type Output = Result<Permits<'a, T>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.ticket.is_none() && this.amount > this.sender.0.capacity {
            return Poll::Ready(Err(SendError::Full(())));
        }
        let reserved = this.sender.0.poll_reserve(this.amount, &mut this.ticket, cx);
        reserved.map(|reserved| match reserved {
            Some(()) => Ok(Permits::new(this.sender, this.amount)),
            None => Err(SendError::Closed(())),
        })
    }
}

impl<T> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.sender.0.leave_room(self.amount, ticket);
        }
    }
}
