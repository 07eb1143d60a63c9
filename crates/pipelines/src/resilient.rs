//! [`ResilientPipeline`]: workers on a queue that call something which may be ill.

mod answer;
mod builder;
mod case;
mod drain;
mod gate;
mod place;
mod plan;
mod redrive;
mod results;
mod stats;
mod submit;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weirs_resilience::Error;

pub use answer::{Answer, Answered};
pub use builder::ResilientBuilder;
pub use drain::{ResilientDrained, Unfinished};
pub use redrive::{RedriveError, ResilientRedrive};
pub use results::ResilientResults;
pub use stats::{ResilientCounts, ResilientEvent, ResilientStats};
pub use submit::{ResilientIntake, ResilientSubmit};

use crate::{DeadLetter, JobId, SubmitError, WorkerPool};
use case::Item;
use plan::Plan;

/// A queue, workers, a limiter, a breaker, a timeout, retries, a fallback, and a place for what is given
/// up.
///
/// It is for jobs that call something outside, which is slow, limited, and at times ill.
///
/// - An open circuit or a full limiter makes the workers wait, until the circuit's time has come or the
///   limiter lets one go. No job is given up for it: the queue fills, and [`submit`](Self::submit) waits.
/// - A job whose deadline passed is not begun.
/// - Only the call counts for the breaker: no wait in a queue, no slow reader of results, no slow place
///   for letters.
/// - Every job ends once: done, with a fallback, as a dead letter, or handed back by
///   [`drain`](Self::drain).
///
/// Jobs are cloned for each call, so that they are still there when it fails; put what is large into an
/// [`Arc`].
///
/// # Examples
/// A shop that is closed for two seconds:
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
/// use futures_lite::StreamExt;
/// use weirs_limiters::Semaphore;
/// use weirs_pipelines::{Answer, DeadLetterRing, ResilientPipeline};
/// use weirs_resilience::{Backoff, Breaker};
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let clock = runtime.clock().clone();
///     let opens = clock.now() + Duration::from_secs(2);
///     let order = {
///         let clock = clock.clone();
///         move |n: u32| {
///             let is_open = clock.now() >= opens;
///             async move { if is_open { Ok(n) } else { Err("closed") } }
///         }
///     };
///     let breaker = Breaker::consecutive(3).open_for(Duration::from_secs(1)).clock(&clock).build().unwrap();
///     let letters = DeadLetterRing::new(NonZeroUsize::new(100).unwrap());
///     let pipeline = ResilientPipeline::builder(order)
///         .workers(2)
///         .limit(Semaphore::new(8))
///         .breaker(&breaker)
///         .timeout(Duration::from_secs(5))
///         .retry(3, Backoff::constant(Duration::from_millis(100)))
///         .dead_letters(letters.clone())
///         .build(&runtime)
///         .unwrap();
///     let mut results = pipeline.results();
///     for n in 0..10 {
///         pipeline.submit(n).await.unwrap();
///     }
///     let counts = pipeline.close().await;
///     assert_eq!((counts.done, letters.len()), (10, 0));
///     assert!(matches!(results.next().await.unwrap().answer, Answer::Done(_)));
/// }).unwrap();
/// ```
pub struct ResilientPipeline<J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    pool: WorkerPool<Item<J>, Answer<J, T, E>, Infallible>,
    intake: ResilientIntake<J, T, E>,
    plan: Arc<Plan<J, T, E>>,
}

impl ResilientPipeline<(), (), ()> {
    /// Workers that all run the same closure.
    pub fn builder<J, T, E, F, Fut>(work: F) -> ResilientBuilder<F, J, T, E>
    where
        J: Clone + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
        F: Fn(J) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        ResilientBuilder::new(work)
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> ResilientPipeline<J, T, E> {
    fn new(pool: WorkerPool<Item<J>, Answer<J, T, E>, Infallible>, plan: Arc<Plan<J, T, E>>) -> Self {
        let intake = ResilientIntake(pool.intake());
        Self { pool, intake, plan }
    }

    /// Hands in a job. Give it a deadline with [`by`](ResilientSubmit::by).
    ///
    /// # Waiting
    /// While the queue is full, or too many results are unread: so for as long as the circuit is open, too.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the job was not taken, and is dropped with the future.
    ///
    /// # Errors
    /// The job comes back when the pipeline is closed.
    pub fn submit(&self, job: J) -> ResilientSubmit<'_, J, T, E> {
        self.intake.submit(job)
    }

    /// Hands in a job if there is room at once.
    ///
    /// # Errors
    /// The job comes back, with the reason.
    pub fn try_submit(&self, job: J) -> Result<JobId, SubmitError<J>> {
        self.intake.try_submit(job)
    }

    /// Hands a dead letter's job in again. Should it be given up once more, its letter says how often that
    /// was; and a job that comes back as often as the [cap](ResilientBuilder::redrive_cap) allows stays with
    /// its letter.
    ///
    /// # Waiting
    /// As [`submit`](Self::submit).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the job was not taken, and is dropped with the future.
    ///
    /// # Errors
    /// The letter comes back when the pipeline is closed, or when it was handed in as often as may be.
    ///
    /// # Examples
    /// ```
    /// use futures_lite::StreamExt;
    /// use weirs_pipelines::{Answer, RedriveError, ResilientPipeline};
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let work = async |_: u32| Err::<(), _>("closed");
    ///     let pipeline = ResilientPipeline::builder(work).redrive_cap(2).build(&runtime).unwrap();
    ///     let mut results = pipeline.results();
    ///     pipeline.submit(7).await.unwrap();
    ///     let kept = loop {
    ///         let Answer::GivenUp(letter) = results.next().await.unwrap().answer else { unreachable!() };
    ///         match pipeline.redrive(*letter).await {
    ///             Err(RedriveError::TooOften(letter)) => break letter,
    ///             handed_in => drop(handed_in.unwrap()),
    ///         }
    ///     };
    ///     assert_eq!((kept.job, kept.redrives), (7, 2));
    /// }).unwrap();
    /// ```
    pub fn redrive(&self, letter: DeadLetter<J, Error<E>>) -> ResilientRedrive<'_, J, T, E> {
        ResilientRedrive::new(&self.intake.0, letter, self.plan.redrive_cap)
    }

    /// Another handle to hand in jobs by.
    pub fn intake(&self) -> ResilientIntake<J, T, E> {
        self.intake.clone()
    }

    /// What becomes of the jobs, as they end.
    ///
    /// Several of them compete: each end goes to one. When the last is dropped, ends are discarded.
    pub fn results(&self) -> ResilientResults<J, T, E> {
        ResilientResults(self.pool.results())
    }

    /// Takes no more jobs, and finishes those that it has. The future waits for the end.
    ///
    /// It takes effect at once, whether or not the future is polled. Unread results hold nobody up.
    ///
    /// # Waiting
    /// While the circuit is open, too. [`drain`](Self::drain) has a limit.
    ///
    /// # Cancel safety
    /// Dropped, the pipeline stays closed, and goes on.
    pub fn close(&self) -> impl Future<Output = ResilientCounts> {
        let close = self.pool.close();
        async move {
            close.await;
            self.counts()
        }
    }

    /// Takes no more jobs, finishes what can be finished within `limit`, and hands back what is left: what
    /// waits, what workers hold while they wait, and what was cancelled in the middle of a call.
    ///
    /// # Waiting
    /// At most `limit`, and then as long as cancelled calls take to be dropped.
    ///
    /// # Cancel safety
    /// The pipeline goes with the future: what is not done by then is dropped.
    pub async fn drain(self, limit: Duration) -> ResilientDrained<J, T, E> {
        let Self { pool, intake, plan } = self;
        drop(intake);
        let report = pool.shutdown(limit).await;
        let mut handed_back = plan.take_left();
        plan.count(|counts| counts.handed_back += report.handed_back.len() as u64);
        let waited = report.handed_back.into_iter();
        handed_back.extend(waited.map(|(_, item)| Unfinished { job: item.job, attempts: 0 }));
        let counts = ResilientCounts { taken: report.settled.taken, ..plan.counts() };
        ResilientDrained {
            counts,
            handed_back,
            unread: report.unread.into_iter().filter_map(results::answered).collect(),
        }
    }

    /// A look at it.
    pub fn stats(&self) -> ResilientStats {
        let pool = self.pool.stats();
        ResilientStats {
            queued: pool.queued,
            in_hand: pool.in_hand,
            unread: pool.unread,
            closed: pool.closed,
            paused: self.plan.paused.load(Ordering::Relaxed),
            limited: self.plan.limited.load(Ordering::Relaxed),
            times: pool.times,
            circuit: self.plan.breaker.as_ref().map(|breaker| breaker.state()),
            counts: ResilientCounts { taken: pool.counts.taken, ..self.plan.counts() },
        }
    }

    fn counts(&self) -> ResilientCounts {
        self.stats().counts
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for ResilientPipeline<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientPipeline").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
