//! The semantics table of weirs-runtime and stories across crates, on every runtime and in the simulator.
//!
//! The tests are in `tests/`; here is what several of them need.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures_task::{FutureObj, LocalFutureObj, LocalSpawn, Spawn, SpawnError};
use weirs_runtime::{BlockingJob, Clock, SpawnBlocking};

/// Tells whether something was dropped, and on which thread.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<Mutex<Option<ThreadId>>>);

impl Dropped {
    /// What is to be dropped.
    pub fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }

    /// Whether it was dropped.
    pub fn is_set(&self) -> bool {
        self.thread().is_some()
    }

    /// The thread that dropped it.
    pub fn thread(&self) -> Option<ThreadId> {
        *lock(&self.0)
    }

    /// A future that waits for ever and holds what is to be dropped.
    pub fn endless(&self) -> impl Future<Output = ()> + Send + use<> {
        let guard = self.on_drop();
        async move {
            let _guard = guard;
            pending::<()>().await;
        }
    }
}

/// Made by [`Dropped::on_drop`].
#[derive(Debug)]
pub struct OnDrop(Dropped);

impl Drop for OnDrop {
    fn drop(&mut self) {
        *lock(&self.0.0) = Some(thread::current().id());
    }
}

/// An executor that keeps what it is given and runs nothing.
#[derive(Clone, Debug, Default)]
pub struct Held(Arc<Mutex<Vec<FutureObj<'static, ()>>>>);

impl Held {
    /// Polls all once and drops those that are over; gives how many are left.
    pub fn run_once(&self) -> usize {
        let mut futures = std::mem::take(&mut *lock(&self.0));
        futures.retain_mut(|future| poll(future).is_pending());
        let mut held = lock(&self.0);
        held.extend(futures);
        held.len()
    }

    /// Drops all.
    pub fn clear(&self) {
        let futures = std::mem::take(&mut *lock(&self.0));
        drop(futures);
    }
}

impl Spawn for Held {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        lock(&self.0).push(future);
        Ok(())
    }
}

/// An executor that refuses everything.
#[derive(Clone, Copy, Debug)]
pub struct Refuses;

impl Spawn for Refuses {
    fn spawn_obj(&self, _: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        Err(SpawnError::shutdown())
    }
}

impl LocalSpawn for Refuses {
    fn spawn_local_obj(&self, _: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        Err(SpawnError::shutdown())
    }
}

impl SpawnBlocking for Refuses {
    fn spawn_blocking(&self, _: BlockingJob) -> Result<(), SpawnError> {
        Err(SpawnError::shutdown())
    }
}

/// A place for blocking jobs that runs them when it is told to, or never.
#[derive(Clone, Default)]
pub struct HeldJobs(Arc<Mutex<Vec<BlockingJob>>>);

impl HeldJobs {
    /// Runs all, on this thread.
    pub fn run_all(&self) {
        let jobs = std::mem::take(&mut *lock(&self.0));
        jobs.into_iter().for_each(|job| job());
    }

    /// Drops all.
    pub fn clear(&self) {
        let jobs = std::mem::take(&mut *lock(&self.0));
        drop(jobs);
    }
}

impl fmt::Debug for HeldJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeldJobs").field(&lock(&self.0).len()).finish()
    }
}

impl SpawnBlocking for HeldJobs {
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError> {
        lock(&self.0).push(job);
        Ok(())
    }
}

/// Polls once, with a waker that nobody hears.
pub fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits for something that nobody wakes us for.
pub async fn until(clock: &Clock, mut condition: impl FnMut() -> bool) {
    while !condition() {
        clock.sleep(Duration::from_micros(200)).await;
    }
}

/// Panics without the process's panic hook, which would write to everybody's standard error.
pub fn fail(message: &'static str) {
    std::panic::resume_unwind(Box::new(message));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
