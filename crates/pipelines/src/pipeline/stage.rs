//! [`Staged`]: a stage, before it is assembled, and how it is set up.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_sink::Sink;

use super::attempt::{Duty, Outcome, Transient};
use super::desk::Desk;
use super::feed::Feed;
use super::flow::Flow;
use super::judge::{AnyError, BoxError, Judged, Rule};
use super::parallel::{Crew, Order, Parallel};
use super::plan::{Blueprint, Check};
use super::retry::Retry;
use super::serial::Serial;
use super::site::Site;
use super::{Pipeline, fork};
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
    workers: usize,
    unread: Option<usize>,
    order: Order<T>,
    keep: Option<fn(&T) -> T>,
    retry: Option<Retry>,
    transient: Option<Transient<E>>,
    rule: Rule<T, E>,
    ring: Option<DeadLetterRing<T, E>>,
}

/// A stage without the rule for its failures, and the rule.
pub(super) struct Outcomes<W, T, E> {
    pub(super) flow: W,
    rule: Rule<T, E>,
    desk: Arc<Desk>,
}

impl<B: Blueprint, F, E> Staged<B, F, E> {
    pub(super) fn new(upstream: B, name: &'static str, workers: usize, work: F) -> Self {
        let settings = Settings {
            name,
            workers,
            unread: None,
            order: Order::Ordered,
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

    /// The stage without the rule for its failures.
    pub(super) fn outcomes<U, Fut>(
        self,
        site: Site,
    ) -> Outcomes<impl Flow<Item = Outcome<B::Item, U, E>>, B::Item, E>
    where
        F: Fn(B::Item) -> Fut + Send + Sync + 'static,
        U: Send + 'static,
        E: Send + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
    {
        let Self { upstream, work, settings } = self;
        let flow = upstream.assemble(site.clone());
        let Settings { name, workers, unread, order, keep, retry, transient, rule, ring } = settings;
        let desk = site.desk(name, workers);
        let feed = Feed::new(flow, ring, Arc::clone(&desk));
        let duty = Duty { work, keep, retry, transient, desk: Arc::clone(&desk), site };
        let flow = if workers == 1 {
            fork::Either::Left { flow: Serial::new(feed, duty) }
        } else {
            let unread = unread.unwrap_or(workers);
            let most = match &order {
                Order::ByKey { per_key, .. } => workers.saturating_mul(*per_key),
                _ => workers,
            };
            let most = most.saturating_add(unread);
            let duty = Arc::new(duty);
            let crew = Crew::new(&duty, workers, most, order);
            fork::Either::Right { flow: Parallel::new(feed, duty, crew, most) }
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
        self.upstream.check(check);
        check.name(self.settings.name);
        let Settings { name, workers, .. } = self.settings;
        match self.settings.order {
            // Of keys there may be any number: they have no workers while they have nothing to do.
            Order::ByKey { per_key, .. } => check.at_least_one(workers.min(per_key), name),
            Order::Ordered | Order::Unordered => check.workers(workers, name),
        }
    }

    fn assemble(self, site: Site) -> impl Flow<Item = U> {
        let Outcomes { flow, rule, desk } = self.outcomes(site.clone());
        Judged::new(flow, rule, desk, site)
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
    /// there are workers, unless said otherwise. A stage with one worker has room for one.
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

    /// Tries failed jobs again, each in the hands of its worker.
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
