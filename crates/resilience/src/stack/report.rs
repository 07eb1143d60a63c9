//! [`Report`]: a result, and what it took.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use weirs_runtime::Instant;

use super::leaf::Start;
use super::{Call, Stack};
use crate::{Attempt, Error, GiveUp, Policy};

/// What came of a call, and what it took; made by [`Stack::call_reported`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report<T, E> {
    /// What the call gave.
    pub result: Result<T, Error<E>>,
    /// How often the work was begun.
    pub attempts: u32,
    /// How many of these ran beside others.
    pub hedges: u16,
    /// How long it took from the first poll.
    pub elapsed: Duration,
    /// The last pause before an attempt.
    pub last_delay: Duration,
    /// Why a retry did not go on, if one did not.
    pub gave_up: Option<GiveUp>,
}

pin_project! {
    /// The future of [`Stack::call_reported`].
    #[must_use = "a call does nothing unless it is awaited"]
    pub struct CallReported<'p, P, S, W, Fut, T, E>
    where
        P: Policy<T, E, State = S>,
        W: Start<Fut>,
        Fut: Future<Output = Result<T, E>>,
    {
        #[pin]
        call: Call<'p, P, S, W, Fut, T, E>,
        began: Option<Instant>,
    }
}

impl<'p, P, S, W, Fut, T, E> CallReported<'p, P, S, W, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    W: Start<Fut>,
    Fut: Future<Output = Result<T, E>>,
{
    pub(crate) fn new(stack: &'p Stack<P>, work: W) -> Self {
        Self { call: Call::new(stack, work, None), began: None }
    }

    /// The same as a part of another attempt; see [`Call::under`].
    pub fn under(mut self, outer: Attempt) -> Self {
        self.call = self.call.under(outer);
        self
    }

    /// The same with a deadline of its own; see [`Call::by`].
    pub fn by(mut self, deadline: Instant) -> Self {
        self.call = self.call.by(deadline);
        self
    }
}

impl<P, S, W, Fut, T, E> Future for CallReported<'_, P, S, W, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    W: Start<Fut>,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Report<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let clock = this.call.clock();
        let began = *this.began.get_or_insert_with(|| clock.now());
        let result = ready!(this.call.as_mut().poll(cx));
        let tally = this.call.tally();
        Poll::Ready(Report {
            result,
            attempts: tally.attempts,
            hedges: tally.hedges,
            elapsed: clock.now().saturating_since(began),
            last_delay: Duration::from_nanos(tally.last_delay),
            gave_up: tally.gave_up,
        })
    }
}

impl<P, S, W, Fut, T, E> fmt::Debug for CallReported<'_, P, S, W, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    W: Start<Fut>,
    Fut: Future<Output = Result<T, E>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallReported").field("call", &self.call).finish_non_exhaustive()
    }
}
