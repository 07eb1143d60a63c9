//! [`PoolStats`]: a look at a pool.

use weirs_runtime::Instant;

use super::{JobId, Settled};

/// A look at a pool; made by [`WorkerPool::stats`](crate::WorkerPool::stats).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// How many jobs wait.
    pub queued: usize,
    /// How many are in the hands of workers.
    pub in_hand: usize,
    /// How many results were not read.
    pub unread: usize,
    /// Whether no more jobs are taken.
    pub closed: bool,
    /// How the others ended.
    pub counts: Settled,
    /// What each worker does.
    pub workers: Vec<WorkerStats>,
}

/// What a worker does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The job that it does.
    pub job: Option<JobId>,
    /// Since when it does it, or does nothing.
    pub since: Instant,
    /// How many jobs it has ended.
    pub done: u64,
    /// Whether it is no more.
    pub gone: bool,
    /// Whether a job of it panicked, and the factory could not make it anew.
    pub suspect: bool,
}
