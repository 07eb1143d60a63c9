//! [`BreakerCall`]: one call through a breaker alone.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::Breaker;
use super::machine::{Ticket, Word};
use super::permit::Held;
use crate::{Classify, Error, Place, Rejection};

pin_project! {
    /// The future of [`Breaker::call`] and [`Guard::call`](super::Guard::call).
    #[must_use = "a call does nothing unless it is awaited"]
    pub struct BreakerCall<'b, Fut, C> {
        // Before the place, so that it is dropped before that is given back.
        #[pin]
        work: Option<Fut>,
        run: Run<'b>,
        judge: &'b C,
    }
}

impl<'b, Fut, C> BreakerCall<'b, Fut, C> {
    #[inline]
    pub(super) fn new(breaker: &'b Breaker, judge: &'b C, work: Fut) -> Self {
        Self { work: Some(work), run: Run { breaker, state: RunState::default() }, judge }
    }
}

impl<T, E, Fut, C> Future for BreakerCall<'_, Fut, C>
where
    Fut: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, Error<E>>;

    // Always: a result that comes back from a function is written in parts and read as a whole, which stalls.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Run { breaker, state } = this.run;
        if state.is_out() {
            match breaker.admit(false, None) {
                Ok(held) => state.enter(held),
                Err(refused) => {
                    this.work.set(None);
                    let after = refused.after.map(Duration::from_nanos);
                    let rejection = Rejection::new(refused.reason, Place::ALONE).retry_after_of(after);
                    return Poll::Ready(Err(Error::Rejected(rejection)));
                }
            }
        }
        let work = this.work.as_mut().as_pin_mut().expect("it is not polled after its end");
        state.runs_work = true;
        let polled = work.poll(cx);
        let Poll::Ready(result) = polled else {
            state.runs_work = false;
            state.waits(breaker);
            return Poll::Pending;
        };
        this.work.set(None);
        let result = result.map_err(Error::Inner);
        let class = this.judge.classify(&result);
        state.runs_work = false;
        if let Some(held) = state.take() {
            breaker.finish(held, class, None);
        }
        Poll::Ready(result)
    }
}

/// A call that goes on.
struct Run<'b> {
    breaker: &'b Breaker,
    state: RunState,
}

/// What is remembered of a call that goes on. Plain numbers, for it is moved with each call.
#[derive(Debug)]
pub(super) struct RunState {
    /// The ticket's key, and its slot in the lowest bits; [`NONE`] without a ticket.
    ticket: u64,
    began: u64,
    /// The work is being polled, or judged: whoever finds this set later knows that it panicked.
    pub(super) runs_work: bool,
}

/// No circuit has this number.
const NONE: u64 = u64::MAX;

impl Default for RunState {
    #[inline]
    fn default() -> Self {
        Self { ticket: NONE, began: Held::UNKNOWN, runs_work: false }
    }
}

impl RunState {
    #[inline]
    pub(super) fn is_out(&self) -> bool {
        self.ticket == NONE
    }

    #[inline]
    pub(super) fn enter(&mut self, held: Held) {
        self.ticket = held.ticket.key.0 | u64::from(held.ticket.slot);
        self.began = held.began;
    }

    #[inline]
    pub(super) fn take(&mut self) -> Option<Held> {
        let taken = std::mem::replace(&mut self.ticket, NONE);
        let ticket = Ticket { key: Word(taken).key(), slot: taken as u8 };
        (taken != NONE).then_some(Held { ticket, began: self.began })
    }

    /// It has to wait: from now on counts how long it takes, if nothing counted before.
    #[inline]
    pub(super) fn waits(&mut self, breaker: &Breaker) {
        let shape = breaker.gate.shape();
        if self.began == Held::UNKNOWN && shape.is_by_age() {
            self.began = breaker.now_of_calls(shape);
        }
    }
}

impl Drop for Run<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(held) = self.state.take() {
            self.breaker.abandon(held, self.state.runs_work, None);
        }
    }
}

impl<Fut, C> fmt::Debug for BreakerCall<'_, Fut, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerCall").field("state", &self.run.state).finish_non_exhaustive()
    }
}
