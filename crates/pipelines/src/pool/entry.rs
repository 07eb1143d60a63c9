//! [`Entry`]: a job on its way through the pool, from the [`Offer`] to what is carried [`Out`].

use std::collections::VecDeque;

use weirs_channels_utils::oneshot;
use weirs_runtime::Instant;

use super::call::CallError;
use super::completion::{Completion, JobId};
use super::queue::Queue;
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

impl<J, T, E> Slip<J, T, E> {
    /// Of a job of which nothing is known but its number, its place, and when it came.
    #[inline]
    pub(super) fn plain(id: JobId, order: u64, since: Instant) -> Self {
        Self { id, order, key: 0, deadline: Instant::FAR_FUTURE, since, reply: None }
    }

    /// Whether it is one of those.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.key == 0 && self.deadline == Instant::FAR_FUTURE && self.reply.is_none()
    }
}

/// A job that waits.
pub(super) struct Entry<J, T, E> {
    pub(super) slip: Slip<J, T, E>,
    pub(super) job: J,
}

/// What a worker has taken and not begun.
pub(super) struct Hand<J, T, E> {
    pub(super) jobs: Queue<J, T, E>,
    /// Whether the state counts it among the hands: from when jobs are taken until it comes for others.
    pub(super) is_counted: bool,
}

impl<J, T, E> Default for Hand<J, T, E> {
    fn default() -> Self {
        Self { jobs: Queue::default(), is_counted: false }
    }
}

/// A job that is handed in.
pub(super) struct Offer<J, T, E> {
    pub(super) job: J,
    pub(super) key: u64,
    pub(super) deadline: Instant,
    pub(super) reply: Option<Reply<J, T, E>>,
}

impl<J, T, E> Offer<J, T, E> {
    /// Of a job and nothing else.
    pub(super) fn of(job: J) -> Self {
        Self { job, key: 0, deadline: Instant::FAR_FUTURE, reply: None }
    }
}

/// Jobs that are handed in together; in a pool with keys each with its own.
pub(super) struct Jobs<J> {
    pub(super) jobs: VecDeque<J>,
    pub(super) keys: VecDeque<u64>,
}

impl<J> Jobs<J> {
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), keys: VecDeque::new() }
    }
}

/// What is carried out of the lock.
pub(super) struct Out<J, T, E> {
    pub(super) answers: Vec<Answer<J, T, E>>,
    pub(super) discarded: VecDeque<Completion<J, T, E>>,
    pub(super) dropped: Vec<J>,
}

pub(super) type Answer<J, T, E> = (Reply<J, T, E>, Result<T, CallError<J, E>>);

impl<J, T, E> Default for Out<J, T, E> {
    fn default() -> Self {
        Self { answers: Vec::new(), discarded: VecDeque::new(), dropped: Vec::new() }
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
