//! [`TaskPool`]: futures and functions of different types in one bounded pool, each with its handle.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_channels_utils::oneshot;
use weirs_runtime::waiting::Ticket;
use weirs_runtime::{PanicPayload, Runtime};

use super::state::Shared;
use super::stats::PoolStats;
use super::worker::{FnWorker, Same};
use super::{BuildError, Settled, WorkerPool, WorkerPoolBuilder};
use crate::panics::{let_go, poll_contained};

/// Futures and functions of different types, of which a bounded number runs at a time and a bounded number
/// waits.
///
/// Unlike [`Runtime::spawn`], [`run`](Self::run) waits when there is too much to do. Each job is a few
/// allocations: where all jobs are of one type, a [`WorkerPool`] costs less.
///
/// Dropped, the pool is gone with all its jobs.
///
/// # Examples
/// ```
/// use weirs_pipelines::TaskPool;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let pool = TaskPool::new(&runtime, 2, 16).unwrap();
///     let sum = pool.run(async { 1 + 2 }).await.unwrap();
///     let text = pool.run_blocking(|| "three".to_owned()).await.unwrap();
///     assert_eq!((sum.await.unwrap(), text.await.unwrap()), (3, "three".to_owned()));
/// }).unwrap();
/// ```
pub struct TaskPool {
    pool: WorkerPool<Boxed, (), Infallible>,
    runtime: Runtime,
}

type Boxed = Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send>>;

impl TaskPool {
    /// So many jobs run at a time, and so many wait.
    ///
    /// # Errors
    /// When one of them is zero, or the runtime takes no tasks.
    pub fn new(runtime: &Runtime, workers: usize, queue: usize) -> Result<Self, BuildError> {
        let run = |boxed: Boxed| boxed;
        let builder: WorkerPoolBuilder<Same<FnWorker<Boxed, _>>> = WorkerPool::builder(run);
        let pool = builder.workers(workers).queue(queue).discard_results().build(runtime)?;
        Ok(Self { pool, runtime: runtime.clone() })
    }

    /// Hands in a future, and gives its handle.
    ///
    /// # Waiting
    /// While the queue is full. First come, first served.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the future was not taken, and is dropped.
    ///
    /// # Errors
    /// The future comes back when the pool is closed.
    pub async fn run<F>(&self, future: F) -> Result<TaskHandle<F::Output>, TaskPoolClosed<F>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let (wanted, is_wanted) = oneshot::channel();
        self.submit(future, |future| Box::pin(do_task(future, sender, is_wanted))).await?;
        Ok(TaskHandle { answer, wanted: Some(wanted) })
    }

    /// Hands in a blocking function, which runs on a thread of the runtime's for such, and gives its handle.
    ///
    /// Cancelled, it runs on, and its result is dropped.
    ///
    /// # Waiting
    /// While the queue is full. First come, first served.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the function was not taken, and is dropped.
    ///
    /// # Errors
    /// The function comes back when the pool is closed.
    pub async fn run_blocking<F, T>(&self, work: F) -> Result<TaskHandle<T>, TaskPoolClosed<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let runtime = self.runtime.clone();
        let (sender, answer) = oneshot::channel();
        let (wanted, is_wanted) = oneshot::channel();
        let job = |work| -> Boxed {
            let future = async move {
                match runtime.spawn_blocking(work).await {
                    Ok(value) => value,
                    // Its panic is the job's.
                    Err(error) => panic!("{}", error.resume_panic()),
                }
            };
            Box::pin(do_task(future, sender, is_wanted))
        };
        self.submit(work, job).await?;
        Ok(TaskHandle { answer, wanted: Some(wanted) })
    }

    /// Hands in the job that is made of what was given, as soon as there is room.
    async fn submit<F>(&self, given: F, job: impl FnOnce(F) -> Boxed) -> Result<(), TaskPoolClosed<F>> {
        let mut waits = Waits { shared: self.pool.shared(), ticket: None };
        let mut given = Some((given, job));
        // It is put into its box when it is taken: until then it can be given back.
        let submitted = poll_fn(|cx| {
            let Waits { shared, ticket } = &mut waits;
            let offer = || {
                let (given, job) = given.take().expect("it is there until it is submitted");
                shared.offer(job(given))
            };
            shared.poll_submit(offer, ticket, cx)
        });
        match (submitted.await, given) {
            (Err(()), Some((given, _))) => Err(TaskPoolClosed(given)),
            _ => Ok(()),
        }
    }

    /// Takes no more jobs, and waits until those that it has are done; the future need not be polled for the
    /// first.
    pub fn close(&self) -> impl Future<Output = Settled> + '_ {
        self.pool.close()
    }

    /// Takes no more jobs, finishes what can be finished within `limit`, and cancels the rest: their handles
    /// tell.
    ///
    /// # Waiting
    /// At most `limit`, and then as long as cancelled jobs take to be dropped.
    ///
    /// # Cancel safety
    /// The pool goes with the future: what is not done by then is dropped.
    pub async fn shutdown(self, limit: Duration) -> Settled {
        let report = self.pool.shutdown(limit).await;
        report.handed_back.into_iter().for_each(let_go);
        report.settled
    }

    /// A look at the pool. A job that panics counts as done: its handle tells.
    pub fn stats(&self) -> PoolStats {
        self.pool.stats()
    }
}

impl fmt::Debug for TaskPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A place in the line of a pool.
struct Waits<'p> {
    shared: &'p Shared<Boxed, (), Infallible>,
    ticket: Option<Ticket>,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.cancel_submit(ticket);
        }
    }
}

/// Runs the future until it is ready or its handle is dropped.
async fn do_task<F: Future>(
    future: F,
    sender: oneshot::Sender<Result<F::Output, PanicPayload>>,
    is_wanted: oneshot::Receiver<()>,
) -> Result<(), Infallible> {
    let mut is_wanted = Some(is_wanted);
    let ended = {
        let mut future = pin!(future);
        poll_fn(|cx| {
            match is_wanted.as_mut().map(|wanted| Pin::new(wanted).poll(cx)) {
                Some(Poll::Ready(Err(_))) => return Poll::Ready(None),
                // Whatever becomes of the handle.
                Some(Poll::Ready(Ok(()))) => is_wanted = None,
                _ => {}
            }
            poll_contained(future.as_mut(), cx).map(Some)
        })
        .await
    };
    if let Some(Err(unheard)) = ended.map(|ended| sender.send(ended)) {
        let_go(unheard);
    }
    Ok(())
}

/// The handle of one job of a [`TaskPool`]: a future of what comes of it.
///
/// # Cancel safety
/// Dropped, its job is cancelled: not begun, or dropped where it waits; [`detach`](Self::detach) lets it run.
/// Awaited by `&mut`, nothing is lost.
#[must_use = "a dropped job is cancelled; await it, or `detach()` it"]
pub struct TaskHandle<T> {
    answer: oneshot::Receiver<Result<T, PanicPayload>>,
    /// Dropped with the handle, it cancels the job.
    wanted: Option<oneshot::Sender<()>>,
}

impl<T> TaskHandle<T> {
    /// Lets the job run by itself.
    pub fn detach(mut self) {
        if let Some(wanted) = self.wanted.take() {
            // A job that is over does not hear of it.
            let _ = wanted.send(());
        }
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskEnd>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(|answer| match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(payload)) => Err(TaskEnd::Panicked(payload)),
            Err(_) => Err(TaskEnd::Cancelled),
        })
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskHandle")
    }
}

/// Why a job of a [`TaskPool`] has no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum TaskEnd {
    /// It panicked.
    Panicked(PanicPayload),
    /// The pool was shut down or dropped before it was done.
    Cancelled,
}

impl fmt::Display for TaskEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => write!(f, "the job panicked: {}", payload.message()),
            Self::Cancelled => f.write_str("the job was cancelled"),
        }
    }
}

impl Error for TaskEnd {}

/// The pool takes no more jobs; here is the one that was handed in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskPoolClosed<F>(F);

impl<F> TaskPoolClosed<F> {
    /// The future or function.
    pub fn into_inner(self) -> F {
        self.0
    }
}

impl<F> fmt::Debug for TaskPoolClosed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskPoolClosed(..)")
    }
}

impl<F> fmt::Display for TaskPoolClosed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool takes no more jobs")
    }
}

impl<F> Error for TaskPoolClosed<F> {}
