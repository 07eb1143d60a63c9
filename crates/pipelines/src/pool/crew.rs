//! [`Crew`]: the tasks of the workers, and what each of them does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weirs_runtime::{Instant, Task};

use super::JobId;
use super::stats::WorkerStats;

/// The workers' tasks, and the manager's. Whoever drops the pool dismisses them.
#[derive(Debug, Default)]
pub(super) struct Crew(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    hired: Vec<Hired>,
    manager: Option<Task<()>>,
    /// How long those have worked whose numbers others have now.
    worked_before: Duration,
    dismissed: bool,
}

#[derive(Debug)]
struct Hired {
    desk: Arc<Desk>,
    task: Option<Task<()>>,
}

impl Crew {
    /// The number for one more worker, from this one on: of one who is gone, or the next.
    pub(super) fn vacancy(&self, from: usize) -> usize {
        let hired = &self.lock().hired;
        let gone = hired.iter().skip(from).position(|hired| hired.desk.is_gone());
        gone.map_or(hired.len(), |place| from + place)
    }

    /// Takes in the worker of that number; when all are dismissed, it goes at once.
    pub(super) fn hire(&self, number: usize, desk: Arc<Desk>, task: Task<()>) {
        let mut tasks = self.lock();
        let hired = Hired { desk, task: Some(task) };
        let unwanted = if tasks.dismissed {
            Some(hired)
        } else if let Some(place) = tasks.hired.get_mut(number) {
            let before = std::mem::replace(place, hired);
            tasks.worked_before += before.desk.worked(Instant::from_nanos(0));
            Some(before)
        } else {
            tasks.hired.push(hired);
            None
        };
        drop(tasks);
        drop(unwanted);
    }

    /// Takes in who says how many workers there are.
    pub(super) fn manage(&self, manager: Task<()>) {
        self.lock().manager = Some(manager);
    }

    /// All tasks, the manager's first: dropped or cancelled outside the lock. No others are taken in.
    pub(super) fn take_tasks(&self) -> Vec<Task<()>> {
        let mut tasks = self.lock();
        tasks.dismissed = true;
        let manager = tasks.manager.take();
        manager.into_iter().chain(tasks.hired.iter_mut().filter_map(|hired| hired.task.take())).collect()
    }

    /// Ends every worker at once.
    pub(super) fn dismiss(&self) {
        drop(self.take_tasks());
    }

    pub(super) fn stats(&self) -> Vec<WorkerStats> {
        self.lock().hired.iter().map(|hired| hired.desk.stats()).collect()
    }

    /// How long all workers together have worked until now.
    pub(super) fn worked(&self, now: Instant) -> Duration {
        let tasks = self.lock();
        tasks.hired.iter().map(|hired| hired.desk.worked(now)).sum::<Duration>() + tasks.worked_before
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
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
    /// The time of the jobs that it has ended.
    worked: AtomicU64,
    gone: AtomicBool,
    /// A worker whose state a panic may have hurt, and who could not be made anew.
    suspect: AtomicBool,
}

impl Desk {
    #[inline]
    pub(super) fn begins(&self, id: JobId) {
        self.job.store(id.number() + 1, Ordering::Relaxed);
    }

    /// A look at the clock, and whether it has worked since the last one.
    pub(super) fn looked(&self, now: Instant, has_worked: bool) {
        if has_worked {
            let took = now.as_nanos().saturating_sub(self.since.load(Ordering::Relaxed));
            self.worked.store(self.worked.load(Ordering::Relaxed) + took, Ordering::Relaxed);
        }
        self.since.store(now.as_nanos(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn ends(&self) {
        self.job.store(0, Ordering::Relaxed);
        self.done.store(self.done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// How long it has worked until now: a look from aside, that may be a job off.
    fn worked(&self, now: Instant) -> Duration {
        let since = self.since.load(Ordering::Relaxed);
        let at_work = self.job.load(Ordering::Relaxed) != 0;
        let current = if at_work { now.as_nanos().saturating_sub(since) } else { 0 };
        Duration::from_nanos(self.worked.load(Ordering::Relaxed) + current)
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
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
