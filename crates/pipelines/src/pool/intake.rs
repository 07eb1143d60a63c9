//! [`Intake`]: where jobs are handed in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use weirs_runtime::waiting::Ticket;
use weirs_runtime::{Clock, Instant, block_on};

use super::JobId;
use super::call::Call;
use super::entry::Offer;
use super::state::Shared;
use super::submit_many::SubmitMany;

/// A handle to hand in jobs by. When the last one is dropped, no more jobs come; the pool itself is one,
/// until [`into_results`](crate::WorkerPool::into_results) lets go of it.
pub struct Intake<J: Send + 'static, T: Send + 'static, E: Send + 'static>(Arc<Shared<J, T, E>>);

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Intake<J, T, E> {
    /// The first one, which the state counts already.
    pub(super) fn new(shared: Arc<Shared<J, T, E>>) -> Self {
        Self(shared)
    }

    pub(super) fn shared(&self) -> &Arc<Shared<J, T, E>> {
        &self.0
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Hands in a job; see [`WorkerPool::submit`](crate::WorkerPool::submit).
    pub fn submit(&self, job: J) -> Submit<'_, J, T, E> {
        Submit::new(&self.0, self.0.offer(job))
    }

    /// Hands in a job if there is room at once; see
    /// [`WorkerPool::try_submit`](crate::WorkerPool::try_submit).
    ///
    /// # Errors
    /// The job comes back, with the reason.
    pub fn try_submit(&self, job: J) -> Result<JobId, SubmitError<J>> {
        self.0.try_submit(self.0.offer(job)).map_err(|(job, closed)| match closed {
            true => SubmitError::Closed(job),
            false => SubmitError::Full(job),
        })
    }

    /// Hands in a job, and blocks the thread meanwhile; see
    /// [`WorkerPool::submit_blocking`](crate::WorkerPool::submit_blocking).
    ///
    /// # Errors
    /// The job comes back when the pool is closed.
    pub fn submit_blocking(&self, job: J) -> Result<JobId, SubmitError<J>> {
        block_on(self.submit(job))
    }

    /// Hands in many jobs; see [`WorkerPool::submit_many`](crate::WorkerPool::submit_many).
    pub fn submit_many<I: IntoIterator<Item = J>>(&self, jobs: I) -> SubmitMany<'_, J, T, E, I::IntoIter> {
        SubmitMany::new(&self.0, jobs.into_iter())
    }

    /// Hands in a job and waits for its result; see [`WorkerPool::call`](crate::WorkerPool::call).
    pub fn call(&self, job: J) -> Call<'_, J, T, E> {
        Call::new(&self.0, job)
    }

    /// Whether no more jobs are taken.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Clone for Intake<J, T, E> {
    fn clone(&self) -> Self {
        self.0.add_intake();
        Self(Arc::clone(&self.0))
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Drop for Intake<J, T, E> {
    fn drop(&mut self) {
        self.0.drop_intake();
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for Intake<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// The future of [`WorkerPool::submit`](crate::WorkerPool::submit).
#[must_use = "nothing is submitted unless it is awaited"]
pub struct Submit<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    shared: &'p Shared<J, T, E>,
    /// Gone when it is ready.
    offer: Option<Offer<J, T, E>>,
    ticket: Option<Ticket>,
}

impl<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> Submit<'p, J, T, E> {
    pub(super) fn new(shared: &'p Shared<J, T, E>, offer: Offer<J, T, E>) -> Self {
        Self { shared, offer: Some(offer), ticket: None }
    }

    /// The same job, which is not begun any more when this has passed: it ends as
    /// [`Expired`](crate::JobError::Expired).
    ///
    /// # Panics
    /// With debug assertions, when the instant is of another clock than the pool's.
    #[track_caller]
    pub fn by(mut self, deadline: Instant) -> Self {
        // Here, and not in a worker.
        let _ = deadline <= self.shared.clock.now();
        if let Some(offer) = &mut self.offer {
            offer.deadline = deadline;
        }
        self
    }
}

// The job is never pinned.
impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Unpin for Submit<'_, J, T, E> {}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Future for Submit<'_, J, T, E> {
    type Output = Result<JobId, SubmitError<J>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(this.offer.is_some(), "it is not polled after its end");
        let offer = || this.offer.take().expect("it is there until it is submitted");
        let polled = this.shared.poll_submit(offer, &mut this.ticket, cx);
        polled.map(|result| match (result, this.offer.take()) {
            (Err(()), Some(offer)) => Err(SubmitError::Closed(offer.job)),
            (Ok(id), _) => Ok(id),
            (Err(()), None) => unreachable!("a job that is refused stays"),
        })
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Drop for Submit<'_, J, T, E> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.cancel_submit(ticket);
        }
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for Submit<'_, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submit").field("waits", &self.ticket.is_some()).finish_non_exhaustive()
    }
}

/// Why a job was not taken; here it is again.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitError<J> {
    /// There is no room now.
    Full(J),
    /// No more jobs are taken.
    Closed(J),
}

impl<J> SubmitError<J> {
    /// The job.
    pub fn into_inner(self) -> J {
        match self {
            Self::Full(job) | Self::Closed(job) => job,
        }
    }

    /// Whether it is worth another try.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }
}

impl<J> fmt::Debug for SubmitError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "Full(..)" } else { "Closed(..)" })
    }
}

impl<J> fmt::Display for SubmitError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_full() { "the pool is full" } else { "the pool takes no more jobs" })
    }
}

impl<J> std::error::Error for SubmitError<J> {}
