//! [`WorkerPool`]: a fixed number of workers on a bounded queue of jobs.

mod adaptive;
mod blocking;
mod builder;
mod call;
mod completion;
mod crew;
mod entry;
mod event;
mod harvest;
mod intake;
mod keys;
mod measures;
mod outbox;
mod queue;
mod results;
mod shutdown;
mod state;
mod stats;
mod submit_many;
mod tasks;
mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use weirs_runtime::{Runtime, block_on};

pub use adaptive::{Controller, P95Latency, QueueWait, Window};
pub use blocking::{Blocking, BlockingWorker};
pub(crate) use builder::MOST_WORKERS;
pub use builder::{BuildError, WorkerPoolBuilder};
pub use call::{Call, CallError};
pub use completion::{Completion, JobError, JobId};
pub use event::PoolEvent;
pub use intake::{Intake, Submit, SubmitError};
pub(crate) use measures::{Measures, quantiles};
pub use measures::{Quantiles, Times};
pub use results::{BlockingResults, Results};
pub use shutdown::{Close, Settled, Shutdown};
pub use stats::{PoolStats, WorkerStats};
pub use submit_many::{Rest, SubmitMany, SubmitManyError};
pub use tasks::{TaskEnd, TaskHandle, TaskPool, TaskPoolClosed};
pub use worker::{Factory, FnWorker, Same, Worker};

use crew::{Crew, Desk};
use state::Shared;
use worker::{Bench, Retry};

/// Workers that take jobs from a bounded queue, and the results of these.
///
/// A job ends exactly once: with a result, an error, as panicked, expired, interrupted, or handed back. A job
/// that panics costs itself only. Everything is bounded: at most as many jobs are in the pool as the queue,
/// the workers and the unread results have room for; then [`submit`](Self::submit) waits.
///
/// Dropped, the pool is gone with all its workers: jobs that run are cancelled, and those that wait are
/// dropped. [`close`](Self::close) finishes them first; [`shutdown`](Self::shutdown) hands back what it could
/// not finish in time.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
/// use futures_lite::StreamExt;
/// use weirs_pipelines::WorkerPool;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let square = async |n: u64| Ok::<_, Infallible>(n * n);
///     let pool = WorkerPool::builder(square).workers(3).queue(8).build(&runtime).unwrap();
///     let mut results = pool.results();
///     for n in 1..=5 {
///         pool.submit(n).await.unwrap();
///     }
///     let settled = pool.close();
///     let mut squares = Vec::new();
///     while let Some(completion) = results.next().await {
///         squares.push(completion.result.unwrap());
///     }
///     squares.sort();
///     assert_eq!(squares, [1, 4, 9, 16, 25]);
///     assert_eq!(settled.await.done, 5);
/// }).unwrap();
/// ```
pub struct WorkerPool<J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    intake: Intake<J, T, E>,
    owner: Owner<J, T, E>,
}

/// Dropped, the pool is gone with all its workers.
struct Owner<J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    shared: Arc<Shared<J, T, E>>,
    crew: Arc<Crew>,
}

impl WorkerPool<(), (), ()> {
    /// Workers that all run the same closure.
    pub fn builder<J, T, E, F, Fut>(work: F) -> WorkerPoolBuilder<Same<FnWorker<J, F>>>
    where
        J: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
        F: Fn(J) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        WorkerPoolBuilder::new(Same::new(FnWorker::new(work)))
    }

    /// Workers that run a blocking function, each job on a thread of the runtime's for such.
    ///
    /// The workers bound how many of these there are at a time. A blocking function cannot be cancelled: one
    /// that is interrupted runs on, and its result is dropped.
    ///
    /// # Examples
    /// ```
    /// use weirs_pipelines::WorkerPool;
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let parse = |text: String| text.parse::<u64>();
    ///     let pool = WorkerPool::blocking(parse).workers(2).build(&runtime).unwrap();
    ///     assert_eq!(pool.call("42".to_owned()).await.unwrap(), 42);
    /// }).unwrap();
    /// ```
    pub fn blocking<J, T, E, F>(work: F) -> WorkerPoolBuilder<Blocking<J, F>>
    where
        J: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
        F: Fn(J) -> Result<T, E> + Send + Sync + 'static,
    {
        WorkerPoolBuilder::new(Blocking::new(work))
    }

    /// Workers that each have a state of their own, made by a factory that is told the worker's number.
    ///
    /// The factory is called once for each worker, before [`build`](WorkerPoolBuilder::build) returns; and
    /// again for one whose job panicked, because nobody knows what the panic left of its state.
    pub fn with_workers<W, X, F>(factory: F) -> WorkerPoolBuilder<F>
    where
        W: Worker,
        F: Fn(usize) -> Result<W, X> + Send + Sync + 'static,
        X: std::error::Error + Send + Sync + 'static,
    {
        WorkerPoolBuilder::new(factory)
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> WorkerPool<J, T, E> {
    fn new(shared: Arc<Shared<J, T, E>>, crew: Arc<Crew>) -> Self {
        Self { intake: Intake::new(Arc::clone(&shared)), owner: Owner { shared, crew } }
    }

    fn shared(&self) -> &Arc<Shared<J, T, E>> {
        self.intake.shared()
    }

    /// Hands in a job.
    ///
    /// # Waiting
    /// While the queue is full, or too many results are unread. First come, first served. Where nobody reads,
    /// say so: [`discard_results`](WorkerPoolBuilder::discard_results), or drop [`results`](Self::results).
    /// A job may hand in others, to its own pool too; but there it may wait for a place that only it could
    /// make.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the job was not taken, and is dropped with the future.
    ///
    /// # Panics
    /// If the [key](WorkerPoolBuilder::by_key) of the job does.
    ///
    /// # Errors
    /// The job comes back when the pool is closed.
    pub fn submit(&self, job: J) -> Submit<'_, J, T, E> {
        self.intake.submit(job)
    }

    /// Hands in a job if there is room at once.
    ///
    /// # Panics
    /// If the [key](WorkerPoolBuilder::by_key) of the job does.
    ///
    /// # Errors
    /// The job comes back, with the reason.
    pub fn try_submit(&self, job: J) -> Result<JobId, SubmitError<J>> {
        self.intake.try_submit(job)
    }

    /// Hands in these, as far as there is room, without their keys.
    pub(crate) fn try_submit_all(&self, jobs: &mut VecDeque<J>) {
        self.shared().try_submit_all(jobs);
    }

    /// Hands in a job, and blocks the thread meanwhile: for synchronous code.
    ///
    /// # Waiting
    /// As [`submit`](Self::submit). It must not be used in an async function: it holds up the executor's
    /// thread.
    ///
    /// # Errors
    /// The job comes back when the pool is closed.
    pub fn submit_blocking(&self, job: J) -> Result<JobId, SubmitError<J>> {
        block_on(self.submit(job))
    }

    /// Hands in many jobs, as many at once as there is room for.
    ///
    /// # Waiting
    /// As [`submit`](Self::submit), for all of them; woken when half the queue is free.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, what was taken was taken, the rest is dropped. Await it by `&mut`, and
    /// [`into_rest`](SubmitMany::into_rest) gives the rest back.
    ///
    /// # Panics
    /// If the iterator does, or the [key](WorkerPoolBuilder::by_key) of a job: that job is dropped. Awaited
    /// by `&mut`, it goes on with the others.
    ///
    /// # Errors
    /// The rest comes back when the pool is closed.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use weirs_pipelines::WorkerPool;
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let work = async |n: u64| Ok::<_, Infallible>(n);
    ///     let pool = WorkerPool::builder(work).queue(16).discard_results().build(&runtime).unwrap();
    ///     assert_eq!(pool.submit_many(0..1000).await.unwrap(), 1000);
    ///     assert_eq!(pool.close().await.done, 1000);
    /// }).unwrap();
    /// ```
    pub fn submit_many<I: IntoIterator<Item = J>>(&self, jobs: I) -> SubmitMany<'_, J, T, E, I::IntoIter> {
        self.intake.submit_many(jobs)
    }

    /// Hands in a job, and waits for what comes of it: that goes to the caller, and not to the results.
    ///
    /// # Waiting
    /// As [`submit`](Self::submit), and until the job has ended. In a job of the same pool it holds a worker
    /// meanwhile: if all of them do that, they wait for ever.
    ///
    /// # Cancel safety
    /// Dropped before the job was taken, nothing happened. Dropped later, it is not begun, if it is not yet;
    /// one that runs is not disturbed, and its result dropped.
    ///
    /// # Errors
    /// Why there is no result; with the job, if it was not begun.
    ///
    /// # Examples
    /// ```
    /// use weirs_pipelines::{CallError, WorkerPool};
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let half = async |n: u64| if n % 2 == 0 { Ok(n / 2) } else { Err("it is odd") };
    ///     let pool = WorkerPool::builder(half).build(&runtime).unwrap();
    ///     assert_eq!(pool.call(8).await.unwrap(), 4);
    ///     assert!(matches!(pool.call(7).await, Err(CallError::Failed("it is odd"))));
    /// }).unwrap();
    /// ```
    pub fn call(&self, job: J) -> Call<'_, J, T, E> {
        self.intake.call(job)
    }

    /// Another handle to hand in jobs by; it does not keep the pool alive.
    pub fn intake(&self) -> Intake<J, T, E> {
        self.intake.clone()
    }

    /// The results, as they come or in the order of submission.
    ///
    /// Several of them compete: each result goes to one. When the last is dropped, results are discarded, and
    /// counted, until there is another; in order, that begins with what is submitted from then on.
    pub fn results(&self) -> Results<J, T, E> {
        Results::new(self.shared(), None)
    }

    /// The results, and the pool with them: it is gone when they are dropped.
    ///
    /// The pool's own handle is dropped: no more jobs come when the last [`intake`](Self::intake) is, and the
    /// results end when all jobs have.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use futures_lite::StreamExt;
    /// use weirs_pipelines::WorkerPool;
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let double = async |n: u64| Ok::<_, Infallible>(2 * n);
    ///     let pool = WorkerPool::builder(double).ordered().build(&runtime).unwrap();
    ///     let intake = pool.intake();
    ///     let feeder = runtime.spawn(async move { intake.submit_many(0..100).await.unwrap() });
    ///     let results: Vec<_> = pool.into_results().map(|end| end.result.unwrap()).collect().await;
    ///     assert_eq!(results.len(), 100);
    ///     feeder.await.unwrap();
    /// }).unwrap();
    /// ```
    pub fn into_results(self) -> Results<J, T, E> {
        let Self { intake, owner } = self;
        let results = Results::new(&Arc::clone(&owner.shared), Some(owner));
        drop(intake);
        results
    }

    /// Takes no more jobs, and finishes those that it has. The future waits for the end.
    ///
    /// It takes effect at once, whether or not the future is polled. Unread results hold nobody up.
    pub fn close(&self) -> Close<'_, J, T, E> {
        self.shared().close();
        Close::new(self.shared())
    }

    /// A look at the pool.
    pub fn stats(&self) -> PoolStats {
        self.shared().stats(&self.owner.crew)
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Drop for Owner<J, T, E> {
    fn drop(&mut self) {
        self.shared.abandon();
        self.crew.dismiss();
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for WorkerPool<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// What it takes to start a worker.
struct Starter<F: Factory> {
    runtime: Runtime,
    shared: Arc<Shared<JobOf<F>, OutputOf<F>, ErrorOf<F>>>,
    crew: Arc<Crew>,
    factory: Arc<F>,
    retry: Option<Retry<JobOf<F>>>,
}

impl<F: Factory> Starter<F> {
    /// Starts a worker that the state has counted already.
    fn start(&self, number: usize, worker: F::Worker) {
        let desk = Arc::new(Desk::default());
        let bench = Bench::new(Arc::clone(&self.shared), Arc::clone(&desk), self.retry);
        let life = worker::run(number, worker, Arc::clone(&self.factory), bench);
        let task = self.runtime.builder().name(format!("worker {number}")).spawn(life);
        self.crew.hire(number, desk, task);
    }
}

/// The pool that a factory's workers make.
pub(crate) type PoolOf<F> = WorkerPool<JobOf<F>, OutputOf<F>, ErrorOf<F>>;
pub(crate) type JobOf<F> = <<F as Factory>::Worker as Worker>::Job;
pub(crate) type OutputOf<F> = <<F as Factory>::Worker as Worker>::Output;
pub(crate) type ErrorOf<F> = <<F as Factory>::Worker as Worker>::Error;
