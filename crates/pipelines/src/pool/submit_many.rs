//! [`SubmitMany`]: many jobs at once, as many under one lock as there is room for.

use std::fmt;
use std::future::Future;
use std::iter::Chain;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use weirs_runtime::waiting::Ticket;

use super::entry::Jobs;
use super::state::Shared;

/// So many are taken from the iterator at a time, which runs outside the lock.
const PORTION: usize = 64;

/// So many portions in one poll, then others have their turn.
const MOST_PORTIONS: usize = 16;

/// The future of [`WorkerPool::submit_many`](crate::WorkerPool::submit_many).
#[must_use = "nothing is submitted unless it is awaited"]
pub struct SubmitMany<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static, I> {
    shared: &'p Shared<J, T, E>,
    pulled: Jobs<J>,
    /// None at its end.
    jobs: Option<I>,
    submitted: u64,
    ticket: Option<Ticket>,
}

impl<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static, I: Iterator<Item = J>>
    SubmitMany<'p, J, T, E, I>
{
    pub(super) fn new(shared: &'p Shared<J, T, E>, jobs: I) -> Self {
        Self { shared, pulled: Jobs::default(), jobs: Some(jobs), submitted: 0, ticket: None }
    }

    /// How many were taken so far.
    pub fn submitted(&self) -> u64 {
        self.submitted
    }

    /// Gives up, and gives back what was not taken.
    pub fn into_rest(mut self) -> Rest<J, I> {
        self.rest()
    }

    fn rest(&mut self) -> Rest<J, I> {
        let pulled: Vec<J> = self.pulled.jobs.drain(..).collect();
        Rest(pulled.into_iter().chain(self.jobs.take().into_iter().flatten()))
    }

    fn refill(&mut self) {
        while self.pulled.len() < PORTION {
            let Some(job) = self.jobs.as_mut().and_then(Iterator::next) else {
                self.jobs = None;
                return;
            };
            self.shared.offer_one_of(&mut self.pulled, job);
        }
    }
}

// Neither the jobs nor their iterator are ever pinned.
impl<J: Send + 'static, T: Send + 'static, E: Send + 'static, I> Unpin for SubmitMany<'_, J, T, E, I> {}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static, I: Iterator<Item = J>> Future
    for SubmitMany<'_, J, T, E, I>
{
    type Output = Result<u64, SubmitManyError<J, I>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        for _ in 0..MOST_PORTIONS {
            if this.pulled.len() == 0 {
                this.refill();
            }
            if this.pulled.len() == 0 {
                return Poll::Ready(Ok(this.submitted));
            }
            match ready!(this.shared.poll_submit_some(&mut this.pulled, &mut this.ticket, cx)) {
                Ok(number) => this.submitted += number as u64,
                Err(()) => {
                    let (submitted, rest) = (this.submitted, this.rest());
                    return Poll::Ready(Err(SubmitManyError { submitted, rest }));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static, I> Drop for SubmitMany<'_, J, T, E, I> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.cancel_submit(ticket);
        }
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static, I> fmt::Debug for SubmitMany<'_, J, T, E, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitMany").field("submitted", &self.submitted).finish_non_exhaustive()
    }
}

/// The jobs of a [`SubmitMany`] that were not taken, in their order.
#[must_use = "these jobs were not taken"]
pub struct Rest<J, I: Iterator<Item = J>>(
    Chain<std::vec::IntoIter<J>, std::iter::Flatten<std::option::IntoIter<I>>>,
);

impl<J, I: Iterator<Item = J>> Iterator for Rest<J, I> {
    type Item = J;

    fn next(&mut self) -> Option<J> {
        self.0.next()
    }
}

impl<J, I: Iterator<Item = J>> fmt::Debug for Rest<J, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rest(..)")
    }
}

/// The pool was closed before all jobs were taken.
pub struct SubmitManyError<J, I: Iterator<Item = J>> {
    /// How many were taken.
    pub submitted: u64,
    /// Those that were not.
    pub rest: Rest<J, I>,
}

impl<J, I: Iterator<Item = J>> fmt::Debug for SubmitManyError<J, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitManyError").field("submitted", &self.submitted).finish_non_exhaustive()
    }
}

impl<J, I: Iterator<Item = J>> fmt::Display for SubmitManyError<J, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pool takes no more jobs; it took {}", self.submitted)
    }
}

impl<J, I: Iterator<Item = J>> std::error::Error for SubmitManyError<J, I> {}
