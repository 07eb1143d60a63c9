//! A channel without room, as Go's unbuffered one: a send completes only when a receive has taken the item.
//!
//! An item that is offered stays with its sender until a receiver takes it. A send that is dropped before
//! has not sent, and one that has completed was received: there is no moment at which an item is on the
//! way.
//!
//! Each item costs two wakes, one for each end. Where a sender need not know that its item was taken, a
//! [`bounded`](crate::bounded) channel is faster. (tokio and async-channel have none of this kind.)
//!
//! # Examples
//! ```
//! use weirs_channels_utils::rendezvous;
//! use weirs_runtime::block_on;
//!
//! let (sender, mut receiver) = rendezvous::channel();
//! block_on(async {
//!     let send = sender.send("by hand");
//!     let receive = async { receiver.recv().await };
//!     let (sent, received) = futures_lite::future::zip(send, receive).await;
//!     assert_eq!((sent, received), (Ok(()), Some("by hand")));
//! });
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::sync::Arc;
use crate::{Closed, TryRecvError};
use weirs_runtime::waiting::{Look, Ticket, Turn, Waiters, Wakes, let_go};
use weirs_runtime::waiting::{Serve, Served};

/// A channel without room.
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State {
        offers: Waiters::new(),
        items: Vec::new(),
        receivers_waiting: Waiters::new(),
        called: 0,
        senders: 1,
        receivers: 1,
        closed: false,
        sent: 0,
    };
    let shared = Arc::new(Served::new(state));
    (Sender(Arc::clone(&shared)), Receiver { shared, ticket: None })
}

/// The end that things are handed over at. Clones hand over in the same place.
pub struct Sender<T>(Arc<Served<State<T>>>);

/// The end that things are taken at; a [`Stream`]. Clones compete: each item goes to one of them.
///
/// A receiver that was polled as a stream and is told of an item keeps its turn until it is polled again or
/// dropped; [`recv`](Self::recv) passes it on when it is dropped.
pub struct Receiver<T> {
    shared: Arc<Served<State<T>>>,
    ticket: Option<Ticket>,
}

/// A look at a rendezvous at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RendezvousStats {
    /// How many items were handed over.
    pub sent: u64,
    /// How many senders wait with an item.
    pub senders_waiting: usize,
    /// How many receivers wait for one.
    pub receivers_waiting: usize,
}

/// The rules:
/// 1. An item is in `items`, at the place of its sender's ticket, from the offer until a receiver takes it
///    or the sender takes it back.
/// 2. A sender is called when its item was taken, and when the channel is closed: then the item is still
///    there.
/// 3. Receivers that wait are called in their order, as many as there are offers. Others take only offers for
///    which nobody was called. Whoever was called in vain, because a sender gave up, is first again.
struct State<T> {
    offers: Waiters,
    items: Vec<Option<T>>,
    receivers_waiting: Waiters,
    /// Receivers that were called and did not come yet.
    called: usize,
    senders: usize,
    receivers: usize,
    closed: bool,
    sent: u64,
}

impl<T> State<T> {
    fn place(&mut self, ticket: &Ticket) -> &mut Option<T> {
        &mut self.items[ticket.place()]
    }

    /// Takes the first offer; the sender's waker is to be woken outside the lock.
    fn take_first(&mut self, look: &mut Option<std::task::Waker>) -> Option<T> {
        let place = self.offers.first()?.place();
        let item = self.items[place].take();
        *look = self.offers.call_first();
        self.sent += 1;
        item
    }

    /// Leaves the receivers' queue.
    fn leave(&mut self, ticket: &mut Option<Ticket>) -> Option<std::task::Waker> {
        let waker = self.receivers_waiting.leave(ticket.take()?);
        if waker.is_none() {
            self.called -= 1;
        }
        waker
    }

    fn may_take(&self, ticket: Option<&Ticket>) -> bool {
        match ticket {
            Some(ticket) => self.receivers_waiting.is_called(*ticket) && !self.offers.is_empty(),
            None => self.receivers_waiting.is_empty() && self.offers.len() > self.called,
        }
    }
}

impl<T> Serve for State<T> {
    fn somebody_waits(&self) -> bool {
        !self.receivers_waiting.is_empty() || self.closed && !self.offers.is_empty()
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        while !wakes.is_full()
            && !self.receivers_waiting.is_empty()
            && (self.closed || self.called < self.offers.len())
        {
            self.called += 1;
            self.receivers_waiting.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
        while !wakes.is_full() && self.closed && !self.offers.is_empty() {
            self.offers.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
    }
}

impl<T> Sender<T> {
    /// Hands an item over.
    ///
    /// # Waiting
    /// It waits until a receiver has taken the item.
    ///
    /// # Fairness
    /// Items are taken in the order in which their sends were first polled.
    ///
    /// # Cancel safety
    /// Dropped before it completes, the item is dropped with it, unless a receiver has taken it already:
    /// [`Send::take_back`] tells.
    ///
    /// # Errors
    /// [`Closed`] with the item when the channel is closed or nobody receives any more.
    pub fn send(&self, item: T) -> Send<'_, T> {
        Send { sender: self, item: Some(item), ticket: None }
    }

    /// Nothing is handed over any more: whoever waits gets the item back.
    pub fn close(&self) {
        self.0.change(|state| state.closed = true);
    }

    /// Whether nothing can be handed over any more.
    pub fn is_closed(&self) -> bool {
        self.0.peek(|state| state.closed)
    }

    /// Whether both hand over in the same place.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A look at the channel.
    pub fn stats(&self) -> RendezvousStats {
        stats(&self.0)
    }
}

impl<T> Receiver<T> {
    /// Takes an item; `None` when the channel is closed.
    ///
    /// # Waiting
    /// It waits until a sender offers one.
    ///
    /// # Fairness
    /// Receivers get items in the order in which they came.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was taken, and the next receiver is called.
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self }
    }

    /// Takes an item if one is offered and nobody was before.
    ///
    /// # Errors
    /// [`TryRecvError`] says whether there may be one later.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.give_up();
        let mut sender = None;
        let taken = self.shared.change(|state| {
            if state.closed {
                return Err(TryRecvError::Closed);
            }
            if !state.may_take(None) {
                return Err(TryRecvError::Empty);
            }
            state.take_first(&mut sender).ok_or(TryRecvError::Empty)
        });
        sender.into_iter().for_each(weirs_runtime::waiting::wake);
        taken
    }

    /// Nothing is handed over any more: whoever waits gets the item back.
    pub fn close(&self) {
        self.shared.change(|state| state.closed = true);
    }

    /// Whether nothing can be handed over any more.
    pub fn is_closed(&self) -> bool {
        self.shared.peek(|state| state.closed)
    }

    /// A look at the channel.
    pub fn stats(&self) -> RendezvousStats {
        stats(&self.shared)
    }

    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { shared, ticket } = self;
        let mut sender = None;
        let taken = shared.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            if state.closed {
                look.drop_later(state.leave(ticket));
                return Turn::Ready(None);
            }
            if state.may_take(ticket.as_ref()) {
                look.drop_later(state.leave(ticket));
                return Turn::Ready(state.take_first(&mut sender));
            }
            let called = ticket.as_ref().is_some_and(|ticket| state.receivers_waiting.is_called(*ticket));
            if called {
                let turn = look.wait_first(&mut state.receivers_waiting, 1, ticket);
                if matches!(turn, Turn::Waits) {
                    state.called -= 1;
                }
                return turn;
            }
            look.wait(&mut state.receivers_waiting, 1, ticket)
        });
        sender.into_iter().for_each(weirs_runtime::waiting::wake);
        taken
    }

    fn give_up(&mut self) {
        if self.ticket.is_some() {
            let_go(self.shared.change(|state| state.leave(&mut self.ticket)));
        }
    }
}

fn stats<T>(shared: &Served<State<T>>) -> RendezvousStats {
    shared.peek(|state| RendezvousStats {
        sent: state.sent,
        senders_waiting: state.offers.len(),
        receivers_waiting: state.receivers_waiting.len(),
    })
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_take(cx)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.change(|state| state.senders += 1);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.senders -= 1;
            state.closed |= state.senders == 0;
        });
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.change(|state| state.receivers += 1);
        Self { shared: Arc::clone(&self.shared), ticket: None }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.give_up();
        self.shared.change(|state| {
            state.receivers -= 1;
            state.closed |= state.receivers == 0;
        });
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("stats", &self.stats()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("stats", &self.stats()).finish()
    }
}

/// Hands an item over; made by [`Sender::send`].
#[must_use = "nothing is offered before it is awaited"]
pub struct Send<'a, T> {
    sender: &'a Sender<T>,
    /// Before it is offered.
    item: Option<T>,
    /// While it is offered.
    ticket: Option<Ticket>,
}

impl<T> Send<'_, T> {
    /// Does not hand it over after all: gives the item, or `None` if a receiver has taken it.
    ///
    /// # Examples
    /// ```
    /// use weirs_channels_utils::rendezvous;
    /// use weirs_runtime::{Clock, block_on};
    /// use std::time::Duration;
    ///
    /// let (sender, _receiver) = rendezvous::channel();
    /// block_on(async {
    ///     let mut send = sender.send("nobody wants it");
    ///     Clock::default().timeout(Duration::from_millis(1), &mut send).await.unwrap_err();
    ///     assert_eq!(send.take_back(), Some("nobody wants it"));
    /// });
    /// ```
    pub fn take_back(mut self) -> Option<T> {
        self.withdraw().or_else(|| self.item.take())
    }

    fn withdraw(&mut self) -> Option<T> {
        let ticket = self.ticket.take()?;
        let (item, waker) = self.sender.0.change(|state| {
            let item = state.place(&ticket).take();
            (item, state.offers.leave(ticket))
        });
        let_go(waker);
        item
    }
}

// The item is moved, never pinned.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), Closed<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sender, item, ticket } = &mut *self;
        assert!(item.is_some() || ticket.is_some(), "polled after it was ready");
        sender.0.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            if let Some(offered) = ticket {
                if state.place(offered).is_none() {
                    look.leave(&mut state.offers, ticket);
                    return Turn::Ready(Ok(()));
                }
                if state.closed {
                    let item = state.place(offered).take();
                    look.leave(&mut state.offers, ticket);
                    return item.map_or(Turn::Waits, |item| Turn::Ready(Err(Closed(item))));
                }
                return look.wait(&mut state.offers, 1, ticket);
            }
            if state.closed {
                return item.take().map_or(Turn::Waits, |item| Turn::Ready(Err(Closed(item))));
            }
            let turn = look.wait(&mut state.offers, 1, ticket);
            if let Some(offered) = ticket {
                if state.items.len() <= offered.place() {
                    state.items.resize_with(offered.place() + 1, || None);
                }
                *state.place(offered) = item.take();
            }
            turn
        })
    }
}

impl<T> Drop for Send<'_, T> {
    fn drop(&mut self) {
        drop(self.withdraw());
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("is_offered", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

/// Takes an item; made by [`Receiver::recv`].
#[derive(Debug)]
#[must_use = "nothing is taken before it is awaited"]
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
