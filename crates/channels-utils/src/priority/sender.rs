//! [`Sender`]: the end of a channel with levels that things are put into.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::PriorityStats;
use super::state::State;
use crate::sync::Arc;
use crate::{Closed, SendError};
use weirs_runtime::waiting::Served;
use weirs_runtime::waiting::{Look, Ticket, Turn, let_go};

/// The end of a channel with levels that things are put into. Clones send into the same channel.
pub struct Sender<T> {
    shared: Arc<Served<State<T>>>,
    levels: usize,
}

impl<T> Sender<T> {
    pub(super) fn new(shared: Arc<Served<State<T>>>, levels: usize) -> Self {
        Self { shared, levels }
    }

    /// Sends an item at a level; 0 is the most urgent.
    ///
    /// # Waiting
    /// It waits while there is no room.
    ///
    /// # Fairness
    /// Room that comes free goes to the most urgent who wait, in their order, and to others when they were
    /// passed over often enough.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was sent: the item is dropped with the future.
    ///
    /// # Panics
    /// When there is no such level.
    ///
    /// # Errors
    /// [`Closed`] with the item when the channel is closed or nobody receives.
    pub fn send(&self, level: usize, item: T) -> Send<'_, T> {
        self.check(level);
        Send { sender: self, level, item: Some(item), ticket: None }
    }

    /// Sends an item at a level if that needs no waiting.
    ///
    /// # Panics
    /// When there is no such level.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`], with the item.
    pub fn try_send(&self, level: usize, item: T) -> Result<(), SendError<T>> {
        self.check(level);
        self.shared.change(|state| {
            if state.closed {
                return Err(SendError::Closed(item));
            }
            if !state.has_room(level) {
                return Err(SendError::Full(item));
            }
            state.push(level, item);
            Ok(())
        })
    }

    fn check(&self, level: usize) {
        let levels = self.levels;
        assert!(level < levels, "there is no level {level} among {levels}");
    }

    /// How many levels there are.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// Takes no more items; receivers get those that are in it, and then the end.
    pub fn close(&self) {
        self.shared.change(|state| state.closed = true);
    }

    /// Whether nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.shared.peek(|state| state.closed)
    }

    /// A look at the channel.
    pub fn stats(&self) -> PriorityStats {
        self.shared.peek(State::stats)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.change(|state| state.senders += 1);
        Self { shared: Arc::clone(&self.shared), levels: self.levels }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.senders -= 1;
            state.closed |= state.senders == 0;
        });
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stats", &self.stats()).finish()
    }
}

/// Sends an item at a level; made by [`Sender::send`].
#[derive(Debug)]
#[must_use = "nothing is sent before it is awaited"]
pub struct Send<'a, T> {
    sender: &'a Sender<T>,
    level: usize,
    item: Option<T>,
    ticket: Option<Ticket>,
}

// The item is moved, never pinned.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), Closed<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sender, level, item, ticket } = &mut *self;
        assert!(item.is_some(), "polled after it was ready");
        let level = *level;
        let sent = sender.shared.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            if state.closed {
                look.drop_later(state.leave_room(level, ticket));
                return Turn::Ready(false);
            }
            if state.may_send(level, ticket.as_ref()) {
                look.drop_later(state.leave_room(level, ticket));
                item.take().into_iter().for_each(|item| state.push(level, item));
                return Turn::Ready(true);
            }
            let comes = ticket.is_none();
            let turn = look.wait(state.room(level), 1, ticket);
            if comes && ticket.is_some() {
                state.joined();
            }
            turn
        });
        match (sent, item.take()) {
            (Poll::Ready(_), None) => Poll::Ready(Ok(())),
            (Poll::Ready(_), Some(item)) => Poll::Ready(Err(Closed(item))),
            (Poll::Pending, back) => {
                *item = back;
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Send<'_, T> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            let_go(self.sender.shared.change(|state| state.leave_room(self.level, &mut self.ticket)));
        }
    }
}
