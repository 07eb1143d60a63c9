//! [`WorkerPoolBuilder`]: how a pool is set up.

use std::error::Error;
use std::fmt;

use weirs_runtime::{PanicPayload, Runtime};

use super::state::{Shared, Sizes};
use super::worker::Factory;
use super::{ErrorOf, JobOf, OutputOf, WorkerPool, start};
use crate::Invalid;

/// Sets a pool up; made by [`WorkerPool::builder`] and [`WorkerPool::with_workers`].
#[must_use = "a builder does nothing until `build`"]
pub struct WorkerPoolBuilder<F> {
    factory: F,
    workers: usize,
    queue: usize,
    unread: usize,
    ordered: bool,
}

impl<F> WorkerPoolBuilder<F> {
    pub(super) fn new(factory: F) -> Self {
        Self { factory, workers: 4, queue: 64, unread: 64, ordered: false }
    }

    /// How many workers there are: 4 unless said otherwise.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many jobs may wait: 64 unless said otherwise.
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// How many results may be unread before [`submit`](WorkerPool::submit) waits, besides the room that the queue and
    /// the workers leave: 64 unless said otherwise.
    pub fn unread(mut self, unread: usize) -> Self {
        self.unread = unread;
        self
    }

    /// Gives the results in the order of submission. As many as may be unread wait for a slow one before them.
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }
}

impl<F: Factory> WorkerPoolBuilder<F> {
    /// The pool, with its workers at work.
    ///
    /// # Errors
    /// A setting that makes no sense, or a worker that could not be made.
    pub fn build(
        self,
        runtime: &Runtime,
    ) -> Result<WorkerPool<JobOf<F>, OutputOf<F>, ErrorOf<F>>, BuildError> {
        for (value, field) in [(self.workers, "pool.workers"), (self.queue, "pool.queue")] {
            if value == 0 {
                return Err(BuildError::Invalid(Invalid::new(field, "there has to be at least one")));
            }
        }
        let sizes =
            Sizes { queue: self.queue, workers: self.workers, unread: self.unread, ordered: self.ordered };
        let shared = Shared::new(runtime.clock().clone(), &sizes);
        let crew = start(runtime, &shared, self.factory, self.workers)?;
        Ok(WorkerPool::new(shared, crew))
    }
}

impl<F> fmt::Debug for WorkerPoolBuilder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPoolBuilder")
            .field("workers", &self.workers)
            .field("queue", &self.queue)
            .field("unread", &self.unread)
            .field("ordered", &self.ordered)
            .finish_non_exhaustive()
    }
}

/// Why there is no pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting makes no sense.
    Invalid(Invalid),
    /// The factory could not make a worker.
    Worker {
        /// Which one.
        number: usize,
        /// Why.
        error: Box<dyn Error + Send + Sync>,
    },
    /// The factory panicked.
    WorkerPanicked {
        /// At which worker.
        number: usize,
        /// With what.
        payload: PanicPayload,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Worker { number, error } => write!(f, "worker {number} could not be made: {error}"),
            Self::WorkerPanicked { number, payload } => {
                write!(f, "making worker {number} panicked: {}", payload.message())
            }
        }
    }
}

impl Error for BuildError {}
