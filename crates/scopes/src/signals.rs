//! [`Signals`]: the signals of the operating system, as a stream.

mod escalation;
mod hub;
mod signal;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use self::hub::Listener;
pub use escalation::{Escalation, EscalationStep, NextStep};
pub use signal::Signal;

/// Listens for signals of the operating system, under any executor.
///
/// While one of these lives, its signals do not do what they do by default: Ctrl-C does not end the process,
/// it comes out here. Each `Signals` sees every signal that it listens for, however many others there are.
/// Once the last that listens for a signal is dropped, the signal does by default what it did before, so
/// that a second Ctrl-C always works. What had come and was not taken is gone with it. To leave even while
/// the program is stuck, see [`Signals::escalate`].
///
/// Signals that come faster than they are taken are counted, not queued: none of those that the system
/// delivered is lost, and the order of different signals is kept as far as it can be told. The system itself
/// may merge two of a kind that come in the same instant.
///
/// The feature `signals` adds this on Unix. Elsewhere there is nothing of the name.
///
/// # How it is done
/// The first `Signals` starts a thread named `weirs-signals`, which lives as long as the process: a handler
/// may not wake a waker, a thread may. It sits on `signal-hook`, as tokio's and smol's signals do, and so
/// gets on with theirs. With one thing to know: what happens when nobody *here* listens any more is the
/// default, also if somebody else listens there. A signal that nobody ever listened for here is left alone.
///
/// A process that was started with a signal ignored, as `nohup` does with the hangup, ignores it no longer
/// once it was listened for.
///
/// Signals come from outside, so no simulator can replay them; test what they lead to with a channel in
/// their place.
///
/// # Cancel safety
/// A signal that was not given out stays: dropping the future of [`recv`](Signals::recv) loses nothing.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Signal, Signals};
///
/// # fn main() -> std::io::Result<()> {
/// let mut signals = Signals::new([Signal::Hangup, Signal::User1])?;
/// Signal::Hangup.raise()?; // `kill -HUP`
/// block_on(async {
///     match signals.recv().await {
///         Signal::Hangup => { /* read the settings again */ }
///         other => panic!("{other}"),
///     }
/// });
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, it no longer listens"]
pub struct Signals {
    listener: Arc<Listener>,
}

impl Signals {
    /// Listens for these signals from now on; for none of them, it waits for ever.
    ///
    /// # Errors
    /// When the thread cannot be started or the handler not be installed.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Self> {
        Ok(Self { listener: hub::listen(signals.into_iter().collect())? })
    }

    /// Listens for what ends a program: Ctrl-C, and the polite request of `kill`, a service manager or a
    /// container runtime.
    ///
    /// # Errors
    /// As [`new`](Signals::new).
    pub fn interrupt_and_terminate() -> io::Result<Self> {
        Self::new([Signal::Interrupt, Signal::Terminate])
    }

    /// Waits for the next signal.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, no signal was taken.
    pub fn recv(&mut self) -> Recv<'_> {
        Recv { signals: self }
    }

    /// The next signal, if one has come.
    pub fn try_recv(&mut self) -> Option<Signal> {
        self.listener.take()
    }

    /// [`recv`](Signals::recv) for whoever polls by hand.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        self.listener.poll_take(cx)
    }

    /// Makes of these signals a way out that cannot be blocked: the first asks, the second demands, and the
    /// third ends the process. See [`Escalation`].
    ///
    /// The count begins with the signals that have come and were not taken.
    pub fn escalate(self) -> Escalation {
        Escalation::new(self)
    }
}

/// It never ends.
impl Stream for Signals {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        self.poll_recv(cx).map(Some)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        hub::leave(&self.listener);
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signals").field(&self.listener.signals()).finish()
    }
}

/// The future of [`Signals::recv`].
#[derive(Debug)]
#[must_use = "a signal is waited for only when it is awaited"]
pub struct Recv<'a> {
    signals: &'a mut Signals,
}

impl Future for Recv<'_> {
    type Output = Signal;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Signal> {
        self.signals.poll_recv(cx)
    }
}
