//! [`Worker`]: who does the jobs.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use weirs_runtime::PanicPayload;
use weirs_runtime::waiting::Ticket;

use super::builder::BuildError;
use super::completion::{Completion, JobError};
use super::crew::Desk;
use super::state::{Entry, Next, Shared};
use super::{ErrorOf, JobOf, OutputOf};
use crate::panics::{contain, let_go, poll_contained};

/// A worker that is slower than this takes one job at a time, so that none waits behind a slow one.
const SLOW: Duration = Duration::from_micros(20);

/// So many jobs in a row, then the executor's other tasks have their turn.
const TURN: u32 = 128;

/// Does jobs, one after another.
///
/// It has whatever state it likes to itself: a connection, a buffer. A closure is a worker without one, see
/// [`WorkerPool::builder`](crate::WorkerPool::builder).
///
/// # Examples
/// ```
/// use std::convert::Infallible;
/// use weirs_pipelines::{Worker, WorkerPool};
/// use weirs_testing::sim::Sim;
///
/// struct Counter { number: usize, seen: u64 }
///
/// impl Worker for Counter {
///     type Job = &'static str;
///     type Output = String;
///     type Error = Infallible;
///
///     async fn work(&mut self, job: &'static str) -> Result<String, Infallible> {
///         self.seen += 1;
///         Ok(format!("{job}: number {} of worker {}", self.seen, self.number))
///     }
/// }
///
/// Sim::new(1).run(|runtime| async move {
///     let make = |number| Ok::<_, Infallible>(Counter { number, seen: 0 });
///     let pool = WorkerPool::with_workers(make).workers(1).build(&runtime).unwrap();
///     pool.submit("a").await.unwrap();
///     assert_eq!(pool.close().await.done, 1);
/// }).unwrap();
/// ```
pub trait Worker: Send + 'static {
    /// What it gets.
    type Job: Send + 'static;
    /// What it makes of it.
    type Output: Send + 'static;
    /// How it fails.
    type Error: Send + 'static;

    /// Does a job.
    fn work(&mut self, job: Self::Job) -> impl Future<Output = Result<Self::Output, Self::Error>> + Send;
}

/// Makes workers; a closure of the worker's number is one.
pub trait Factory: Send + Sync + 'static {
    /// Whom it makes.
    type Worker: Worker;

    /// Makes the worker of that number.
    ///
    /// # Errors
    /// Why it cannot.
    fn make(&self, number: usize) -> Result<Self::Worker, Box<dyn Error + Send + Sync>>;
}

impl<W, X, F> Factory for F
where
    W: Worker,
    X: Error + Send + Sync + 'static,
    F: Fn(usize) -> Result<W, X> + Send + Sync + 'static,
{
    type Worker = W;

    fn make(&self, number: usize) -> Result<W, Box<dyn Error + Send + Sync>> {
        self(number).map_err(Into::into)
    }
}

/// Workers that run one closure.
pub struct FnWorker<J, F> {
    work: Arc<F>,
    job: PhantomData<fn(J)>,
}

impl<J, F> FnWorker<J, F> {
    pub(super) fn new(work: F) -> Self {
        Self { work: Arc::new(work), job: PhantomData }
    }
}

impl<J, T, E, F, Fut> Worker for FnWorker<J, F>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: Fn(J) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    type Job = J;
    type Output = T;
    type Error = E;

    fn work(&mut self, job: J) -> impl Future<Output = Result<T, E>> + Send {
        (self.work)(job)
    }
}

impl<J, F> Clone for FnWorker<J, F> {
    fn clone(&self) -> Self {
        Self { work: Arc::clone(&self.work), job: PhantomData }
    }
}

impl<J, F> fmt::Debug for FnWorker<J, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnWorker")
    }
}

/// Makes clones of one worker.
#[derive(Clone, Debug)]
pub struct Same<W>(W);

impl<W> Same<W> {
    pub(super) const fn new(worker: W) -> Self {
        Self(worker)
    }
}

impl<W: Worker + Clone + Sync> Factory for Same<W> {
    type Worker = W;

    fn make(&self, _: usize) -> Result<W, Box<dyn Error + Send + Sync>> {
        Ok(self.0.clone())
    }
}

/// Makes a worker; that it fails or panics is an error.
pub(super) fn make<F: Factory>(factory: &F, number: usize) -> Result<F::Worker, BuildError> {
    match contain(|| factory.make(number)) {
        Ok(Ok(worker)) => Ok(worker),
        Ok(Err(error)) => Err(BuildError::Worker { number, error }),
        Err(payload) => Err(BuildError::WorkerPanicked { number, payload }),
    }
}

/// What a worker has: dropped with the task, it goes back.
struct Bench<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    desk: Arc<Desk>,
    hand: VecDeque<Entry<J>>,
    finished: Vec<Completion<J, T, E>>,
    ticket: Option<Ticket>,
    /// Set while a job runs.
    runs: Option<super::JobId>,
}

impl<J, T, E> Bench<J, T, E> {
    fn give(&mut self) {
        self.shared.give(&mut self.finished);
    }

    /// The job has to wait for something: nothing else waits for the job.
    fn before_waiting(&mut self) {
        self.give();
        if !self.hand.is_empty() {
            self.shared.leave(None, &mut self.hand);
        }
    }
}

impl<J, T, E> Drop for Bench<J, T, E> {
    fn drop(&mut self) {
        if let Some(id) = self.runs.take() {
            self.finished.push(Completion { id, result: Err(JobError::Interrupted) });
        }
        self.give();
        self.shared.leave(self.ticket.take(), &mut self.hand);
        self.desk.leaves();
    }
}

/// A worker's life.
pub(super) async fn run<F: Factory>(
    number: usize,
    worker: F::Worker,
    factory: Arc<F>,
    shared: Arc<Shared<JobOf<F>, OutputOf<F>, ErrorOf<F>>>,
    desk: Arc<Desk>,
) {
    let mut worker = worker;
    let mut bench =
        Bench { shared, desk, hand: VecDeque::new(), finished: Vec::new(), ticket: None, runs: None };
    let mut slow = true;
    let mut turn = 0;
    loop {
        let Bench { shared, hand, finished, ticket, .. } = &mut bench;
        if let Next::Over = poll_fn(|cx| shared.poll_next(finished, hand, slow, ticket, cx)).await {
            return;
        }
        let mut began = bench.shared.clock.now();
        while let Some(Entry { id, job, deadline, .. }) = bench.hand.pop_front() {
            if deadline <= began {
                bench.finished.push(Completion { id, result: Err(JobError::Expired(job)) });
                continue;
            }
            bench.desk.begins(id, began);
            bench.runs = Some(id);
            let ended = do_job(&mut worker, job, &mut bench).await;
            bench.runs = None;
            let panicked = ended.is_err();
            let result = match ended {
                Ok(result) => result.map_err(JobError::Failed),
                Err(payload) => Err(JobError::Panicked(payload)),
            };
            bench.finished.push(Completion { id, result });
            let now = bench.shared.clock.now();
            slow = now.saturating_since(began) > SLOW;
            began = now;
            bench.desk.ends(now);
            if slow {
                bench.give();
            }
            if panicked {
                // Nobody knows what the panic left of it.
                match make(&*factory, number) {
                    Ok(fresh) => let_go(std::mem::replace(&mut worker, fresh)),
                    Err(_) => bench.desk.not_renewed(),
                }
            }
            turn += 1;
            if turn == TURN {
                turn = 0;
                bench.give();
                yield_now().await;
                began = bench.shared.clock.now();
            }
        }
    }
}

/// Does a job; while it waits, what was finished before does not.
async fn do_job<W: Worker>(
    worker: &mut W,
    job: W::Job,
    bench: &mut Bench<W::Job, W::Output, W::Error>,
) -> Result<Result<W::Output, W::Error>, PanicPayload> {
    let mut work = pin!(Some(contain(|| worker.work(job))?));
    let ended = poll_fn(|cx| {
        let Some(running) = work.as_mut().as_pin_mut() else { unreachable!("it is there until it ends") };
        let polled = poll_contained(running, cx);
        if polled.is_pending() {
            bench.before_waiting();
        }
        polled
    })
    .await;
    // Its destructor is a part of the job.
    contain(|| work.set(None))?;
    ended
}

fn yield_now() -> impl Future<Output = ()> {
    let mut yielded = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}
