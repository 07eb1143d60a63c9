//! [`Call`]: a job whose result goes to whoever handed it in.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use weirs_channels_utils::oneshot;
use weirs_runtime::{Instant, PanicPayload};

use super::completion::JobError;
use super::intake::{Submit, SubmitError};
use super::state::Shared;

/// The future of [`WorkerPool::call`](crate::WorkerPool::call).
#[must_use = "nothing is submitted unless it is awaited"]
pub struct Call<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    /// Gone when the job was taken.
    submit: Option<Submit<'p, J, T, E>>,
    answer: oneshot::Receiver<Result<T, CallError<J, E>>>,
}

impl<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> Call<'p, J, T, E> {
    pub(super) fn new(shared: &'p Shared<J, T, E>, job: J) -> Self {
        let mut offer = shared.offer(job);
        let (reply, answer) = oneshot::channel();
        offer.reply = Some(reply);
        Self { submit: Some(Submit::new(shared, offer)), answer }
    }

    /// The same, but the job is not begun any more when this has passed: it ends as [`CallError::Expired`].
    ///
    /// # Panics
    /// With debug assertions, when the instant is of another clock than the pool's.
    #[track_caller]
    pub fn by(mut self, deadline: Instant) -> Self {
        self.submit = self.submit.map(|submit| submit.by(deadline));
        self
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Future for Call<'_, J, T, E> {
    type Output = Result<T, CallError<J, E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(submit) = &mut this.submit {
            let submitted = ready!(Pin::new(submit).poll(cx));
            this.submit = None;
            if let Err(SubmitError::Closed(job) | SubmitError::Full(job)) = submitted {
                return Poll::Ready(Err(CallError::Closed(job)));
            }
        }
        let answer = ready!(Pin::new(&mut this.answer).poll(cx));
        Poll::Ready(answer.unwrap_or(Err(CallError::Interrupted)))
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for Call<'_, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("taken", &self.submit.is_none()).finish_non_exhaustive()
    }
}

/// Why a call has no result.
#[non_exhaustive]
pub enum CallError<J, E> {
    /// The pool takes no more jobs, or was shut down before a worker began this one; here it is.
    Closed(J),
    /// It failed, with this.
    Failed(E),
    /// It panicked.
    Panicked(PanicPayload),
    /// Its deadline passed before a worker was free; here it is, not begun.
    Expired(J),
    /// It was cancelled in the middle, when the pool was shut down.
    Interrupted,
}

impl<J, E> CallError<J, E> {
    /// The job, if it was not begun.
    pub fn into_job(self) -> Option<J> {
        match self {
            Self::Closed(job) | Self::Expired(job) => Some(job),
            _ => None,
        }
    }
}

impl<J, E> From<JobError<J, E>> for CallError<J, E> {
    fn from(error: JobError<J, E>) -> Self {
        match error {
            JobError::Failed(error) => Self::Failed(error),
            JobError::Panicked(payload) => Self::Panicked(payload),
            JobError::Expired(job) => Self::Expired(job),
            JobError::Interrupted => Self::Interrupted,
        }
    }
}

impl<J, E: fmt::Debug> fmt::Debug for CallError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::Panicked(payload) => f.debug_tuple("Panicked").field(payload).finish(),
            Self::Expired(_) => f.write_str("Expired"),
            Self::Interrupted => f.write_str("Interrupted"),
        }
    }
}

impl<J, E: fmt::Display> fmt::Display for CallError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the pool takes no more jobs"),
            Self::Failed(error) => error.fmt(f),
            Self::Panicked(payload) => write!(f, "the job panicked: {}", payload.message()),
            Self::Expired(_) => f.write_str("the job's deadline passed before it began"),
            Self::Interrupted => f.write_str("the job was cancelled in the middle"),
        }
    }
}

impl<J, E: Error + 'static> Error for CallError<J, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}
