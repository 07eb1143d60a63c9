//! [`Worker`]: who does the jobs.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use weirs_channels_utils::oneshot::Sender;
use weirs_runtime::waiting::Ticket;
use weirs_runtime::{Instant, PanicPayload, Runtime};

use super::builder::BuildError;
use super::completion::JobError;
use super::crew::Desk;
use super::entry::{Entry, Hand, Out, Slip};
use super::event::PoolEvent;
use super::harvest::Harvest;
use super::queue::Queue;
use super::state::{Next, Pace, Shared};
use super::{ErrorOf, JobOf, OutputOf};
use crate::panics::{Fenced, contain, let_go};
use crate::turn::yield_now;

/// A worker that is slower than this takes one job at a time, so that none waits behind a slow one; in
/// nanoseconds.
const SLOW: u64 = 20_000;

/// Of jobs that are quicker than this, the clock is looked at after several: a look costs as much as a short
/// job.
const QUICK: u64 = 1_000;

/// After so many of them.
const QUICK_IN_A_ROW: u32 = 8;

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

    /// Called once, with the pool's runtime, before the first worker is made.
    ///
    /// # Errors
    /// Why no worker can be made on this runtime.
    fn prepare(&mut self, runtime: &Runtime) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _ = runtime;
        Ok(())
    }
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

/// Tries a job again that failed or panicked.
pub(super) struct Retry<J> {
    pub(super) times: u32,
    pub(super) clone: fn(&J) -> J,
}

impl<J> Clone for Retry<J> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<J> Copy for Retry<J> {}

/// What a worker has: dropped with the task, it goes back. It is there before the task is, so that one that
/// the executor refuses is missed.
pub(super) struct Bench<J, T, E> {
    shared: Arc<Shared<J, T, E>>,
    desk: Arc<Desk>,
    /// Whose it is, once that one has begun.
    worker: Option<usize>,
    hand: Hand<J, T, E>,
    harvest: Harvest<J, T, E>,
    out: Out<J, T, E>,
    ticket: Option<Ticket>,
    /// Set while a job runs.
    runs: Option<Running<J, T, E>>,
    turns: Turns,
    looks: Looks,
}

struct Running<J, T, E> {
    slip: Slip<J, T, E>,
    attempts: u32,
}

/// When the worker looked at the clock, and when it will do so again.
struct Looks {
    /// The last look; none if it has waited since.
    looked: Option<Instant>,
    /// Jobs since then.
    jobs: u32,
    /// After so many it looks again.
    most: u32,
}

impl<J, T, E> Bench<J, T, E> {
    /// Of a worker that the state has counted.
    pub(super) fn new(shared: Arc<Shared<J, T, E>>, desk: Arc<Desk>) -> Self {
        let harvest = Harvest::new(shared.wants());
        Self {
            shared,
            desk,
            worker: None,
            hand: Hand::default(),
            harvest,
            out: Out::default(),
            ticket: None,
            runs: None,
            turns: Turns::new(),
            looks: Looks { looked: None, jobs: 0, most: 1 },
        }
    }

    /// The last look at the clock, or one now.
    fn looked(&mut self) -> Instant {
        match self.looks.looked {
            Some(looked) => looked,
            None => self.look(),
        }
    }

    /// Looks at the clock; what ran since the last look is over.
    fn look(&mut self) -> Instant {
        let now = self.shared.clock.now();
        self.desk.looked(now, self.looks.looked.is_some());
        self.looks.looked = Some(now);
        self.looks.jobs = 0;
        now
    }

    /// It waits, and nobody knows how long.
    fn waits(&mut self) {
        self.turns = Turns::new();
        self.looks.most = 1;
    }

    /// Gives what is finished.
    fn give(&mut self) {
        self.shared.give(&mut self.harvest, &mut Queue::default(), &mut self.out);
    }

    /// Gives what is finished and what was not begun: the job has to wait for something, and nothing else
    /// waits for the job.
    fn give_all(&mut self) {
        self.shared.give(&mut self.harvest, &mut self.hand.jobs, &mut self.out);
    }

    /// A job is over that was not begun.
    fn ends_unbegun(&mut self, slip: Slip<J, T, E>, error: JobError<J, E>) {
        let urgent = slip.reply.is_some();
        self.harvest.add(slip, 0, Err(error), (0, 0));
        if urgent {
            self.give();
        }
    }

    /// The job that runs is over.
    #[inline]
    fn ends(&mut self, result: Result<T, JobError<J, E>>) -> Ended {
        self.desk.ends();
        self.looks.jobs += 1;
        // At the end of a hand as well: what comes next may have to be waited for.
        let looks = self.looks.jobs >= self.looks.most || self.hand.jobs.is_empty() || result.is_err();
        let Looked { times, ended } = if looks { self.look_after() } else { Looked::default() };
        if let Some(Running { slip, attempts }) = self.runs.take() {
            self.harvest.add(slip, attempts, result, times);
        }
        ended
    }

    /// Looks at the clock after some jobs.
    #[inline(never)]
    fn look_after(&mut self) -> Looked {
        let (began, jobs) = (self.looks.looked, self.looks.jobs);
        let now = self.look();
        let turn_is_over = self.turns.is_over(jobs, began, now);
        let Some(began) = began else {
            return Looked { ended: Ended { pace: None, turn_is_over }, ..Looked::default() };
        };
        let jobs = u64::from(jobs);
        let since = |from: Instant, to: Instant| to.as_nanos().saturating_sub(from.as_nanos());
        let took = since(began, now);
        let is_measured = self.shared.wants().times;
        let waited =
            self.runs.as_ref().filter(|_| is_measured).map(|running| since(running.slip.since, began));
        let times = waited.map_or((0, 0), |waited| (waited, took));
        let pace = match took {
            took if took > SLOW * jobs => Pace::Slow,
            took if took < QUICK * jobs => Pace::Quick,
            _ => Pace::Steady,
        };
        let is_quick = pace == Pace::Quick && !is_measured;
        self.looks.most = if is_quick { QUICK_IN_A_ROW } else { 1 };
        Looked { times, ended: Ended { pace: Some(pace), turn_is_over } }
    }
}

/// What is seen on the clock after a job; nothing, if it was not looked at.
#[derive(Default)]
struct Looked {
    times: (u64, u64),
    ended: Ended,
}

/// What is known when a job is over.
#[derive(Default)]
struct Ended {
    /// If the clock was looked at.
    pace: Option<Pace>,
    /// The executor's other tasks have their turn.
    turn_is_over: bool,
}

impl<J, T, E> Drop for Bench<J, T, E> {
    fn drop(&mut self) {
        if self.runs.is_some() {
            self.ends(Err(JobError::Interrupted));
        }
        self.give_all();
        self.desk.leaves();
        if let Some(worker) = self.worker {
            self.shared.tell(&PoolEvent::WorkerEnded { worker });
        }
        self.shared.leave(self.ticket.take(), &self.hand);
    }
}

/// When the executor's other tasks have their turn.
struct Turns {
    jobs: u32,
    /// None when they just had it.
    began: Option<Instant>,
}

impl Turns {
    const MOST_JOBS: u32 = 128;
    const LONGEST: Duration = Duration::from_millis(1);

    const fn new() -> Self {
        Self { jobs: 0, began: None }
    }

    /// Some jobs are over, the first of which began then, if that is known.
    fn is_over(&mut self, jobs: u32, began: Option<Instant>, now: Instant) -> bool {
        self.jobs += jobs;
        self.began = self.began.or(began);
        let is_long = |began| now.saturating_since(began) > Self::LONGEST;
        self.jobs >= Self::MOST_JOBS || self.began.is_some_and(is_long)
    }
}

/// A worker's life.
pub(super) async fn run<F: Factory>(
    number: usize,
    worker: F::Worker,
    factory: Arc<F>,
    retry: Option<Retry<JobOf<F>>>,
    bench: Bench<JobOf<F>, OutputOf<F>, ErrorOf<F>>,
) {
    let (mut worker, mut bench) = (worker, bench);
    let mut pace = Pace::Slow;
    bench.worker = Some(number);
    bench.shared.tell(&PoolEvent::WorkerStarted { worker: number });
    loop {
        let next = poll_fn(|cx| {
            let Bench { shared, hand, harvest, ticket, out, .. } = &mut bench;
            let next = shared.poll_next(harvest, hand, pace, ticket, out, cx);
            if next.is_pending() {
                bench.waits();
                bench.looks.looked = None;
            }
            next
        });
        if let Next::Leave = next.await {
            return;
        }
        bench.looked();
        while let Some(Entry { slip, job }) = bench.hand.jobs.pop() {
            if bench.shared.is_stopped() {
                bench.hand.jobs.put_back(Entry { slip, job });
                bench.give_all();
                break;
            }
            if slip.deadline != Instant::FAR_FUTURE && slip.deadline <= bench.look() {
                bench.shared.tell(&PoolEvent::Expired { job: slip.id });
                bench.ends_unbegun(slip, JobError::Expired(job));
                continue;
            }
            if slip.reply.as_ref().is_some_and(Sender::is_closed) {
                // Nobody waits for it any more.
                let_go(job);
                bench.ends_unbegun(slip, JobError::Interrupted);
                continue;
            }
            let urgent = slip.reply.is_some();
            bench.desk.begins(slip.id);
            bench.runs = Some(Running { slip, attempts: 0 });
            let result = try_job(number, &mut worker, job, &*factory, retry, &mut bench).await;
            let ended_badly = result.is_err();
            let ended = bench.ends(result);
            pace = ended.pace.unwrap_or(pace);
            if pace == Pace::Slow {
                // Others may do what was to come after it.
                bench.give_all();
            } else if urgent || ended_badly {
                bench.give();
            }
            if ended.turn_is_over {
                bench.give_all();
                bench.look();
                bench.waits();
                bench.looks.looked = None;
                yield_now().await;
                break;
            }
        }
    }
}

/// Does a job, and once more if it fails or panics, as often as is said.
async fn try_job<F: Factory>(
    number: usize,
    worker: &mut F::Worker,
    job: JobOf<F>,
    factory: &F,
    retry: Option<Retry<JobOf<F>>>,
    bench: &mut Bench<JobOf<F>, OutputOf<F>, ErrorOf<F>>,
) -> Result<OutputOf<F>, JobError<JobOf<F>, ErrorOf<F>>> {
    let mut job = job;
    let mut retries = retry.map_or(0, |retry| retry.times);
    loop {
        let mut spare = Fenced::new(retry.filter(|_| retries > 0).and_then(|retry| {
            // A job that cannot be cloned has but one try.
            contain(|| (retry.clone)(&job)).map_err(let_go).ok()
        }));
        if let Some(runs) = &mut bench.runs {
            runs.attempts = runs.attempts.saturating_add(1);
        }
        let ended = do_job(worker, job, bench).await;
        if ended.is_err() {
            // Nobody knows what the panic left of it.
            match make(factory, number) {
                Ok(fresh) => let_go(std::mem::replace(worker, fresh)),
                Err(error) => {
                    let_go(error);
                    bench.desk.not_renewed();
                }
            }
        }
        let is_done = matches!(ended, Ok(Ok(_))) || bench.shared.is_stopped();
        if !is_done && spare.is_there() {
            let_go(ended);
            let now = bench.shared.clock.now();
            if bench.turns.is_over(1, Some(now), now) {
                bench.give_all();
                bench.waits();
                yield_now().await;
            }
            let Some(again) = spare.take() else { unreachable!("it is there") };
            job = again;
            retries -= 1;
            if let Some(Running { slip, attempts, .. }) = &bench.runs {
                bench.shared.tell(&PoolEvent::Retried { job: slip.id, attempts: *attempts });
            }
            continue;
        }
        return match ended {
            Ok(result) => result.map_err(JobError::Failed),
            Err(payload) => {
                if let Some(Running { slip, .. }) = &bench.runs {
                    bench.shared.tell(&PoolEvent::Panicked { job: slip.id, panic: &payload });
                }
                Err(JobError::Panicked(payload))
            }
        };
    }
}

/// Does a job; while it waits, what was finished before does not.
async fn do_job<W: Worker>(
    worker: &mut W,
    job: W::Job,
    bench: &mut Bench<W::Job, W::Output, W::Error>,
) -> Result<Result<W::Output, W::Error>, PanicPayload> {
    let mut start = Some((worker, job));
    let mut work = pin!(Fenced::new(None));
    poll_fn(|cx| {
        // Outside, so that it is there when the future's destructor panics.
        let mut ended = None;
        let contained = contain(|| {
            if let Some((worker, job)) = start.take() {
                work.as_mut().set(Some(worker.work(job)));
            }
            let Some(running) = work.as_mut().inner() else { unreachable!("it is there until it ends") };
            if let Poll::Ready(result) = running.poll(cx) {
                ended = Some(result);
                // Its destructor is a part of the job.
                work.as_mut().set(None);
            }
        });
        match (contained, ended) {
            (Ok(()), Some(result)) => Poll::Ready(Ok(result)),
            (Ok(()), None) => {
                bench.give_all();
                bench.waits();
                Poll::Pending
            }
            (Err(payload), unheard) => {
                if let Err(second) = contain(|| work.as_mut().set(None)) {
                    let_go(second);
                }
                let_go(unheard);
                Poll::Ready(Err(payload))
            }
        }
    })
    .await
}
