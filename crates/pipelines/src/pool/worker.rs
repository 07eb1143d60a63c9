//! [`Worker`]: who does the jobs.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use weirs_channels_utils::oneshot::Sender;
use weirs_runtime::waiting::Ticket;
use weirs_runtime::{Instant, Runtime};

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
    retry: Option<Retry<J>>,
    /// The job that runs, when it is tried again.
    again: Fenced<J>,
    turns: Turns,
    looks: Looks,
    pace: Pace,
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
    pub(super) fn new(shared: Arc<Shared<J, T, E>>, desk: Arc<Desk>, retry: Option<Retry<J>>) -> Self {
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
            retry,
            again: Fenced::new(None),
            turns: Turns::new(),
            looks: Looks { looked: None, jobs: 0, most: 1 },
            pace: Pace::Slow,
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
    #[inline]
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
        self.harvest.add(slip, 0, Err(error));
        if urgent {
            self.give();
        }
    }

    /// The next job that is to be done, begun, and a spare one if it may be tried again. None, if there is
    /// none in hand.
    #[inline]
    fn begins_next(&mut self) -> Option<(J, Fenced<J>)> {
        if self.again.is_there() {
            return self.begins_again();
        }
        loop {
            let Entry { slip, job } = self.hand.jobs.pop()?;
            if self.shared.is_stopped() {
                self.hand.jobs.put_back(Entry { slip, job });
                self.give_all();
                return None;
            }
            if slip.deadline != Instant::FAR_FUTURE && slip.deadline <= self.look() {
                self.shared.tell(&PoolEvent::Expired { job: slip.id });
                self.ends_unbegun(slip, JobError::Expired(job));
                continue;
            }
            if slip.reply.as_ref().is_some_and(Sender::is_closed) {
                // Nobody waits for it any more.
                let_go(job);
                self.ends_unbegun(slip, JobError::Interrupted);
                continue;
            }
            self.desk.begins(slip.id);
            self.runs = Some(Running { slip, attempts: 1 });
            let spare = Fenced::new(self.spare(&job, 1));
            return Some((job, spare));
        }
    }

    /// The job that runs is tried again.
    #[cold]
    fn begins_again(&mut self) -> Option<(J, Fenced<J>)> {
        let (job, runs) = self.again.take().zip(self.runs.as_mut())?;
        self.shared.tell(&PoolEvent::Retried { job: runs.slip.id, attempts: runs.attempts });
        runs.attempts = runs.attempts.saturating_add(1);
        let attempts = runs.attempts;
        let spare = Fenced::new(self.spare(&job, attempts));
        Some((job, spare))
    }

    /// A copy of a job that may be tried again after so many attempts.
    #[inline]
    fn spare(&self, job: &J, attempts: u32) -> Option<J> {
        let retry = self.retry.as_ref().filter(|retry| attempts <= retry.times)?;
        // A job that cannot be cloned has but one try.
        contain(|| (retry.clone)(job)).map_err(let_go).ok()
    }

    /// The job that runs has failed, or panicked: it is over, or will be tried again. Whether the executor's
    /// other tasks have their turn.
    #[cold]
    fn fails(&mut self, error: JobError<J, E>, spare: &mut Fenced<J>) -> bool {
        if !self.shared.is_stopped() && spare.is_there() {
            let_go(error);
            self.again = Fenced::new(spare.take());
            let now = self.shared.clock.now();
            return self.turns.is_over(1, Some(now), now);
        }
        if let (JobError::Panicked(panic), Some(Running { slip, .. })) = (&error, &self.runs) {
            self.shared.tell(&PoolEvent::Panicked { job: slip.id, panic });
        }
        self.settles(Err(error))
    }

    /// The executor's other tasks have their turn. Whether a job runs that is tried again after that.
    #[cold]
    fn gives_way(&mut self) -> bool {
        let goes_on = self.again.is_there();
        self.give_all();
        if !goes_on {
            self.look();
            self.looks.looked = None;
        }
        self.waits();
        goes_on
    }

    /// Polls the job that runs, which starts with the first poll. When it is done, its result is in the
    /// harvest, and it says whether the executor's other tasks have their turn; other ends come back.
    ///
    /// While it waits, what was finished before does not.
    #[inline]
    fn poll_job<Fut: Future<Output = Result<T, E>>>(
        &mut self,
        start: &mut Option<impl FnOnce() -> Fut>,
        mut work: Pin<&mut Fenced<Fut>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, JobError<J, E>>> {
        // Outside, so that it is there when the future's destructor panics.
        let mut ended = None;
        let contained = contain(|| {
            if let Some(start) = start.take() {
                work.as_mut().set(Some(start()));
            }
            let Some(running) = work.as_mut().inner() else { unreachable!("it is there until it ends") };
            if let Poll::Ready(result) = running.poll(cx) {
                ended = Some(result);
                // Its destructor is a part of the job.
                work.as_mut().set(None);
            }
        });
        match (contained, ended) {
            (Ok(()), Some(Ok(output))) => Poll::Ready(Ok(self.settles(Ok(output)))),
            (Ok(()), Some(Err(error))) => Poll::Ready(Err(JobError::Failed(error))),
            (Ok(()), None) => {
                self.give_all();
                self.waits();
                Poll::Pending
            }
            (Err(payload), unheard) => {
                if let Err(second) = contain(|| work.as_mut().set(None)) {
                    let_go(second);
                }
                let_go(unheard);
                Poll::Ready(Err(JobError::Panicked(payload)))
            }
        }
    }

    /// The job that runs is over, and who waits for it hears of it now or later. Whether the executor's other
    /// tasks have their turn.
    #[inline]
    fn settles(&mut self, result: Result<T, JobError<J, E>>) -> bool {
        let urgent = result.is_err() || self.runs.as_ref().is_some_and(|runs| runs.slip.reply.is_some());
        let ended = self.ends(result);
        self.pace = ended.pace.unwrap_or(self.pace);
        if self.pace == Pace::Slow {
            // Others may do what was to come after it.
            self.give_all();
        } else if urgent {
            self.give();
        }
        ended.turn_is_over
    }

    /// The job that runs is over.
    #[inline]
    fn ends(&mut self, result: Result<T, JobError<J, E>>) -> Ended {
        self.desk.ends();
        self.looks.jobs += 1;
        // At the end of a hand as well: what comes next may have to be waited for.
        let looks = self.looks.jobs >= self.looks.most || self.hand.jobs.is_empty() || result.is_err();
        let ended = if looks { self.look_after() } else { Ended::default() };
        if let Some(Running { slip, attempts }) = self.runs.take() {
            self.harvest.add(slip, attempts, result);
        }
        ended
    }

    /// Looks at the clock after some jobs.
    #[inline(never)]
    fn look_after(&mut self) -> Ended {
        let (began, jobs) = (self.looks.looked, self.looks.jobs);
        let now = self.look();
        let turn_is_over = self.turns.is_over(jobs, began, now);
        let since = |from: Instant, to: Instant| to.as_nanos().saturating_sub(from.as_nanos());
        let is_measured = self.shared.wants().times;
        if is_measured {
            let waited = began.zip(self.runs.as_ref()).map(|(began, runs)| since(runs.slip.since, began));
            self.harvest.took(waited.unwrap_or(0), began.map_or(0, |began| since(began, now)));
        }
        let Some(began) = began else { return Ended { pace: None, turn_is_over } };
        let (took, jobs) = (since(began, now), u64::from(jobs));
        let pace = if took > SLOW * jobs {
            Pace::Slow
        } else if took < QUICK * jobs {
            Pace::Quick
        } else {
            Pace::Steady
        };
        let is_quick = pace == Pace::Quick && !is_measured;
        self.looks.most = if is_quick { QUICK_IN_A_ROW } else { 1 };
        Ended { pace: Some(pace), turn_is_over }
    }
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
        drop(std::mem::replace(&mut self.again, Fenced::new(None)));
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
    #[inline]
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
    bench: Bench<JobOf<F>, OutputOf<F>, ErrorOf<F>>,
) {
    let (mut worker, mut bench) = (worker, bench);
    bench.worker = Some(number);
    bench.shared.tell(&PoolEvent::WorkerStarted { worker: number });
    loop {
        let next = poll_fn(|cx| {
            let Bench { shared, hand, harvest, ticket, out, pace, .. } = &mut bench;
            let next = shared.poll_next(harvest, hand, *pace, ticket, out, cx);
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
        while let Some((job, mut spare)) = bench.begins_next() {
            // Here, and not in a function of its own, whose future all this would be moved into.
            let ended = {
                let worker = &mut worker;
                let mut start = Some(move || worker.work(job));
                let mut work = pin!(Fenced::new(None));
                poll_fn(|cx| bench.poll_job(&mut start, work.as_mut(), cx)).await
            };
            let turn_is_over = ended.unwrap_or_else(|error| {
                if let JobError::Panicked(_) = error {
                    renew(&mut worker, &*factory, number, &bench.desk);
                }
                bench.fails(error, &mut spare)
            });
            drop(spare);
            if turn_is_over {
                let goes_on = bench.gives_way();
                yield_now().await;
                if !goes_on {
                    break;
                }
            }
        }
    }
}

/// Puts another worker in the place of one that panicked: nobody knows what the panic left of it.
#[cold]
fn renew<F: Factory>(worker: &mut F::Worker, factory: &F, number: usize, desk: &Desk) {
    match make(factory, number) {
        Ok(fresh) => let_go(std::mem::replace(worker, fresh)),
        Err(error) => {
            let_go(error);
            desk.not_renewed();
        }
    }
}
