//! [`Escalation`]: the first signal asks, the second demands, the third ends the process.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::{Signal, Signals};

/// A way out in three steps, made by [`Signals::escalate`].
///
/// 1. The first signal: [`Graceful`](EscalationStep::Graceful). Take no more work, finish what was begun.
/// 2. The second: [`Force`](EscalationStep::Force). Leave everything as it is.
/// 3. The third does what it does by default, which ends the process by that signal.
///
/// The third step needs nobody who polls: the thread that takes the signals does it, even while every thread
/// of the executor is stuck. Which of the signals come does not matter, only how many.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{EscalationStep, Signal, Signals};
///
/// # fn main() -> std::io::Result<()> {
/// let mut escalation = Signals::interrupt_and_terminate()?.escalate();
/// # Signal::Terminate.raise()?;
/// block_on(async {
///     assert_eq!(escalation.next_step().await, EscalationStep::Graceful(Signal::Terminate));
///     # Signal::Interrupt.raise().unwrap();
///     // The user presses Ctrl-C, because it takes too long.
///     assert_eq!(escalation.next_step().await, EscalationStep::Force(Signal::Interrupt));
///     // Once more, and this would be the end.
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropped, it no longer listens"]
pub struct Escalation {
    signals: Signals,
    given: u32,
}

/// What an [`Escalation`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EscalationStep {
    /// The first signal: end, when you are ready.
    Graceful(Signal),
    /// The second: end, now.
    Force(Signal),
}

impl Escalation {
    pub(super) fn new(signals: Signals) -> Self {
        signals.listener.count_from_here();
        signals.listener.dies_at(3);
        Self { signals, given: 0 }
    }

    /// The second signal ends the process already: there is nothing to force.
    pub fn without_force(self) -> Self {
        self.signals.listener.dies_at(2);
        self
    }

    /// Waits for the next step. After the last it waits for ever, or until the process ends.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, no signal was taken.
    pub fn next_step(&mut self) -> NextStep<'_> {
        NextStep { escalation: self }
    }

    /// [`next_step`](Escalation::next_step) for whoever polls by hand.
    pub fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<EscalationStep> {
        loop {
            let signal = ready!(self.signals.poll_recv(cx));
            self.given = self.given.saturating_add(1);
            match self.given {
                1 => return Poll::Ready(EscalationStep::Graceful(signal)),
                2 => return Poll::Ready(EscalationStep::Force(signal)),
                // Of these the thread takes care.
                _ => {}
            }
        }
    }
}

/// It never ends, unless with the process.
impl Stream for Escalation {
    type Item = EscalationStep;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EscalationStep>> {
        self.poll_step(cx).map(Some)
    }
}

impl EscalationStep {
    /// The signal that led to it.
    pub fn signal(self) -> Signal {
        match self {
            Self::Graceful(signal) | Self::Force(signal) => signal,
        }
    }
}

/// The future of [`Escalation::next_step`].
#[derive(Debug)]
#[must_use = "a step is waited for only when it is awaited"]
pub struct NextStep<'a> {
    escalation: &'a mut Escalation,
}

impl Future for NextStep<'_> {
    type Output = EscalationStep;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<EscalationStep> {
        self.escalation.poll_step(cx)
    }
}
