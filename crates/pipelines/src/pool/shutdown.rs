//! [`Close`], [`Shutdown`]: how a pool ends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use weirs_runtime::Task;
use weirs_runtime::waiting::Ticket;

use super::WorkerPool;
use super::completion::{Completion, JobError, JobId};
use super::state::Shared;
use crate::panics::let_go;

/// How the jobs of a pool ended. Together they are as many as were taken, as soon as the pool has settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// How many jobs were taken.
    pub taken: u64,
    /// With a result.
    pub done: u64,
    /// With an error.
    pub failed: u64,
    /// In a panic.
    pub panicked: u64,
    /// Not begun in time.
    pub expired: u64,
    /// Cancelled in the middle; or before, when the caller of a [`call`](crate::WorkerPool::call) was gone.
    pub interrupted: u64,
    /// Not begun when the pool stopped: given back by [`shutdown`](crate::WorkerPool::shutdown) or to the
    /// caller of a [`call`](crate::WorkerPool::call), or dropped with the pool.
    pub handed_back: u64,
    /// Of the ends above, how many results were there when nobody was to read them.
    pub discarded: u64,
}

impl Settled {
    pub(super) fn count<J, T, E>(&mut self, result: &Result<T, JobError<J, E>>) {
        let counter = match result {
            Ok(_) => &mut self.done,
            Err(JobError::Failed(_)) => &mut self.failed,
            Err(JobError::Panicked(_)) => &mut self.panicked,
            Err(JobError::Expired(_)) => &mut self.expired,
            Err(JobError::Interrupted) => &mut self.interrupted,
        };
        *counter += 1;
    }

    /// Counts those of others.
    pub(super) fn add(&mut self, others: &Self) {
        let Self { taken, done, failed, panicked, expired, interrupted, handed_back, discarded } = others;
        self.taken += taken;
        self.done += done;
        self.failed += failed;
        self.panicked += panicked;
        self.expired += expired;
        self.interrupted += interrupted;
        self.handed_back += handed_back;
        self.discarded += discarded;
    }

    /// How many jobs have ended, one way or another.
    pub fn ended(&self) -> u64 {
        self.done + self.failed + self.panicked + self.expired + self.interrupted + self.handed_back
    }
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} taken, {} done", self.taken, self.done)?;
        let others = [
            (self.failed, "failed"),
            (self.panicked, "panicked"),
            (self.expired, "expired"),
            (self.interrupted, "interrupted"),
            (self.handed_back, "handed back"),
            (self.discarded, "discarded"),
        ];
        others
            .iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, how)| write!(f, ", {number} {how}"))
    }
}

/// Waits until all jobs have ended; made by [`WorkerPool::close`].
#[must_use = "the pool is closed; this waits for the end"]
pub struct Close<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    shared: &'p Shared<J, T, E>,
    ticket: Option<Ticket>,
}

impl<'p, J: Send + 'static, T: Send + 'static, E: Send + 'static> Close<'p, J, T, E> {
    pub(super) fn new(shared: &'p Shared<J, T, E>) -> Self {
        Self { shared, ticket: None }
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Future for Close<'_, J, T, E> {
    type Output = Settled;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Settled> {
        let this = &mut *self;
        let settled = ready!(this.shared.poll_settled(&mut this.ticket, cx));
        Poll::Ready(settled)
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Drop for Close<'_, J, T, E> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.cancel_settled(ticket);
        }
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for Close<'_, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Close").finish_non_exhaustive()
    }
}

/// What a [shutdown](WorkerPool::shutdown) came to.
#[non_exhaustive]
pub struct Shutdown<J, T, E> {
    /// How all jobs ended.
    pub settled: Settled,
    /// The jobs that were not begun, in the order of submission.
    pub handed_back: Vec<(JobId, J)>,
    /// The ends that nobody has read.
    pub unread: Vec<Completion<J, T, E>>,
}

impl<J, T, E> fmt::Debug for Shutdown<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("settled", &self.settled)
            .field("handed_back", &self.handed_back.len())
            .field("unread", &self.unread.len())
            .finish()
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> WorkerPool<J, T, E> {
    /// Takes no more jobs, finishes what can be finished within `limit`, cancels the rest, and hands back
    /// what was not begun.
    ///
    /// # Waiting
    /// At most `limit`, and then as long as cancelled jobs take to be dropped.
    ///
    /// # Cancel safety
    /// The pool goes with the future: what is not done by then is dropped.
    pub async fn shutdown(self, limit: Duration) -> Shutdown<J, T, E> {
        let shared = Arc::clone(self.shared());
        let in_time = shared.clock.timeout(limit, self.close()).await;
        if in_time.is_err() {
            shared.stop();
        }
        // First all are told, then all are waited for: nothing of the pool runs when this returns. What a
        // worker has not begun comes back when it is gone.
        let tasks = self.owner.crew.take_tasks();
        tasks.iter().for_each(Task::abort);
        for task in tasks {
            let_go(task.cancel().await);
        }
        Shutdown { handed_back: shared.take_left(), unread: shared.take_unread(), settled: shared.counts() }
    }

    /// [`shutdown`](Self::shutdown) at once.
    pub async fn abort(self) -> Shutdown<J, T, E> {
        self.shutdown(Duration::ZERO).await
    }
}
