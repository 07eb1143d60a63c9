//! [`Crew`]: the tasks of the workers, and what each of them does.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weirs_runtime::{Instant, Runtime, Task};

use super::JobId;
use super::stats::WorkerStats;

/// The workers. Nothing in here is held by a worker, so that whoever drops the pool drops them.
#[derive(Debug, Default)]
pub(super) struct Crew(Mutex<Vec<Hired>>);

#[derive(Debug)]
struct Hired {
    desk: Arc<Desk>,
    task: Option<Task<()>>,
}

impl Crew {
    /// Starts a worker.
    pub(super) fn hire<F>(&self, runtime: &Runtime, number: usize, work: impl FnOnce(Arc<Desk>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let desk = Arc::new(Desk::default());
        let task = runtime.builder().name(format!("worker {number}")).spawn(work(Arc::clone(&desk)));
        self.lock().push(Hired { desk, task: Some(task) });
    }

    /// The workers' tasks: dropped or cancelled outside the lock.
    pub(super) fn take_tasks(&self) -> Vec<Task<()>> {
        self.lock().iter_mut().filter_map(|hired| hired.task.take()).collect()
    }

    /// Ends every worker at once.
    pub(super) fn dismiss(&self) {
        drop(self.take_tasks());
    }

    pub(super) fn stats(&self) -> Vec<WorkerStats> {
        self.lock().iter().map(|hired| hired.desk.stats()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Hired>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one worker does now. Only the worker writes.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// The job's number and one; zero if it does nothing.
    job: AtomicU64,
    since: AtomicU64,
    done: AtomicU64,
    gone: AtomicBool,
    /// A worker whose state a panic may have hurt, and who could not be made anew.
    suspect: AtomicBool,
}

impl Desk {
    pub(super) fn begins(&self, id: JobId, now: Instant) {
        self.since.store(now.as_nanos(), Ordering::Relaxed);
        self.job.store(id.number() + 1, Ordering::Relaxed);
    }

    pub(super) fn ends(&self, now: Instant) {
        self.since.store(now.as_nanos(), Ordering::Relaxed);
        self.job.store(0, Ordering::Relaxed);
        self.done.store(self.done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn not_renewed(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    pub(super) fn leaves(&self) {
        self.job.store(0, Ordering::Relaxed);
        self.gone.store(true, Ordering::Relaxed);
    }

    fn stats(&self) -> WorkerStats {
        WorkerStats {
            job: self.job.load(Ordering::Relaxed).checked_sub(1).map(JobId),
            since: Instant::from_nanos(self.since.load(Ordering::Relaxed)),
            done: self.done.load(Ordering::Relaxed),
            gone: self.gone.load(Ordering::Relaxed),
            suspect: self.suspect.load(Ordering::Relaxed),
        }
    }
}
