//! Blocking jobs: closures that hold up a thread, run where that does no harm.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_task::SpawnError;

use crate::task::runner::Runner;

/// A closure that a [`SpawnBlocking`] has to call once, on a thread that may be held up.
///
/// It never panics: the job's panics are caught within.
pub type BlockingJob = Box<dyn FnOnce() + Send + 'static>;

/// Runs blocking jobs: the blocking half of a [`Runtime`](crate::Runtime).
///
/// # Examples
/// ```
/// use futures_task::SpawnError;
/// use weirs_runtime::{BlockingJob, SpawnBlocking};
///
/// /// A thread for each job.
/// struct Threads;
///
/// impl SpawnBlocking for Threads {
///     fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError> {
///         match std::thread::Builder::new().spawn(job) {
///             Ok(_) => Ok(()),
///             Err(_) => Err(SpawnError::shutdown()),
///         }
///     }
/// }
/// ```
pub trait SpawnBlocking: Send + Sync + 'static {
    /// Has `job` called, soon and once, on a thread that may be held up. A job that is dropped instead is
    /// reported to its owner as lost.
    ///
    /// # Errors
    /// When the job cannot be run, now or ever. The job is dropped.
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError>;
}

/// A closure as a future that is ready at its first poll: so a blocking job is a task like any other.
pub(crate) struct Job<F>(Option<F>);

impl<F> Job<F> {
    pub(crate) fn new(job: F) -> Self {
        Self(Some(job))
    }
}

// The closure is moved out before it is called; nothing in here is ever pinned.
impl<F> Unpin for Job<F> {}

impl<T, F: FnOnce() -> T> Future for Job<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        match self.0.take() {
            Some(job) => Poll::Ready(job()),
            None => unreachable!("a job is polled but once: it is ready then"),
        }
    }
}

/// What the blocking spawner gets to call.
pub(crate) fn run<T, F: FnOnce() -> T>(runner: &Runner<Job<F>>) {
    let ready = runner.run(&mut Context::from_waker(Waker::noop()));
    debug_assert!(ready.is_ready(), "a job has nothing to wait for");
}
