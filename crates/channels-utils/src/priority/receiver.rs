//! [`Receiver`]: the end of a channel with levels that things are taken from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::PriorityStats;
use super::state::State;
use crate::TryRecvError;
use crate::sync::Arc;
use weirs_runtime::waiting::Served;
use weirs_runtime::waiting::{Look, Ticket, Turn, let_go};

/// The end of a channel with levels that things are taken from; a [`Stream`]. Clones compete: each item
/// goes to one of them.
///
/// When the last is dropped, what is in the channel is dropped at once. A receiver that was polled as a
/// stream and is told of an item keeps it from others who wait, until it is polled again or dropped.
pub struct Receiver<T> {
    shared: Arc<Served<State<T>>>,
    ticket: Option<Ticket>,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Served<State<T>>>) -> Self {
        Self { shared, ticket: None }
    }

    /// Receives the most urgent item, or one that has waited long enough; `None` when the channel is
    /// closed and empty.
    ///
    /// # Waiting
    /// It waits while the channel is empty and may still get items.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was received, and another receiver is called in its place.
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self }
    }

    /// Receives an item if there is one.
    ///
    /// # Errors
    /// [`TryRecvError`] says whether there may be one later.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.change(|state| match state.pop() {
            Some(item) => Ok(item),
            None if state.closed => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        })
    }

    /// Takes no more items into the channel; those that are in it can still be received.
    pub fn close(&self) {
        self.shared.change(|state| state.closed = true);
    }

    /// Whether nothing can be sent any more; there may be items left.
    pub fn is_closed(&self) -> bool {
        self.shared.peek(|state| state.closed)
    }

    /// How many items are in it.
    pub fn len(&self) -> usize {
        self.shared.peek(State::len)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A look at the channel.
    pub fn stats(&self) -> PriorityStats {
        self.shared.peek(State::stats)
    }

    fn poll_take(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        let Self { shared, ticket } = self;
        shared.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            if state.len() == 0 && !state.closed {
                let called = ticket.as_ref().is_some_and(|ticket| state.items.is_called(*ticket));
                if called {
                    // Another one was faster.
                    look.drop_later(state.leave_items(ticket));
                }
                return look.wait(&mut state.items, 1, ticket);
            }
            look.drop_later(state.leave_items(ticket));
            Turn::Ready(state.pop())
        })
    }

    fn give_up(&mut self) {
        if self.ticket.is_some() {
            let_go(self.shared.change(|state| state.leave_items(&mut self.ticket)));
        }
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_take(cx)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.change(|state| state.receivers += 1);
        Self::new(Arc::clone(&self.shared))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.give_up();
        let left_over = self.shared.change(|state| {
            state.receivers -= 1;
            if state.receivers > 0 {
                return Vec::new();
            }
            state.closed = true;
            state.take_all()
        });
        drop(left_over);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("stats", &self.stats()).finish()
    }
}

/// Receives an item; made by [`Receiver::recv`].
#[derive(Debug)]
#[must_use = "nothing is received before it is awaited"]
pub struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.receiver.poll_take(cx)
    }
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.receiver.give_up();
    }
}
