//! [`PoolEvent`]: what has happened in a pool.

use weirs_runtime::PanicPayload;

use super::JobId;

/// What has happened in a pool; for [`on_event`](crate::WorkerPoolBuilder::on_event).
///
/// Each is told with no lock held, by whoever has it happen: two that happen at the same time on two threads
/// may be told in either order.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolEvent<'a> {
    /// A worker begins.
    WorkerStarted {
        /// Which one.
        worker: usize,
    },
    /// A worker is no more.
    WorkerEnded {
        /// Which one.
        worker: usize,
    },
    /// There are to be more workers, or fewer, which leave between two jobs.
    Resized {
        /// How many there were to be before.
        from: usize,
        /// How many there are to be now.
        to: usize,
    },
    /// A job panicked, and is not tried again.
    Panicked {
        /// Which job.
        job: JobId,
        /// With what.
        panic: &'a PanicPayload,
    },
    /// A job failed or panicked, and is tried again.
    Retried {
        /// Which job.
        job: JobId,
        /// How many attempts there were.
        attempts: u32,
    },
    /// A job was too late to begin.
    Expired {
        /// Which job.
        job: JobId,
    },
    /// There is no room for another job. Told again only when there was room in between.
    Full,
    /// There was no room, and there is again for half as many jobs as may wait.
    Free,
    /// No job is begun any more: the first error has stopped the pool, it was shut down or dropped, or it is
    /// closed and has done all.
    Stopped,
}

/// Told of what happens in a pool.
pub(super) type Observer = Box<dyn Fn(&PoolEvent<'_>) + Send + Sync>;

/// What was told last, so that it is told once.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) full: bool,
    pub(super) stopped: bool,
}
