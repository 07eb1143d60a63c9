//! [`Staged`]: a stage, before it is assembled, and how it is set up.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_sink::Sink;
use weirs_runtime::Instant;

use super::ahead::Ahead;
use super::attempt::{Duty, Expires, Outcome, Transient};
use super::desk::Desk;
use super::ending::Ending;
use super::feed::Feed;
use super::flow::{AnyFlow, Flow};
use super::judge::{Judged, Rule};
use super::parallel::{Crew, Order, Parallel};
use super::plan::{Blueprint, Check};
use super::retry::Retry;
use super::serial::Serial;
use super::site::Site;
use super::through::Through;
use super::workers::Workers;
use super::{Pipeline, fork};
use crate::dead_letter::{AnyError, BoxError};
use crate::dead_letter::{DeadLetter, DeadLetterRing};

/// A stage, before it is assembled. What it does when jobs fail, and in which order, is set up by methods of
/// [`Pipeline`].
pub struct Staged<B: Blueprint, F, E> {
    upstream: B,
    work: F,
    settings: Settings<B::Item, E>,
}

struct Settings<T, E> {
    name: &'static str,
    workers: Workers,
    unread: Option<usize>,
    order: Order<T>,
    ahead: Option<usize>,
    expires: Option<Expires<T>>,
    keep: Option<fn(&T) -> T>,
    retry: Option<Retry>,
    transient: Option<Transient<E>>,
    rule: Rule<T, E>,
    ring: Option<DeadLetterRing<T, E>>,
}

/// A stage without the rule for its failures, and the rule.
pub(super) struct Outcomes<W, T, E> {
    pub(super) flow: W,
    pub(super) rule: Rule<T, E>,
    pub(super) desk: Arc<Desk>,
}

impl<B: Blueprint, F, E> Staged<B, F, E> {
    pub(super) fn new(upstream: B, name: &'static str, workers: Workers, work: F) -> Self {
        let settings = Settings {
            name,
            workers,
            unread: None,
            order: Order::Ordered,
            ahead: None,
            expires: None,
            keep: None,
            retry: None,
            transient: None,
            rule: Rule::Stop,
            ring: None,
        };
        Self { upstream, work, settings }
    }

    pub(super) fn in_order(mut self, order: Order<B::Item>) -> Self {
        self.settings.order = order;
        self
    }

    pub(super) fn with_unread(mut self, most: usize) -> Self {
        self.settings.unread = Some(most);
        self
    }

    pub(super) fn check_settings(&self, check: &mut Check) {
        let Settings { name, workers, order, .. } = &self.settings;
        self.upstream.check(check);
        check.name(name);
        workers.check(check, name);
        match order {
            // Of keys there may be any number: they have no workers while they have nothing to do.
            Order::ByKey { per_key, .. } => check.at_least_one(*per_key, name),
            Order::Ordered | Order::Unordered => check.workers(workers.most, name),
        }
    }

    pub(super) fn expires(&self) -> Option<Expires<B::Item>> {
        self.settings.expires.clone()
    }

    /// The same with other work.
    pub(super) fn with_work<G>(self, change: impl FnOnce(F) -> G) -> Staged<B, G, E> {
        Staged { upstream: self.upstream, work: change(self.work), settings: self.settings }
    }

    /// The stage without the rule for its failures.
    pub(super) fn outcomes<U, Fut>(
        self,
        site: Site,
    ) -> Outcomes<impl Flow<Item = Outcome<B::Item, U, E>>, B::Item, E>
    where
        F: Fn(B::Item) -> Fut + Send + Sync + 'static,
        U: Send + 'static,
        E: Send + 'static,
        Fut: Future<Output: Ending<Value = U, Error = E>> + Send + 'static,
    {
        let Self { upstream, work, settings } = self;
        let flow = upstream.assemble(site.clone());
        let Settings { name, workers, unread, order, ahead, expires, keep, retry, transient, rule, ring } =
            settings;
        let desk = site.desk(name, workers.least);
        let clock = desk.gauge.is_some().then(|| site.clock().clone());
        let duty = Duty { work, keep, retry, transient, expires, desk: Arc::clone(&desk), site };
        let flow = if workers.is_one() {
            let feed = Feed::new(flow, ring, Arc::clone(&desk), clock);
            fork::Either::Left { flow: Serial::new(feed, duty) }
        } else {
            // Of any type: if what is before it were a part of both, the types of a chain would double with
            // each stage, and so would what the compiler needs for them.
            let flow: AnyFlow<B::Item> = Box::pin(flow);
            let feed = Feed::new(flow, ring, Arc::clone(&desk), clock);
            let unread = unread.unwrap_or(workers.most);
            let most = match &order {
                Order::ByKey { per_key, .. } => workers.most.saturating_mul(*per_key),
                _ => workers.most,
            };
            let most = most.saturating_add(unread);
            let duty = Arc::new(duty);
            let crew = Crew::new(&duty, workers, most, order);
            fork::Either::Right { flow: Parallel::new(feed, duty, crew, most, ahead.map(Ahead::new)) }
        };
        Outcomes { flow, rule, desk }
    }
}

impl<B, F, U, E, Fut> Blueprint for Staged<B, F, E>
where
    B: Blueprint,
    F: Fn(B::Item) -> Fut + Send + Sync + 'static,
    U: Send + 'static,
    E: Into<BoxError> + Send + 'static,
    Fut: Future<Output = Result<U, E>> + Send + 'static,
{
    type Item = U;

    fn check(&self, check: &mut Check) {
        self.check_settings(check);
    }

    fn assemble(self, site: Site) -> impl Flow<Item = U> {
        let Outcomes { flow, rule, desk } = self.outcomes(site.clone());
        Judged::new(flow, rule, E::into, desk, site)
    }
}

impl<B: Blueprint, F, E> fmt::Debug for Staged<B, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, workers, .. } = &self.settings;
        f.debug_struct("Staged").field("name", name).field("workers", workers).finish_non_exhaustive()
    }
}

/// How the stage that was added last does its work.
impl<B: Blueprint, F, E: Send + 'static> Pipeline<Staged<B, F, E>> {
    /// Hands results on as they come. Without this a stage keeps the order of its items, and holds finished
    /// ones back until those before them are done.
    pub fn unordered(mut self) -> Self {
        if let Order::Ordered = self.blueprint.settings.order {
            self.blueprint.settings.order = Order::Unordered;
        }
        self
    }

    /// How many items may be inside the stage besides those that its workers do, waiting or done: as many as
    /// there are workers, or may be, unless said otherwise. A stage with one worker has room for one.
    pub fn unread(mut self, most: usize) -> Self {
        self.blueprint.settings.unread = Some(most);
        self
    }

    /// How many items of one key may be inside a [stage by key](Pipeline::stage_by_key): 4 unless said
    /// otherwise. When a key has as many, the stage takes no more items, of any key, until one is done.
    pub fn per_key(mut self, most: usize) -> Self {
        if let Order::ByKey { per_key, .. } = &mut self.blueprint.settings.order {
            *per_key = most;
        }
        self
    }

    /// How far items may run past the oldest one in the stage that has not ended: so many are taken after it,
    /// and no more. In a stage [by key](Pipeline::stage_by_key) or [`unordered`](Self::unordered) that has
    /// several workers, others go on while one is stuck or waits to be tried again; without this, as many as
    /// there are. It has no meaning for the others.
    ///
    /// So when something goes wrong, all that may have to be done again is the oldest item and so many after
    /// it. What is in the stage at one time is bounded in any case: see [`unread`](Self::unread) and
    /// [`per_key`](Self::per_key).
    ///
    /// # Examples
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use futures_lite::stream;
    /// use weirs_pipelines::Pipeline;
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let seen = Arc::new(Mutex::new(Vec::new()));
    ///     let log = Arc::clone(&seen);
    ///     let work = move |n: u32| {
    ///         log.lock().unwrap().push(n);
    ///         async move {
    ///             if n == 0 {
    ///                 std::future::pending::<()>().await;
    ///             }
    ///             Ok::<_, std::fmt::Error>(n)
    ///         }
    ///     };
    ///     let numbers = Pipeline::source(stream::iter(0..));
    ///     let plan = numbers.stage_by_key("work", 4, |n| n % 3, work).per_key(1000).ahead(100).collect();
    ///     let running = plan.run(&runtime).unwrap();
    ///     runtime.clock().sleep(std::time::Duration::from_secs(1)).await;
    ///     assert_eq!(seen.lock().unwrap().iter().max(), Some(&100));
    ///     running.abort().await.unwrap();
    /// }).unwrap();
    /// ```
    pub fn ahead(mut self, most: usize) -> Self {
        self.blueprint.settings.ahead = Some(most);
        self
    }

    /// By when a job has to begin: one that is too late by then is not begun any more, and counted as
    /// [expired](crate::StageStats::expired). Where there are [dead letters](Self::dead_letters), it becomes
    /// one, [`Expired`](crate::Reason::Expired). To be late is no failure: it stops nothing.
    ///
    /// Jobs that have begun are not cut short: that is for a timeout, such as one in a stack of
    /// [`stage_through`](Pipeline::stage_through), which knows of the deadline. But none is tried again when
    /// its time is over. If the question panics, so does the job.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use futures_lite::stream;
    /// use weirs_pipelines::Pipeline;
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let clock = runtime.clock().clone();
    ///     let deadline = clock.now() + Duration::from_millis(25);
    ///     let slow = move |n: u32| {
    ///         let sleep = clock.sleep(Duration::from_millis(10));
    ///         async move { sleep.await; Ok::<_, std::fmt::Error>(n) }
    ///     };
    ///     let plan = Pipeline::source(stream::iter(0..9)).stage("slow", 1, slow).expires(move |_| deadline);
    ///     let summary = plan.collect().run(&runtime).unwrap().await.unwrap();
    ///     assert_eq!(summary.output, [0, 1, 2]);
    ///     assert_eq!(summary.stats.stage("slow").unwrap().expired, 6);
    /// }).unwrap();
    /// ```
    pub fn expires<D>(mut self, deadline_of: impl Fn(&B::Item) -> D + Send + Sync + 'static) -> Self
    where
        D: Into<Option<Instant>>,
    {
        self.blueprint.settings.expires = Some(Arc::new(move |job| deadline_of(job).into()));
        self
    }

    /// Leaves failed jobs out, and counts them. Without a rule the first one stops the pipeline.
    pub fn skip_failures(mut self) -> Self {
        self.blueprint.settings.rule = Rule::Skip;
        self
    }

    /// Keeps a copy of each job while it is done, so that one that fails or is cancelled can be
    /// [handed back](crate::Unprocessed).
    pub fn keep(mut self) -> Self
    where
        B::Item: Clone,
    {
        self.blueprint.settings.keep = Some(B::Item::clone);
        self
    }

    /// Tries failed jobs again, each in the hands of its worker. Where backoff has to heed a breaker, or
    /// others who call the same server, see [`stage_through`](Pipeline::stage_through).
    pub fn retry(mut self, retry: Retry) -> Self
    where
        B::Item: Clone,
    {
        self.blueprint.settings.retry = Some(retry);
        self.keep()
    }

    /// Which errors are worth another attempt: all, unless said otherwise. Others are final, and
    /// [`Permanent`](crate::Reason::Permanent).
    pub fn retry_if(mut self, is_transient: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.blueprint.settings.transient = Some(Box::new(is_transient));
        self
    }

    /// Puts failed jobs into this sink, and goes on.
    ///
    /// While the sink has no room the stage waits. When it says that it failed, it is asked again, after 100
    /// milliseconds at first and 10 seconds at last: the stage waits meanwhile, [an
    /// event](crate::PipelineEvent) tells, and the letter is not lost. A sink that fails while it takes a
    /// letter stops the pipeline, for nobody knows who has that letter.
    pub fn dead_letters<S>(mut self, sink: S) -> Self
    where
        B::Item: Clone,
        S: Sink<DeadLetter<B::Item, E>> + Send + 'static,
        S::Error: Into<BoxError>,
    {
        self.blueprint.settings.rule = Rule::DeadLetter(Box::pin(AnyError { sink }));
        self.keep()
    }

    /// Puts failed jobs into this ring, and takes from it what is [redriven](DeadLetterRing::redrive).
    pub fn dead_letters_in(mut self, ring: &DeadLetterRing<B::Item, E>) -> Self
    where
        B::Item: Clone,
    {
        self.blueprint.settings.ring = Some(ring.clone());
        self.dead_letters(ring.clone())
    }
}

/// How the stage that was added last goes through its stack.
impl<B: Blueprint, P, F, E: Send + 'static> Pipeline<Staged<B, Through<P, F>, E>> {
    /// A job that the stack refuses waits in the hands of its worker, and is tried again when the refusal
    /// says, or after 10 milliseconds at first and a second at last: so an open circuit or a spent rate
    /// limit holds the stage up, and gives up no job. Without this a refusal is a failure,
    /// [`Refused`](crate::Reason::Refused).
    ///
    /// That is for jobs whose work was not begun: for those that are refused between two attempts, have the
    /// stack's retry [wait](weirs_resilience::Retry::wait_for_ready). A refusal that stays one, such as of a
    /// limiter that was closed or by a deadline, is a failure in any case.
    pub fn wait_when_refused(mut self) -> Self {
        self.blueprint.work.waits = true;
        self
    }
}
