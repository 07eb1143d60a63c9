//! One value from one to another, and the [`request`] that has its reply with it.
//!
//! As tokio's and futures', with these differences: a value that was sent is dropped at once when the
//! receiver goes, and wakers are woken and dropped outside of locks. One pair is one allocation. tokio's
//! is lock-free: where millions of replies a second matter and tokio is there anyway, take that one.
//!
//! # Examples
//! ```
//! use weirs_channels_utils::oneshot;
//! use weirs_runtime::block_on;
//!
//! let (sender, receiver) = oneshot::channel();
//! sender.send(42).unwrap();
//! assert_eq!(block_on(receiver), Ok(42));
//! ```

mod request;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub use request::{Call, CallError, Request, Response, request};

use crate::Closed;
use crate::sync::Arc;
use weirs_runtime::waiting::{Look, Turn, Wakes, let_go};
use weirs_runtime::waiting::{Serve, Served};

/// A place for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { value: None, sender: true, receiver: true, receives: None, waits_closed: None };
    let shared = Arc::new(Served::new(state));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// The end that the value is put into. Dropped, the receiver gets [`Canceled`].
pub struct Sender<T>(Arc<Served<State<T>>>);

/// The end that the value comes from: a future of it.
///
/// # Cancel safety
/// Dropped, a value that was sent is dropped with it. Awaited by `&mut`, nothing is lost. Polled again
/// after the value, it gives [`Canceled`].
#[must_use = "it waits when it is awaited"]
pub struct Receiver<T>(Arc<Served<State<T>>>);

struct State<T> {
    value: Option<T>,
    /// Whether the sender may still send.
    sender: bool,
    /// Whether the receiver may still receive.
    receiver: bool,
    receives: Option<Waker>,
    waits_closed: Option<Waker>,
}

impl<T> Serve for State<T> {
    fn somebody_waits(&self) -> bool {
        self.receives.is_some() && (!self.sender || !self.receiver)
            || self.waits_closed.is_some() && !self.receiver
    }

    fn serve(&mut self, wakes: &mut Wakes) {
        let closed = if self.receiver { None } else { self.waits_closed.take() };
        let receives = if self.sender && self.receiver { None } else { self.receives.take() };
        closed.into_iter().chain(receives).for_each(|waker| wakes.add(waker));
    }
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    /// [`Closed`] with the value when the receiver is gone or closed.
    pub fn send(self, value: T) -> Result<(), Closed<T>> {
        self.0.change(|state| {
            if !state.receiver {
                return Err(Closed(value));
            }
            state.value = Some(value);
            state.sender = false;
            Ok(())
        })
    }

    /// Whether nobody waits for the value any more.
    pub fn is_closed(&self) -> bool {
        self.0.peek(|state| !state.receiver)
    }

    /// Waits until nobody waits for the value any more: time to stop working on it.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing happened.
    ///
    /// # Examples
    /// ```
    /// use weirs_channels_utils::oneshot;
    ///
    /// let (mut sender, receiver) = oneshot::channel::<u8>();
    /// drop(receiver);
    /// weirs_runtime::block_on(sender.closed());
    /// ```
    pub fn closed(&mut self) -> WaitClosed<'_, T> {
        WaitClosed(self)
    }
}

impl<T> Receiver<T> {
    /// Receives the value if it is there.
    ///
    /// # Errors
    /// `Ok(None)` says that it may come later, [`Canceled`] that it will not.
    pub fn try_recv(&mut self) -> Result<Option<T>, Canceled> {
        self.0.change(|state| match state.value.take() {
            Some(value) => {
                state.receiver = false;
                Ok(Some(value))
            }
            None if state.sender && state.receiver => Ok(None),
            None => Err(Canceled(())),
        })
    }

    /// Takes no value any more: the sender keeps it. One that was sent before can still be received.
    pub fn close(&mut self) {
        self.0.change(|state| state.receiver = false);
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Canceled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            if let Some(value) = state.value.take() {
                state.receiver = false;
                look.drop_later(state.receives.take());
                return Turn::Ready(Ok(value));
            }
            if !state.sender || !state.receiver {
                look.drop_later(state.receives.take());
                return Turn::Ready(Err(Canceled(())));
            }
            look.wait_alone(&mut state.receives)
        })
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = self.0.change(|state| {
            state.sender = false;
            state.waits_closed.take()
        });
        let_go(waker);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let (value, waker) = self.0.change(|state| {
            state.receiver = false;
            (state.value.take(), state.receives.take())
        });
        let_go(waker);
        drop(value);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_sent = self.0.peek(|state| state.value.is_some());
        f.debug_struct("Receiver").field("is_sent", &is_sent).finish()
    }
}

/// The sender is gone and has sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canceled(());

impl Canceled {
    fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Canceled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender is gone and has sent nothing")
    }
}

impl Error for Canceled {}

/// Waits until nobody waits for the value; made by [`Sender::closed`].
#[derive(Debug)]
#[must_use = "it waits when it is awaited"]
pub struct WaitClosed<'a, T>(&'a mut Sender<T>);

impl<T> Future for WaitClosed<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.0.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            if state.receiver {
                return look.wait_alone(&mut state.waits_closed);
            }
            look.drop_later(state.waits_closed.take());
            Turn::Ready(())
        })
    }
}

impl<T> Drop for WaitClosed<'_, T> {
    fn drop(&mut self) {
        let_go(self.0.0.change(|state| state.waits_closed.take()));
    }
}
