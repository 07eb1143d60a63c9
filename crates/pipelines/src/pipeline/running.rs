//! [`Plan`], [`Running`], [`Drive`]: a pipeline from its source to its end, and how it runs.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use weirs_runtime::waiting::Ticket;
use weirs_runtime::{Clock, Runtime, Task};

use super::finish::{End, Finish};
use super::flow::Flow;
use super::plan::{Blueprint, Check};
use super::site::{Cause, Observer, PipelineEvent, Site, Yard};
use super::stats::PipelineStats;
use super::unprocessed::Unprocessed;
use crate::Invalid;
use crate::panics::{contain, let_go};

/// A pipeline from its source to its end, ready to run: on a [runtime](Self::run), or in the
/// [caller's task](Self::drive).
#[must_use = "a plan does nothing before it runs"]
pub struct Plan<B, G> {
    blueprint: B,
    finish: G,
    clock: Clock,
    observer: Option<Observer>,
    measured: bool,
}

impl<B: Blueprint, G: Finish<B::Item>> Plan<B, G> {
    pub(super) fn new(blueprint: B, finish: G) -> Self {
        Self { blueprint, finish, clock: Clock::default(), observer: None, measured: false }
    }

    /// Whose time [`drive`](Self::drive) goes by: real time, unless said otherwise. On a runtime it is the
    /// runtime's.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Measures how long jobs wait and take in each stage, and how many end in a second:
    /// [`times`](crate::StageStats::times), [`recent`](crate::StageStats::recent) and
    /// [`buffered`](crate::StageStats::buffered).
    ///
    /// It costs three looks at the clock for each job, two for each item in a buffer, and some ten kilobytes
    /// for each stage.
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
    ///     let work = move |n: u64| {
    ///         let sleep = clock.sleep(Duration::from_millis(n));
    ///         async move { sleep.await; Ok::<_, std::fmt::Error>(n) }
    ///     };
    ///     let plan = Pipeline::source(stream::iter(1..=100)).stage("work", 4, work).collect().measured();
    ///     let stats = plan.run(&runtime).unwrap().await.unwrap().stats;
    ///     let work = stats.stage("work").unwrap().times.unwrap().work;
    ///     // Within a sixteenth.
    ///     assert_eq!((work.count, work.p95.as_millis()), (100, 95));
    ///     println!("{stats}");
    /// }).unwrap();
    /// ```
    pub fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// Tells of what happens, as it happens, in whatever task it does. No lock is held meanwhile, and a panic
    /// in here is no one else's.
    pub fn on_event(mut self, observer: impl Fn(&PipelineEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Starts it: the stages are tasks, one for those between two [buffers](crate::Pipeline::buffer), and one
    /// for each worker of a stage that has several.
    ///
    /// # Errors
    /// A setting that makes no sense, or two stages of one name.
    pub fn run(self, runtime: &Runtime) -> Result<Running<G::Output>, Invalid> {
        let clock = runtime.clock().clone();
        let (driver, site) = self.assemble(Some(runtime.clone()), clock)?;
        let task = runtime.builder().name("pipeline").spawn(driver);
        Ok(Running { task: Some(task), site })
    }

    /// One future that does everything in the task that polls it, stages with several workers among it.
    ///
    /// # Errors
    /// A setting that makes no sense, or two stages of one name.
    pub fn drive(mut self) -> Result<Drive<G::Output>, Invalid> {
        let clock = mem::take(&mut self.clock);
        let (driver, site) = self.assemble(None, clock)?;
        Ok(Drive { driver: Some(Box::pin(driver)), site })
    }

    fn assemble(
        self,
        runtime: Option<Runtime>,
        clock: Clock,
    ) -> Result<(impl Future<Output = Ended<G::Output>> + Send + use<B, G>, Site), Invalid> {
        let mut check = Check::default();
        self.blueprint.check(&mut check);
        check.result()?;
        let site = Site::new(runtime, clock, self.observer, self.measured);
        let flow = self.blueprint.assemble(site.clone());
        let end = End { desk: site.desk_of_end("sink"), site: site.clone() };
        let yard = site.take_yard();
        let driver = Driver {
            flow: Some(flow),
            finish: self.finish,
            end,
            yard,
            aborted: false,
            aborting: None,
            settling: None,
        };
        Ok((driver, site))
    }
}

impl<B, G> fmt::Debug for Plan<B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

/// What a driver comes to.
struct Ended<O> {
    output: O,
    aborted: bool,
}

pin_project! {
    /// Runs a pipeline: its last island, and whatever else has to be seen to.
    struct Driver<W, G> {
        #[pin]
        flow: Option<W>,
        #[pin]
        finish: G,
        end: End,
        yard: Yard,
        aborted: bool,
        aborting: Option<Ticket>,
        settling: Option<Ticket>,
    }

    impl<W, G> PinnedDrop for Driver<W, G> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let site = &this.end.site;
            site.forget_driver(this.aborting, this.settling);
            // Nobody sees to what is left behind from here on.
            site.stop();
            site.close();
            let_go(mem::take(this.yard));
        }
    }
}

impl<W: Flow, G: Finish<W::Item>> Future for Driver<W, G> {
    type Output = Ended<G::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let site = &this.end.site;
        if let Some(flow) = this.flow.as_mut().as_pin_mut() {
            let mut ended = site.poll_aborting(this.aborting, cx).is_ready();
            *this.aborted |= ended;
            if !ended {
                ended = match contain(|| this.finish.as_mut().poll(flow, this.end, cx)) {
                    Ok(polled) => polled.is_ready(),
                    Err(payload) => {
                        site.fail("sink", Cause::Panicked(payload));
                        true
                    }
                };
            }
            if ended {
                if let Err(payload) = contain(|| this.flow.set(None)) {
                    site.fail("source", Cause::Panicked(payload));
                }
            }
        }
        this.yard.pumps.retain_mut(|pump| match contain(|| pump.as_mut().poll(cx)) {
            Ok(polled) => polled.is_pending(),
            Err(payload) => {
                site.fail("buffer", Cause::Panicked(payload));
                false
            }
        });
        if this.flow.is_some() {
            return Poll::Pending;
        }
        // Boundaries end when nobody takes what they send, workers when they are told.
        let is_quiet = site.poll_quiet(this.settling, cx).is_ready();
        let Yard { pumps, tasks, .. } = this.yard;
        tasks.append(&mut site.take_tasks());
        tasks.retain_mut(|task| match Pin::new(task).poll(cx) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                if let Err(error) = ended {
                    let_go(error);
                    site.fail("buffer", Cause::Lost);
                }
                false
            }
        });
        if !is_quiet || !pumps.is_empty() || !tasks.is_empty() {
            return Poll::Pending;
        }
        let output = this.finish.end(this.end);
        Poll::Ready(Ended { output, aborted: *this.aborted })
    }
}

/// What a pipeline came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary<O> {
    /// What was made at the end of it.
    pub output: O,
    /// What each stage has done.
    pub stats: PipelineStats,
    /// Whether it was cut short.
    pub aborted: bool,
    /// What was left in the hands of the stages. Empty, unless it was cut short.
    pub unprocessed: Unprocessed,
}

/// Why a pipeline has stopped before its end, and what there was by then.
///
/// What came before the failed job was finished. What came after it stays in the source, or is here.
#[derive(Debug)]
#[non_exhaustive]
pub struct PipelineError<O = ()> {
    /// Which stage.
    pub stage: &'static str,
    /// Why.
    pub cause: Cause,
    /// What was made at the end of it so far; none if the runtime is gone.
    pub output: Option<O>,
    /// What each stage has done.
    pub stats: PipelineStats,
    /// What was left in the hands of the stages.
    pub unprocessed: Unprocessed,
}

impl<O> fmt::Display for PipelineError<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.cause)
    }
}

impl<O: fmt::Debug> Error for PipelineError<O> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Failed(error) | Cause::DeadLetters(error) => error.source(),
            _ => None,
        }
    }
}

fn result_of<O>(site: &Site, ended: Option<Ended<O>>) -> Result<Summary<O>, PipelineError<O>> {
    let (stats, unprocessed) = (site.stats(), site.take_unprocessed());
    let error = site.take_error();
    match (error, ended) {
        (None, Some(Ended { output, aborted })) => Ok(Summary { output, stats, aborted, unprocessed }),
        (error, ended) => {
            let (stage, cause) = error.unwrap_or(("sink", Cause::Lost));
            Err(PipelineError { stage, cause, output: ended.map(|ended| ended.output), stats, unprocessed })
        }
    }
}

/// A pipeline that runs; made by [`Plan::run`]. It is the future of its end.
///
/// # Waiting
/// Until the end of the source has come through, or of what was there when it was [stopped](Self::stop). When
/// it is ready, nothing of the pipeline is left: no task, no job, no source.
///
/// # Cancel safety
/// Dropped, the pipeline is dropped: its tasks are cancelled, and what was in their hands is gone. Polled by
/// reference it may be waited for in pieces.
///
/// # Errors
/// The first failure that no rule deals with.
#[must_use = "a dropped pipeline is cancelled; await it"]
pub struct Running<O> {
    task: Option<Task<Ended<O>>>,
    site: Site,
}

impl<O: Send + 'static> Running<O> {
    /// A look at it.
    pub fn stats(&self) -> PipelineStats {
        self.site.stats()
    }

    /// Takes nothing more out of the source, and drops it. What was taken goes through to the end.
    pub fn stop(&self) {
        self.site.stop();
    }

    /// A handle that looks at the pipeline and stops it, from anywhere.
    pub fn handle(&self) -> PipelineHandle {
        PipelineHandle(self.site.clone())
    }

    /// Takes nothing more, finishes what can be finished within this time, and hands back the rest.
    ///
    /// # Waiting
    /// At most so long, and then as long as cancelled jobs take to be dropped.
    ///
    /// # Cancel safety
    /// The pipeline goes with the future.
    ///
    /// # Errors
    /// The first failure that no rule deals with.
    pub async fn drain(mut self, limit: Duration) -> Result<Summary<O>, PipelineError<O>> {
        self.stop();
        let clock = self.site.clock().clone();
        if let Ok(ended) = clock.timeout(limit, &mut self).await {
            return ended;
        }
        self.abort().await
    }

    /// Cancels all that runs, and hands back what is not done.
    ///
    /// # Waiting
    /// As long as cancelled jobs take to be dropped.
    ///
    /// # Cancel safety
    /// It takes effect at once, whether or not the future is polled; dropped, what comes back is dropped.
    ///
    /// # Errors
    /// The first failure that no rule deals with, if there was one before.
    pub fn abort(self) -> Self {
        self.site.abort();
        self
    }
}

impl<O: Send + 'static> Future for Running<O> {
    type Output = Result<Summary<O>, PipelineError<O>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(task) = &mut this.task else { panic!("it is not polled after its end") };
        let ended = ready!(Pin::new(task).poll(cx));
        this.task = None;
        Poll::Ready(result_of(&this.site, ended.ok()))
    }
}

impl<O> fmt::Debug for Running<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("stats", &self.site.stats()).finish_non_exhaustive()
    }
}

/// Looks at a pipeline and stops it, from anywhere; it does not keep the pipeline alive.
#[derive(Clone)]
pub struct PipelineHandle(Site);

impl PipelineHandle {
    /// A look at it.
    pub fn stats(&self) -> PipelineStats {
        self.0.stats()
    }

    /// As [`Running::stop`].
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Cancels all that runs: whoever waits for the pipeline is handed what is not done.
    pub fn abort(&self) {
        self.0.abort();
    }
}

impl fmt::Debug for PipelineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineHandle").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A whole pipeline as one future; made by [`Plan::drive`].
///
/// # Waiting
/// Until the end of the source has come through. All stages make progress while it is polled, and only then.
///
/// # Cancel safety
/// Dropped, the pipeline is dropped, and what was in its hands.
///
/// # Errors
/// The first failure that no rule deals with.
#[must_use = "nothing runs before it is awaited"]
pub struct Drive<O> {
    driver: Option<Pin<Box<dyn Future<Output = Ended<O>> + Send>>>,
    site: Site,
}

impl<O> Drive<O> {
    /// A handle that looks at the pipeline and stops it, from anywhere.
    pub fn handle(&self) -> PipelineHandle {
        PipelineHandle(self.site.clone())
    }
}

impl<O> Future for Drive<O> {
    type Output = Result<Summary<O>, PipelineError<O>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(driver) = &mut this.driver else { panic!("it is not polled after its end") };
        let ended = ready!(driver.as_mut().poll(cx));
        this.driver = None;
        Poll::Ready(result_of(&this.site, Some(ended)))
    }
}

impl<O> fmt::Debug for Drive<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").field("stats", &self.site.stats()).finish_non_exhaustive()
    }
}
