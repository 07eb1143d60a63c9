//! [`Pipeline`]: a source, stages, and an end.

mod ahead;
mod attempt;
mod batch;
mod buffer;
mod desk;
mod each;
mod ending;
mod feed;
mod finish;
mod flow;
mod fork;
mod gate;
mod gauge;
mod judge;
mod outlet;
mod parallel;
mod plan;
mod retry;
mod running;
mod serial;
mod site;
mod stage;
mod stats;
mod tempo;
mod through;
mod unprocessed;
mod workers;

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use weirs_channels_utils::{Overflow, Sender};
use weirs_resilience::{Attempt, Error, Policy, Stack};

pub(crate) use each::each_outcome;
pub use gauge::Throughput;
pub(crate) use parallel::Order;
pub use retry::Retry;
pub use running::{Drive, PipelineError, PipelineHandle, Plan, Running, Summary};
pub use site::{Cause, PipelineEvent};
pub use stats::{PipelineStats, StageStats};
pub use unprocessed::{Left, Unprocessed};
pub use workers::Workers;

/// What the types of pipelines name, for the compiler's sake.
pub(crate) mod plumbing {
    pub use super::batch::Batched;
    pub use super::buffer::Buffered;
    pub use super::each::EachOutcome;
    pub use super::finish::{End, Finish, Folded, ForEach, Into};
    pub use super::flow::Flow;
    pub use super::fork::{Branch, Broadcast, Merged};
    pub use super::outlet::Outlet;
    pub use super::plan::{Blueprint, Check};
    pub use super::site::Site;
    pub use super::stage::Staged;
    pub use super::through::Through;
    pub use super::{FromStream, Functional};
}

use crate::dead_letter::BoxError;
use finish::{Finish, Folded, ForEach, Into};
use flow::{Flow, Mapped, Origin};
use fork::{Branch, Broadcast, Merged};
use outlet::Outlet;
use plan::{Blueprint, Check};
use site::Site;
use stage::Staged;
use through::Through;

/// A source, stages, and an end; to be run [on a runtime](Plan::run) or [in the caller's task](Plan::drive).
///
/// Nothing happens before it runs: a pipeline is a description, and its types are checked by the compiler.
///
/// # Where stages run
/// Synchronous steps, [`map`](Self::map) and [`filter_map`](Self::filter_map), cost a function call. Stages
/// with one worker share a task, an island: between them there is no queue and no lock, and still they wait
/// together, for while one waits the others go on. A stage with several workers has them as tasks of the
/// runtime. A [`buffer`](Self::buffer) is where an island ends: what is before it runs in a task of its own.
///
/// # What is bounded
/// Everything. A stage with one worker holds two items, and its result; a stage with n workers twice n,
/// unless [told otherwise](Self::unread); a buffer what it is told, and a batch that is on its way into it.
/// Whoever has no room takes nothing more, so that the source waits in the end.
///
/// # What becomes of a job that fails
/// The first one stops the pipeline, unless its stage has a rule: [`skip_failures`](Self::skip_failures),
/// [`retry`](Self::retry), [`dead_letters`](Self::dead_letters). A panic is a failure, too. What was taken
/// before it goes through to the end; what came after it comes back in the [error](PipelineError).
///
/// # Examples
/// Three stages, as in Go's articles on pipelines: numbers, their squares, their sum.
/// ```
/// use std::convert::Infallible;
/// use futures_lite::stream;
/// use weirs_pipelines::Pipeline;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let square = async |n: u64| Ok::<_, Infallible>(n * n);
///     let plan = Pipeline::source(stream::iter(1..=100))
///         .map(|n: u32| u64::from(n))
///         .stage("square", 4, square)
///         .buffer(16)
///         .fold(0, |sum, square| *sum += square);
///     let summary = plan.run(&runtime).unwrap().await.unwrap();
///     assert_eq!(summary.output, 338_350);
///     assert_eq!(summary.stats.stage("square").unwrap().given, 100);
/// }).unwrap();
/// ```
#[must_use = "a pipeline does nothing before it runs"]
pub struct Pipeline<B> {
    blueprint: B,
}

impl<S> Pipeline<FromStream<S>>
where
    S: Stream<Item: Send + 'static> + Send + 'static,
{
    /// Begins with the items of a stream.
    pub fn source(stream: S) -> Self {
        Self { blueprint: FromStream(stream) }
    }
}

impl<B: Blueprint> Pipeline<B> {
    /// A function of each item, without a task or a queue.
    pub fn map<U, F>(self, mut f: F) -> Pipeline<impl Blueprint<Item = U>>
    where
        U: Send + 'static,
        F: FnMut(B::Item) -> U + Send + 'static,
    {
        self.filter_map(move |item| Some(f(item)))
    }

    /// A function of each item that may leave it out.
    pub fn filter_map<U, F>(self, f: F) -> Pipeline<Functional<B, F>>
    where
        U: Send + 'static,
        F: FnMut(B::Item) -> Option<U> + Send + 'static,
    {
        self.then(|upstream| Functional { upstream, f })
    }

    /// Those items of which the question says so.
    pub fn filter<F>(self, mut is_wanted: F) -> Pipeline<impl Blueprint<Item = B::Item>>
    where
        F: FnMut(&B::Item) -> bool + Send + 'static,
    {
        self.filter_map(move |item| is_wanted(&item).then_some(item))
    }

    /// A job for each item, so many at once; results come in the order of the items, unless it is
    /// [`unordered`](Self::unordered).
    ///
    /// One worker works in the task of its neighbours; several are tasks of the runtime. How many is good:
    /// for work that waits, as many as may wait at once; for work that computes, as many as there are
    /// processors. [`Workers::adaptive`] finds a number while it runs.
    pub fn stage<U, E, F, Fut>(
        self,
        name: &'static str,
        workers: impl std::convert::Into<Workers>,
        work: F,
    ) -> Pipeline<Staged<B, F, E>>
    where
        F: Fn(B::Item) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
        U: Send + 'static,
        E: std::convert::Into<BoxError> + Send + 'static,
    {
        self.then(|upstream| Staged::new(upstream, name, workers.into(), work))
    }

    /// A [`stage`](Self::stage) whose work goes through a stack of policies: retries with backoff, a timeout,
    /// a breaker, a limit. The work is told which [`Attempt`] it is.
    ///
    /// A job is cloned for each attempt; put what is large into an [`Arc`]. What the stack
    /// gives is what counts: a job that succeeds at its third attempt is a success, and one that fails is a
    /// failure once, by the rule of the stage, with the [`Error`] of the stack. Attempts beyond the first are
    /// counted as [retried](StageStats::retried), and a dead letter tells how many there were. What the stack
    /// refuses, as a breaker does that is open, is a failure, [`Refused`](crate::Reason::Refused), unless the
    /// stage is to [wait](Pipeline::wait_when_refused).
    ///
    /// Use it where the work asks something outside, which may be slow or ill and is shared with others: all
    /// stages and callers that have one stack, by a clone or an `Arc`, have one breaker and one budget. Where
    /// jobs fail for reasons of their own, [`retry`](Pipeline::retry) is less, and enough.
    ///
    /// Build the stack on the [clock](weirs_resilience::StackBuilder::clock) of the runtime.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use futures_lite::stream;
    /// use weirs_pipelines::Pipeline;
    /// use weirs_resilience::{Attempt, Retry, Stack};
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let stack = Stack::builder()
    ///         .clock(runtime.clock())
    ///         .retry(Retry::exponential(Duration::from_millis(50)).retries(2))
    ///         .timeout(Duration::from_secs(1))
    ///         .build()
    ///         .unwrap();
    ///     let call = async |n: u32, at: Attempt| if at.number() < 3 { Err("not yet") } else { Ok(n) };
    ///     let numbers = Pipeline::source(stream::iter(0..10));
    ///     let plan = numbers.stage_through("call", 8, stack, call).collect();
    ///     let summary = plan.run(&runtime).unwrap().await.unwrap();
    ///     assert_eq!(summary.output.len(), 10);
    ///     assert_eq!(summary.stats.stage("call").unwrap().retried, 20);
    /// }).unwrap();
    /// ```
    pub fn stage_through<U, E, P, S, F, Fut>(
        self,
        name: &'static str,
        workers: impl std::convert::Into<Workers>,
        stack: impl std::convert::Into<Arc<Stack<P>>>,
        work: F,
    ) -> Pipeline<Staged<B, Through<P, F>, Error<E>>>
    where
        B::Item: Clone,
        P: Policy<U, E, State = S> + Send + Sync + 'static,
        S: Send + 'static,
        F: Fn(B::Item, Attempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
        U: Send + 'static,
        E: std::convert::Into<BoxError> + Send + 'static,
    {
        self.then(|upstream| Staged::new(upstream, name, workers.into(), Through::new(stack.into(), work)))
    }

    /// A job for each item: for each key one at a time and in order, and so many keys at once. Results come
    /// as they are ready, those of one key in order.
    ///
    /// A key has a place while it has something to do, and no longer: there may be any number of them. While
    /// one is stuck, or waits to be tried again, the others go on, until [so many](Pipeline::per_key) items
    /// of that key are in the stage, or the stage is [so far](Pipeline::ahead) past the oldest.
    /// Inside it are, however long one is stuck, at most as many items as there may be keys times those of a
    /// key, and as many results as may be [unread](Pipeline::unread).
    pub fn stage_by_key<U, E, K, N, F, Fut>(
        self,
        name: &'static str,
        keys: impl std::convert::Into<Workers>,
        key_of: N,
        work: F,
    ) -> Pipeline<Staged<B, F, E>>
    where
        K: Hash,
        N: Fn(&B::Item) -> K + Send + Sync + 'static,
        F: Fn(B::Item) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
        U: Send + 'static,
        E: std::convert::Into<BoxError> + Send + 'static,
    {
        self.then(|upstream| Staged::new(upstream, name, keys.into(), work).in_order(Order::by_key(key_of)))
    }

    /// Several items as one: so many, or what has come within this time of the first.
    ///
    /// The end, and a [stop](Running::stop), send what there is, without waiting.
    pub fn batch(self, most: usize, within: Duration) -> Pipeline<batch::Batched<B>> {
        self.then(|upstream| batch::Batched::new(upstream, most, within))
    }

    /// What is before runs in a task of its own, and so many items wait in between.
    pub fn buffer(self, capacity: usize) -> Pipeline<buffer::Buffered<B>> {
        self.buffer_with(capacity, Overflow::Block)
    }

    /// A [`buffer`](Self::buffer) that says what happens when it is full. What the policy drops is
    /// [counted](StageStats::overflowed); with [`Overflow::Error`] a full buffer stops the pipeline.
    pub fn buffer_with(self, capacity: usize, overflow: Overflow) -> Pipeline<buffer::Buffered<B>> {
        self.then(|upstream| buffer::Buffered::new(upstream, capacity, overflow))
    }

    /// What comes out of this one and of another, in turn.
    pub fn merge<C: Blueprint<Item = B::Item>>(self, other: Pipeline<C>) -> Pipeline<Merged<B, C>> {
        self.then(|upstream| Merged::new(upstream, other.blueprint))
    }

    /// Each item into two branches; then what comes out of them, in turn.
    ///
    /// The slower branch holds the other up, when it is `bound` items behind.
    ///
    /// # Examples
    /// ```
    /// use weirs_pipelines::Pipeline;
    /// use weirs_runtime::block_on;
    ///
    /// let numbers = Pipeline::source(futures_lite::stream::iter([1, 2, 3]));
    /// let plan = numbers.broadcast(4, |one| one.map(|n| n * 10), |other| other.map(|n| n * 100)).collect();
    /// let mut all = block_on(plan.drive().unwrap()).unwrap().output;
    /// all.sort();
    /// assert_eq!(all, [10, 20, 30, 100, 200, 300]);
    /// ```
    pub fn broadcast<L, R>(
        self,
        bound: usize,
        left: impl FnOnce(Pipeline<Branch<B::Item>>) -> Pipeline<L>,
        right: impl FnOnce(Pipeline<Branch<B::Item>>) -> Pipeline<R>,
    ) -> Pipeline<Broadcast<B, L, R>>
    where
        B::Item: Clone,
        L: Blueprint,
        R: Blueprint<Item = L::Item>,
    {
        let left = |blueprint| left(Pipeline { blueprint }).blueprint;
        let right = |blueprint| right(Pipeline { blueprint }).blueprint;
        self.then(|upstream| Broadcast::new(upstream, bound, left, right))
    }

    /// Ends with a future for each item, one after another.
    pub fn for_each<F, Fut>(self, f: F) -> Plan<B, ForEach<F, Fut>>
    where
        F: FnMut(B::Item) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Plan::new(self.blueprint, ForEach::new(f))
    }

    /// Ends in a sink. When the sink fails, the pipeline stops.
    pub fn into_sink<S>(self, sink: S) -> Plan<B, Into<S, B::Item>>
    where
        S: Sink<B::Item> + Send + 'static,
        S::Error: std::convert::Into<BoxError>,
    {
        Plan::new(self.blueprint, Into::new(sink))
    }

    /// Ends in a value to which each item adds something.
    pub fn fold<A, F>(self, value: A, f: F) -> Plan<B, Folded<A, F>>
    where
        A: Send + 'static,
        F: FnMut(&mut A, B::Item) + Send + 'static,
    {
        Plan::new(self.blueprint, Folded::new(value, f))
    }

    /// Ends in a vector of all.
    pub fn collect(self) -> Plan<B, impl Finish<B::Item, Output = Vec<B::Item>>> {
        self.fold(Vec::new(), |all, item| all.push(item))
    }

    /// Ends in a channel, into which so many go at once if they are ready.
    pub(crate) fn into_channel(self, sender: Sender<B::Item>, at_once: usize) -> Plan<B, Outlet<B::Item>> {
        Plan::new(self.blueprint, Outlet::new(sender, at_once))
    }

    fn then<C>(self, next: impl FnOnce(B) -> C) -> Pipeline<C> {
        Pipeline { blueprint: next(self.blueprint) }
    }
}

impl<B> fmt::Debug for Pipeline<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

/// A source, before it is assembled.
#[derive(Debug)]
pub struct FromStream<S>(S);

impl<S> Blueprint for FromStream<S>
where
    S: Stream<Item: Send + 'static> + Send + 'static,
{
    type Item = S::Item;

    fn check(&self, _: &mut Check) {}

    fn assemble(self, site: Site) -> impl Flow<Item = S::Item> {
        Origin::new(self.0, site)
    }
}

/// A function of each item, before it is assembled.
#[derive(Debug)]
pub struct Functional<B, F> {
    upstream: B,
    f: F,
}

impl<B, U, F> Blueprint for Functional<B, F>
where
    B: Blueprint,
    U: Send + 'static,
    F: FnMut(B::Item) -> Option<U> + Send + 'static,
{
    type Item = U;

    fn check(&self, check: &mut Check) {
        self.upstream.check(check);
    }

    fn assemble(self, site: Site) -> impl Flow<Item = U> {
        let mut before = Check::default();
        self.upstream.check(&mut before);
        Mapped::new(self.upstream.assemble(site.clone()), self.f, before.last_name(), site)
    }
}
