//! [`ResilientBuilder`]: how a resilient pipeline is set up.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_sink::Sink;
use weirs_limiters::{Denied, Limit};
use weirs_resilience::{Backoff, Breaker, ByDefault, Classify, Error};
use weirs_runtime::{Clock, Runtime};

use super::ResilientPipeline;
use super::case::Steady;
use super::place::Place;
use super::plan::Plan;
use super::stats::ResilientEvent;
use crate::dead_letter::BoxError;
use crate::pool::MOST_WORKERS;
use crate::{BuildError, DeadLetter, Invalid, WorkerPool};

/// Sets a resilient pipeline up; made by [`ResilientPipeline::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct ResilientBuilder<F, J, T, E> {
    work: F,
    plan: Plan<J, T, E>,
    workers: usize,
    queue: usize,
    unread: usize,
    measured: bool,
}

impl<F, Fut, J, T, E> ResilientBuilder<F, J, T, E>
where
    J: Clone + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: Fn(J) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    pub(super) fn new(work: F) -> Self {
        let judge = Box::new(|result: &Result<T, Error<E>>| ByDefault.classify(result));
        let plan = Plan::new(Clock::default(), judge);
        Self { work, plan, workers: 4, queue: 64, unread: 64, measured: false }
    }

    /// How many workers there are: 4 unless said otherwise.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many jobs may wait: 64 unless said otherwise.
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// How many ends may be unread before [`submit`](ResilientPipeline::submit) waits, besides the room
    /// that the queue and the workers leave: 64 unless said otherwise.
    pub fn unread(mut self, unread: usize) -> Self {
        self.unread = unread;
        self
    }

    /// Each call needs one of this limiter. A worker that it does not let go waits.
    pub fn limit(mut self, limiter: impl Limit + 'static) -> Self {
        self.plan.limit = Some(Arc::new(limiter));
        self
    }

    /// Calls go through this breaker. While its circuit is open, workers wait.
    pub fn breaker(mut self, breaker: &Arc<Breaker>) -> Self {
        self.plan.breaker = Some(Arc::clone(breaker));
        self
    }

    /// No call takes longer than this: it is dropped then, and has failed.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.plan.timeout = Some(limit);
        self
    }

    /// A job whose call failed is tried again, so many times, with these pauses. The worker keeps it
    /// meanwhile.
    pub fn retry(mut self, retries: u32, pauses: Backoff) -> Self {
        (self.plan.retries, self.plan.pauses) = (retries, pauses);
        self
    }

    /// When a job is the probe of an ill server and fails, that is no attempt of its own: at most so many
    /// times for each job, 10 unless said otherwise.
    ///
    /// So an outage does not use up jobs, and a job that fails always does not keep the circuit open for
    /// ever. Who wants no job to be a probe drives [`Breaker::probe_with`].
    pub fn spare_probes(mut self, times: u32) -> Self {
        self.plan.spared_probes = times;
        self
    }

    /// What the end of a call means to the breaker, to the limiter, and for another attempt: an error that
    /// is a [`Failure`](weirs_resilience::Class::Failure),
    /// [`Throttled`](weirs_resilience::Class::Throttled) or [`After`](weirs_resilience::Class::After) is
    /// worth one. By default all errors and timeouts are failures.
    pub fn classify(mut self, judge: impl Classify<T, E> + Send + Sync + 'static) -> Self {
        self.plan.judge = Box::new(move |result| judge.classify(result));
        self
    }

    /// What stands in for the result of a job that failed for good; without an answer the job is a dead
    /// letter. It gets the last error, if the job did not panic at once. It is not asked for jobs that were
    /// too late to begin.
    pub fn fallback(
        mut self,
        substitute: impl Fn(&J, Option<&Error<E>>) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        self.plan.fallback = Some(Box::new(substitute));
        self
    }

    /// Where dead letters go: any sink, such as a [`DeadLetterRing`](crate::DeadLetterRing). Workers wait
    /// for it; one that fails is asked again, with growing pauses. Without it, letters are among the
    /// results.
    pub fn dead_letters<S>(mut self, sink: S) -> Self
    where
        S: Sink<DeadLetter<J, Error<E>>> + Send + 'static,
        S::Error: Into<BoxError>,
    {
        self.plan.place = Some(Place::new(sink));
        self
    }

    /// Measures how long jobs wait in the queue, and how long workers have them in their hands, with all that
    /// they wait for: [`ResilientStats::times`](crate::ResilientStats::times). It costs a look at the clock
    /// for each job, and a few kilobytes.
    pub fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// How often a job may be handed in again by [`redrive`](ResilientPipeline::redrive): 3 times unless said
    /// otherwise.
    pub fn redrive_cap(mut self, most: u32) -> Self {
        self.plan.redrive_cap = most;
        self
    }

    /// Calls this, from the workers, when something is worth to be known.
    pub fn on_event(mut self, watcher: impl Fn(&ResilientEvent<'_>) + Send + Sync + 'static) -> Self {
        self.plan.watcher = Some(Box::new(watcher));
        self
    }

    /// The pipeline, with its workers at work.
    ///
    /// # Errors
    /// A setting that makes no sense: no worker, no queue, a timeout of nothing, pauses that cannot be, a
    /// limiter that will never let a call through.
    pub fn build(self, runtime: &Runtime) -> Result<ResilientPipeline<J, T, E>, BuildError> {
        let Self { work, mut plan, workers, queue, unread, measured } = self;
        let invalid = |field, why| Err(BuildError::Invalid(Invalid::new(field, why)));
        if workers == 0 {
            return invalid("resilient.workers", "there has to be at least one");
        }
        if workers > MOST_WORKERS {
            return invalid("resilient.workers", "so many cannot be started");
        }
        if queue == 0 {
            return invalid("resilient.queue", "there has to be at least one");
        }
        if plan.timeout == Some(Duration::ZERO) {
            return invalid("resilient.timeout", "no call would have any time");
        }
        if plan.pauses.check().is_err() {
            return invalid("resilient.retry", "pauses that cannot be");
        }
        if let Some(limit) = &plan.limit {
            if let Err(Denied::TooLarge { .. } | Denied::Closed) = limit.peek_at(limit.clock().now(), 1) {
                return invalid("resilient.limit", "it will never let a call through");
            }
        }
        plan.clock = runtime.clock().clone();
        let (plan, work) = (Arc::new(plan), Arc::new(work));
        let made = Arc::clone(&plan);
        let make = move |_: usize| Ok::<_, io::Error>(Steady::new(&made, &work));
        let pool = WorkerPool::with_workers(make).workers(workers).queue(queue).unread(unread);
        let pool = if measured { pool.measured() } else { pool };
        let pool = pool.build(runtime)?;
        Ok(ResilientPipeline::new(pool, plan))
    }
}

impl<F, J, T, E> fmt::Debug for ResilientBuilder<F, J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientBuilder")
            .field("workers", &self.workers)
            .field("queue", &self.queue)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}
