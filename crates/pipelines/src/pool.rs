//! [`WorkerPool`]: a fixed number of workers on a bounded queue of jobs.

mod builder;
mod completion;
mod crew;
mod intake;
mod results;
mod shutdown;
mod state;
mod stats;
mod worker;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use weirs_runtime::Runtime;

pub use builder::{BuildError, WorkerPoolBuilder};
pub use completion::{Completion, JobError, JobId};
pub use intake::{Intake, Submit, SubmitError};
pub use results::Results;
pub use shutdown::{Close, Settled, Shutdown};
pub use stats::{PoolStats, WorkerStats};
pub use worker::{Factory, FnWorker, Same, Worker};

use crew::Crew;
use state::Shared;

/// Workers that take jobs from a bounded queue, and the results of these.
///
/// A job ends exactly once: with a result, an error, as panicked, expired, interrupted, or handed back. A job that
/// panics costs itself only. Everything is bounded: at most as many jobs are in the pool as the queue, the workers and
/// the unread results have room for; then [`submit`](Self::submit) waits.
///
/// Dropped, the pool is gone with all its workers: jobs that run are cancelled, and those that wait are dropped.
/// [`close`](Self::close) finishes them first; [`shutdown`](Self::shutdown) hands back what it could not finish in time.
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

    /// Workers that each have a state of their own, made by a factory that is told the worker's number.
    ///
    /// The factory is called once for each worker, before [`build`](WorkerPoolBuilder::build) returns; and again for one
    /// whose job panicked, because nobody knows what the panic left of its state.
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
        Self { intake: Intake::new(shared), crew }
    }

    fn shared(&self) -> &Arc<Shared<J, T, E>> {
        self.intake.shared()
    }

    /// Hands in a job.
    ///
    /// # Waiting
    /// While the queue is full, or too many results are unread. First come, first served.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the job was not taken, and is dropped with the future.
    ///
    /// # Errors
    /// The job comes back when the pool is closed.
    pub fn submit(&self, job: J) -> Submit<'_, J, T, E> {
        self.intake.submit(job)
    }

    /// Hands in a job if there is room at once.
    ///
    /// # Errors
    /// The job comes back, with the reason.
    pub fn try_submit(&self, job: J) -> Result<JobId, SubmitError<J>> {
        self.intake.try_submit(job)
    }

    /// Another handle to hand in jobs by; it does not keep the pool alive.
    pub fn intake(&self) -> Intake<J, T, E> {
        self.intake.clone()
    }

    /// The results, as they come or in the order of submission.
    ///
    /// Several of them compete: each result goes to one. When the last is dropped, results are discarded, and counted.
    pub fn results(&self) -> Results<J, T, E> {
        Results::new(self.shared())
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
        self.shared().stats(&self.crew)
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Drop for WorkerPool<J, T, E> {
    fn drop(&mut self) {
        self.shared().abandon();
        self.crew.dismiss();
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for WorkerPool<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Starts the workers.
fn start<F: Factory>(
    runtime: &Runtime,
    shared: &Arc<Shared<JobOf<F>, OutputOf<F>, ErrorOf<F>>>,
    factory: F,
    workers: usize,
) -> Result<Arc<Crew>, BuildError> {
    let factory = Arc::new(factory);
    let made = (0..workers).map(|number| worker::make(&*factory, number)).collect::<Result<Vec<_>, _>>()?;
    let crew = Arc::new(Crew::default());
    for (number, worker) in made.into_iter().enumerate() {
        let (factory, shared) = (Arc::clone(&factory), Arc::clone(shared));
        crew.hire(runtime, number, |desk| worker::run(number, worker, factory, shared, desk));
    }
    Ok(crew)
}

pub(crate) type JobOf<F> = <<F as Factory>::Worker as Worker>::Job;
pub(crate) type OutputOf<F> = <<F as Factory>::Worker as Worker>::Output;
pub(crate) type ErrorOf<F> = <<F as Factory>::Worker as Worker>::Error;
