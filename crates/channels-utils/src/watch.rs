//! The latest value of something, and a version of it: writers replace, readers see the newest.
//!
//! A reader that is slow misses what came between, never the last. The value is behind an [`Arc`]: to
//! read it takes no lock for longer than to count, so nothing is held across an await, and no reader
//! stops a writer.
//!
//! Beside tokio's `watch`: a send is stored even if nobody listens; a read gives an `Arc` in place of a
//! guard that can deadlock; [`update`](Sender::update) keeps the old value if its function panics.
//! tokio's does not allocate when a value is replaced: for large values that change in place often, take
//! that one.
//!
//! # Examples
//! ```
//! use weirs_channels_utils::watch;
//! use weirs_runtime::block_on;
//!
//! let (sender, mut receiver) = watch::channel("starting");
//! sender.send("running");
//! sender.send("stopping");
//! block_on(async {
//!     assert_eq!(*receiver.changed().await.unwrap(), "stopping");
//!     drop(sender);
//!     assert!(receiver.changed().await.is_err());
//! });
//! assert_eq!(*receiver.latest(), "stopping");
//! ```

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc as Value;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::Closed;
use crate::sync::Arc;
use weirs_runtime::waiting::{Look, Ticket, Turn, Waiters, Wakes, let_go};
use weirs_runtime::waiting::{Serve, Served};

/// A value to watch.
#[must_use]
pub fn channel<T>(first: T) -> (Sender<T>, Receiver<T>) {
    let state = State {
        value: Value::new(first),
        version: 0,
        senders: 1,
        receivers: 1,
        waiting: Waiters::new(),
        end: Waiters::new(),
    };
    let shared = Arc::new(Served::new(state));
    (Sender(Arc::clone(&shared)), Receiver { shared, seen: 0, ticket: None })
}

/// The end that replaces the value. Clones replace the same one.
pub struct Sender<T>(Arc<Served<State<T>>>);

/// The end that sees the value; a [`Stream`] of the values that are newer than what it has seen.
///
/// A new one has seen the value that there is; [`mark_unseen`](Self::mark_unseen) makes the stream begin
/// with it. A clone has seen as much as the one that it is made of.
pub struct Receiver<T> {
    shared: Arc<Served<State<T>>>,
    seen: u64,
    ticket: Option<Ticket>,
}

struct State<T> {
    value: Value<T>,
    version: u64,
    senders: usize,
    receivers: usize,
    /// Each waits for another version than the one that is its amount.
    waiting: Waiters,
    /// Those who wait until there is no receiver.
    end: Waiters,
}

impl<T> State<T> {
    fn is_news(&self) -> bool {
        self.waiting.first_item().is_some_and(|seen| seen != self.version as usize || self.senders == 0)
    }

    fn replace(&mut self, value: Value<T>) -> Value<T> {
        self.version += 1;
        mem::replace(&mut self.value, value)
    }
}

impl<T> Serve for State<T> {
    fn somebody_waits(&self) -> bool {
        !self.waiting.is_empty() || !self.end.is_empty()
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        while !wakes.is_full() && self.is_news() {
            self.waiting.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
        while !wakes.is_full() && self.receivers == 0 && !self.end.is_empty() {
            self.end.call_first().into_iter().for_each(|waker| wakes.add(waker));
        }
    }
}

impl<T> Sender<T> {
    /// Replaces the value, whether or not anybody watches; gives the one before.
    pub fn send(&self, value: T) -> Value<T> {
        let value = Value::new(value);
        self.0.change(|state| state.replace(value))
    }

    /// Makes a new value of the present one; gives the new one.
    ///
    /// No lock is held meanwhile. If another sender was faster, `new` is called again with what that one
    /// sent.
    ///
    /// # Panics
    /// In whatever way `new` does: the value stays as it was.
    ///
    /// # Examples
    /// ```
    /// let (sender, receiver) = weirs_channels_utils::watch::channel(20);
    /// sender.update(|old| old + 1);
    /// assert_eq!(*receiver.latest(), 21);
    /// ```
    pub fn update(&self, mut new: impl FnMut(&T) -> T) -> Value<T> {
        match self.try_update(|old| Some(new(old))) {
            Some(value) => value,
            None => unreachable!("there is always a new one"),
        }
    }

    /// Makes a new value of the present one, or none: then nothing changes and nobody is woken.
    ///
    /// # Panics
    /// In whatever way `new` does: the value stays as it was.
    pub fn try_update(&self, mut new: impl FnMut(&T) -> Option<T>) -> Option<Value<T>> {
        loop {
            let (old, version) = self.0.peek(|state| (Value::clone(&state.value), state.version));
            let value = Value::new(new(&old)?);
            let mut replaced = Some(Value::clone(&value));
            let before = self.0.change(|state| {
                if state.version != version {
                    return None;
                }
                replaced.take().map(|value| state.replace(value))
            });
            if before.is_some() {
                return Some(value);
            }
        }
    }

    /// The value that there is.
    pub fn latest(&self) -> Value<T> {
        self.0.peek(|state| Value::clone(&state.value))
    }

    /// How often the value was replaced.
    pub fn version(&self) -> u64 {
        self.0.peek(|state| state.version)
    }

    /// Another receiver, which has seen the value that there is.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.change(|state| {
            state.receivers += 1;
            state.version
        });
        Receiver { shared: Arc::clone(&self.0), seen, ticket: None }
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.0.peek(|state| state.receivers)
    }

    /// Waits until nobody watches. There may be receivers again later.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing happened.
    pub fn closed(&self) -> WaitClosed<'_, T> {
        WaitClosed { sender: self, ticket: None }
    }
}

impl<T> Receiver<T> {
    /// The value that there is. What was seen stays as it is.
    pub fn latest(&self) -> Value<T> {
        self.shared.peek(|state| Value::clone(&state.value))
    }

    /// Waits for a value that is newer than what was seen; gives the newest.
    ///
    /// # Waiting
    /// It waits until a sender replaces the value.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was seen.
    ///
    /// # Errors
    /// [`Closed`] when all senders are gone and the last value was seen.
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed { receiver: self }
    }

    /// Waits until the value is as `wanted` says, beginning with the one that there is.
    ///
    /// # Cancel safety
    /// Dropped before it completes, what `wanted` did not want was seen.
    ///
    /// # Panics
    /// In whatever way `wanted` does; no lock is held meanwhile.
    ///
    /// # Errors
    /// [`Closed`] when all senders are gone and the last value is another one.
    ///
    /// # Examples
    /// ```
    /// let (sender, mut receiver) = weirs_channels_utils::watch::channel(0);
    /// sender.send(7);
    /// let big = weirs_runtime::block_on(receiver.wait_for(|value| *value > 5));
    /// assert_eq!(*big.unwrap(), 7);
    /// ```
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<Value<T>, Closed<()>> {
        self.mark_unseen();
        loop {
            let value = self.changed().await?;
            if wanted(&value) {
                return Ok(value);
            }
        }
    }

    /// Whether there is a value that was not seen.
    pub fn has_changed(&self) -> bool {
        self.shared.peek(|state| state.version != self.seen)
    }

    /// Takes the value that there is for a new one.
    pub fn mark_unseen(&mut self) {
        self.give_up();
        self.seen = u64::MAX;
    }

    /// The version that was seen last; none after [`mark_unseen`](Self::mark_unseen).
    pub fn seen(&self) -> Option<u64> {
        (self.seen != u64::MAX).then_some(self.seen)
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.shared.peek(|state| state.senders == 0)
    }

    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Value<T>>> {
        let Self { shared, seen, ticket } = self;
        shared.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            if state.version != *seen {
                *seen = state.version;
                look.leave(&mut state.waiting, ticket);
                return Turn::Ready(Some(Value::clone(&state.value)));
            }
            if state.senders == 0 {
                look.leave(&mut state.waiting, ticket);
                return Turn::Ready(None);
            }
            look.wait(&mut state.waiting, *seen as usize, ticket)
        })
    }

    fn give_up(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let_go(self.shared.change(|state| state.waiting.leave(ticket)));
        }
    }
}

impl<T> Stream for Receiver<T> {
    type Item = Value<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Value<T>>> {
        self.poll_changed(cx)
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
        self.0.change(|state| state.senders -= 1);
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.change(|state| state.receivers += 1);
        Self { shared: Arc::clone(&self.shared), seen: self.seen, ticket: None }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.give_up();
        self.shared.change(|state| state.receivers -= 1);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Sender");
        debug.field("version", &self.version()).field("receivers", &self.receivers()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("seen", &self.seen()).finish_non_exhaustive()
    }
}

/// Waits for a newer value; made by [`Receiver::changed`].
#[derive(Debug)]
#[must_use = "it waits when it is awaited"]
pub struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<Value<T>, Closed<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_changed(cx).map(|value| value.ok_or(Closed(())))
    }
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        self.receiver.give_up();
    }
}

/// Waits until nobody watches; made by [`Sender::closed`].
#[derive(Debug)]
#[must_use = "it waits when it is awaited"]
pub struct WaitClosed<'a, T> {
    sender: &'a Sender<T>,
    ticket: Option<Ticket>,
}

impl<T> Future for WaitClosed<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { sender, ticket } = &mut *self;
        sender.0.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            let called = ticket.as_ref().is_some_and(|ticket| state.end.is_called(*ticket));
            if called || state.receivers == 0 {
                look.leave(&mut state.end, ticket);
                return Turn::Ready(());
            }
            look.wait(&mut state.end, 1, ticket)
        })
    }
}

impl<T> Drop for WaitClosed<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let_go(self.sender.0.change(|state| state.end.leave(ticket)));
        }
    }
}
