//! [`ResilientIntake`], [`ResilientSubmit`]: where jobs are handed in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use weirs_runtime::Instant;

use super::answer::Answer;
use super::case::Item;
use crate::{Intake, JobId, Submit, SubmitError};

pub(super) type PoolIntake<J, T, E> = Intake<Item<J>, Answer<J, T, E>, std::convert::Infallible>;
type PoolSubmit<'p, J, T, E> = Submit<'p, Item<J>, Answer<J, T, E>, std::convert::Infallible>;

/// A handle to hand in jobs by; it does not keep the pipeline alive.
pub struct ResilientIntake<J: Send + 'static, T: Send + 'static, E: Send + 'static>(
    pub(super) PoolIntake<J, T, E>,
);

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> ResilientIntake<J, T, E> {
    /// Hands in a job; see [`ResilientPipeline::submit`](crate::ResilientPipeline::submit).
    pub fn submit(&self, job: J) -> ResilientSubmit<'_, J, T, E> {
        ResilientSubmit::new(&self.0, job, 0)
    }

    /// Hands in a job if there is room at once.
    ///
    /// # Errors
    /// The job comes back, with the reason.
    pub fn try_submit(&self, job: J) -> Result<JobId, SubmitError<J>> {
        self.0.try_submit(Item { job, deadline: Instant::FAR_FUTURE, redrives: 0 }).map_err(unwrap)
    }

    /// Whether no more jobs are taken.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Clone for ResilientIntake<J, T, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for ResilientIntake<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientIntake").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// The future of [`ResilientPipeline::submit`](crate::ResilientPipeline::submit).
#[must_use = "nothing is submitted unless it is awaited"]
pub struct ResilientSubmit<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    intake: &'p PoolIntake<J, T, E>,
    item: Option<Item<J>>,
    submit: Option<PoolSubmit<'p, J, T, E>>,
}

impl<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> ResilientSubmit<'p, J, T, E> {
    pub(super) fn new(intake: &'p PoolIntake<J, T, E>, job: J, redrives: u32) -> Self {
        Self { intake, item: Some(Item { job, deadline: Instant::FAR_FUTURE, redrives }), submit: None }
    }

    /// The same job, with a deadline for all of it: the wait in the queue, for the circuit and for the
    /// limiter, and the calls. If it is over before the first call, the job ends as
    /// [`Expired`](crate::Reason::Expired).
    ///
    /// # Panics
    /// When it was polled before; and with debug assertions, when the instant is of another clock than the
    /// pipeline's.
    #[track_caller]
    pub fn by(mut self, deadline: Instant) -> Self {
        self.set_deadline(deadline);
        self
    }

    #[track_caller]
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        // Here, and not in a worker.
        let _ = deadline <= self.intake.clock().now();
        let Some(item) = &mut self.item else { panic!("a deadline is set before the first poll") };
        item.deadline = deadline;
    }
}

// The job is never pinned.
impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Unpin for ResilientSubmit<'_, J, T, E> {}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Future for ResilientSubmit<'_, J, T, E> {
    type Output = Result<JobId, SubmitError<J>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(item) = this.item.take() {
            this.submit = Some(this.intake.submit(item));
        }
        let Some(submit) = &mut this.submit else { panic!("it is not polled after its end") };
        let submitted = ready!(Pin::new(submit).poll(cx));
        this.submit = None;
        Poll::Ready(submitted.map_err(unwrap))
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for ResilientSubmit<'_, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientSubmit").field("begun", &self.submit.is_some()).finish_non_exhaustive()
    }
}

fn unwrap<J>(error: SubmitError<Item<J>>) -> SubmitError<J> {
    match error.is_full() {
        true => SubmitError::Full(error.into_inner().job),
        false => SubmitError::Closed(error.into_inner().job),
    }
}
