//! [`Entry`]: a job on its way through the pool, from the [`Offer`] to what is carried [`Out`].

use weirs_channels_utils::oneshot;
use weirs_runtime::Instant;

use super::call::CallError;
use super::completion::{Completion, JobError, JobId};
use crate::panics;

/// Where the result of a call goes.
pub(super) type Reply<J, T, E> = oneshot::Sender<Result<T, CallError<J, E>>>;

/// What is known of a job besides the job.
pub(super) struct Slip<J, T, E> {
    pub(super) id: JobId,
    /// Its place among those whose results are read.
    pub(super) order: u64,
    pub(super) key: u64,
    /// [`Instant::FAR_FUTURE`] without one.
    pub(super) deadline: Instant,
    /// When it was taken, if that is measured.
    pub(super) since: Instant,
    pub(super) reply: Option<Reply<J, T, E>>,
}

/// A job that waits.
pub(super) struct Entry<J, T, E> {
    pub(super) slip: Slip<J, T, E>,
    pub(super) job: J,
}

/// A job that is handed in.
pub(super) struct Offer<J, T, E> {
    pub(super) job: J,
    pub(super) key: u64,
    pub(super) deadline: Instant,
    pub(super) reply: Option<Reply<J, T, E>>,
}

/// A job that has ended.
pub(super) struct Finished<J, T, E> {
    pub(super) slip: Slip<J, T, E>,
    pub(super) result: Result<T, JobError<J, E>>,
    pub(super) attempts: u32,
    /// How long it waited and how long it took, in nanoseconds, if that is measured.
    pub(super) times: (u64, u64),
}

/// What is carried out of the lock.
pub(super) struct Out<J, T, E> {
    pub(super) answers: Vec<Answer<J, T, E>>,
    pub(super) discarded: Vec<Completion<J, T, E>>,
    pub(super) dropped: Vec<J>,
}

pub(super) type Answer<J, T, E> = (Reply<J, T, E>, Result<T, CallError<J, E>>);

impl<J, T, E> Default for Out<J, T, E> {
    fn default() -> Self {
        Self { answers: Vec::new(), discarded: Vec::new(), dropped: Vec::new() }
    }
}

impl<J, T, E> Out<J, T, E> {
    /// Answers, and drops, outside the lock.
    pub(super) fn clear(&mut self) {
        for (reply, answer) in self.answers.drain(..) {
            if let Err(unheard) = reply.send(answer) {
                panics::let_go(unheard);
            }
        }
        self.discarded.drain(..).for_each(panics::let_go);
        self.dropped.drain(..).for_each(panics::let_go);
    }
}
