//! [`WorkerPoolBuilder`]: how a pool is set up.

use std::error::Error;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use weirs_runtime::{PanicPayload, Runtime};

use super::adaptive::{Controller, manage};
use super::crew::Crew;
use super::event::{Observer, PoolEvent};
use super::state::{KeyOf, Shared};
use super::worker::{Factory, Retry, make};
use super::{JobOf, PoolOf, Starter, WorkerPool};
use crate::Invalid;

/// More workers than this are not meant.
pub(crate) const MOST_WORKERS: usize = 1 << 24;

/// Sets a pool up; made by [`WorkerPool::builder`], [`WorkerPool::with_workers`] and
/// [`WorkerPool::blocking`].
#[must_use = "a builder does nothing until `build`"]
pub struct WorkerPoolBuilder<F: Factory> {
    factory: F,
    workers: RangeInclusive<usize>,
    queue: usize,
    unread: usize,
    ordered: bool,
    discards: bool,
    stop_on_error: bool,
    measured: bool,
    key: Option<KeyOf<JobOf<F>>>,
    retry: Option<Retry<JobOf<F>>>,
    controller: Option<Box<dyn Controller>>,
    observer: Option<Observer>,
}

impl<F: Factory> WorkerPoolBuilder<F> {
    pub(super) fn new(factory: F) -> Self {
        Self {
            factory,
            workers: 4..=4,
            queue: 64,
            unread: 64,
            ordered: false,
            discards: false,
            stop_on_error: false,
            measured: false,
            key: None,
            retry: None,
            controller: None,
            observer: None,
        }
    }

    /// How many workers there are: 4 unless said otherwise, and 2^24 at most.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers..=workers;
        self.controller = None;
        self
    }

    /// As many workers as a controller says, at least and at most so many; at first, the least.
    ///
    /// It is asked once in each of its [windows](Controller::window) by a task of its own. A worker that is
    /// one too many leaves between two jobs. [`QueueWait`](crate::QueueWait) is a good one. It has the pool
    /// [measured](Self::measured).
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    /// use weirs_pipelines::{QueueWait, WorkerPool};
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let clock = runtime.clock().clone();
    ///     let asks_a_server = move |n: u64| {
    ///         let answer = clock.sleep(Duration::from_millis(50));
    ///         async move { answer.await; Ok::<_, Infallible>(n) }
    ///     };
    ///     let pool = WorkerPool::builder(asks_a_server)
    ///         .adaptive(1..=40, QueueWait::new(Duration::from_millis(20)))
    ///         .discard_results()
    ///         .build(&runtime)
    ///         .unwrap();
    ///     // Far more than one worker can do.
    ///     pool.submit_many(0..2000).await.unwrap();
    ///     assert!(pool.stats().workers.len() > 10);
    /// }).unwrap();
    /// ```
    pub fn adaptive(mut self, workers: RangeInclusive<usize>, controller: impl Controller) -> Self {
        self.workers = workers;
        self.controller = Some(Box::new(controller));
        self
    }

    /// How many jobs may wait: 64 unless said otherwise.
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// How many results may be unread before [`submit`](WorkerPool::submit) waits, besides the room that the
    /// queue and the workers leave: 64 unless said otherwise.
    pub fn unread(mut self, unread: usize) -> Self {
        self.unread = unread;
        self
    }

    /// Gives the results in the order of submission. As many as may be unread wait for a slow one before
    /// them.
    pub fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// Results are discarded, and counted, until somebody takes [`results`](WorkerPool::results).
    pub fn discard_results(mut self) -> Self {
        self.discards = true;
        self
    }

    /// After the first error or panic among the results no job is begun any more, and none is taken.
    ///
    /// Those that run are finished. What was not begun is handed back by [`shutdown`](WorkerPool::shutdown).
    /// Errors of a [`call`](WorkerPool::call) are for its caller, and stop nothing.
    pub fn stop_on_error(mut self) -> Self {
        self.stop_on_error = true;
        self
    }

    /// Tries a job that fails or panics again, at once and so many times.
    ///
    /// With a pause between, or for some errors only, have the job retry itself: that holds its worker, and
    /// so does this.
    pub fn retries(mut self, times: u32) -> Self
    where
        JobOf<F>: Clone,
    {
        self.retry = (times > 0).then_some(Retry { times, clone: JobOf::<F>::clone });
        self
    }

    /// Jobs of one key run one after another, in the order of submission; those of other keys go on
    /// meanwhile.
    ///
    /// A key whose jobs pile up has one of them in the queue at a time, so that it does not hold up the
    /// others; all of them count for the [bound of the queue](Self::queue). (Keys are compared by a 64-bit
    /// hash: two keys of one hash would wait for each other.)
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use weirs_pipelines::WorkerPool;
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let save = async |(user, line): (&'static str, u32)| Ok::<_, Infallible>((user, line));
    ///     let pool = WorkerPool::builder(save).by_key(|(user, _)| *user).build(&runtime).unwrap();
    ///     pool.submit_many([("ann", 1), ("bob", 1), ("ann", 2)]).await.unwrap();
    ///     assert_eq!(pool.close().await.done, 3);
    /// }).unwrap();
    /// ```
    pub fn by_key<K: Hash>(mut self, key: impl Fn(&JobOf<F>) -> K + Send + Sync + 'static) -> Self {
        self.key = Some(Arc::new(move |job| {
            // The same in every run.
            let mut hasher = DefaultHasher::new();
            key(job).hash(&mut hasher);
            hasher.finish()
        }));
        self
    }

    /// Measures how long jobs wait and take: [`PoolStats::times`](crate::PoolStats::times). It costs a look
    /// at the clock for each job, and a few kilobytes.
    pub fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// Tells of what happens, as it happens, in whatever task it does: what takes long in here makes that
    /// wait. No lock is held meanwhile, and a panic in here is no one else's.
    ///
    /// # Examples
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use weirs_pipelines::{PoolEvent, WorkerPool};
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let log = Arc::new(Mutex::new(Vec::new()));
    ///     let seen = Arc::clone(&log);
    ///     let work = async |n: u64| if n == 3 { panic!("three") } else { Ok::<_, std::fmt::Error>(n) };
    ///     let pool = WorkerPool::builder(work)
    ///         .on_event(move |event| {
    ///             if let PoolEvent::Panicked { job, panic } = event {
    ///                 seen.lock().unwrap().push(format!("{job}: {}", panic.message()));
    ///             }
    ///         })
    ///         .build(&runtime)
    ///         .unwrap();
    ///     pool.submit_many(0..5).await.unwrap();
    ///     pool.close().await;
    ///     assert_eq!(*log.lock().unwrap(), ["#3: three"]);
    /// }).unwrap();
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&PoolEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }
}

impl<F: Factory> WorkerPoolBuilder<F> {
    /// The pool, with its workers at work.
    ///
    /// # Errors
    /// A setting that makes no sense, or a worker that could not be made or started.
    pub fn build(self, runtime: &Runtime) -> Result<PoolOf<F>, BuildError> {
        let Self { mut factory, workers, retry, controller, .. } = self;
        let (least, most) = (*workers.start(), *workers.end());
        for (value, field) in [(least, "pool.workers"), (self.queue, "pool.queue")] {
            if value == 0 {
                return Err(BuildError::Invalid(Invalid::new(field, "there has to be at least one")));
            }
        }
        if least > most {
            return Err(BuildError::Invalid(Invalid::new("pool.workers", "the least is above the most")));
        }
        if least > MOST_WORKERS {
            return Err(BuildError::Invalid(Invalid::new("pool.workers", "so many cannot be started")));
        }
        let controller = controller.map(|controller| (controller.window(), controller));
        if controller.as_ref().is_some_and(|(window, _)| window.is_zero()) {
            return Err(BuildError::Invalid(Invalid::new("pool.controller", "its window is zero")));
        }
        factory.prepare(runtime).map_err(BuildError::Runtime)?;
        let made = (0..least).map(|number| make(&factory, number)).collect::<Result<Vec<_>, _>>()?;
        let plan = Plan {
            queue: self.queue,
            unread: self.unread,
            workers: least,
            most_workers: most,
            ordered: self.ordered,
            discards: self.discards,
            stop_on_error: self.stop_on_error,
            measured: self.measured || controller.is_some(),
            key: self.key,
        };
        let shared = Shared::new(runtime.clock().clone(), &plan, self.observer);
        let (crew, factory) = (Arc::new(Crew::default()), Arc::new(factory));
        let pool = WorkerPool::new(Arc::clone(&shared), Arc::clone(&crew));
        let starter = Starter { runtime: runtime.clone(), shared, crew, factory, retry };
        for (number, worker) in made.into_iter().enumerate() {
            starter.start(number, worker);
        }
        if !starter.shared.has_workers() {
            return Err(BuildError::Refused);
        }
        if let Some((window, controller)) = controller {
            let crew = Arc::clone(&starter.crew);
            let manager = manage(starter, controller, window, workers);
            crew.manage(runtime.builder().name("manager of workers").spawn(manager));
        }
        Ok(pool)
    }
}

impl<F: Factory> fmt::Debug for WorkerPoolBuilder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPoolBuilder")
            .field("workers", &self.workers)
            .field("queue", &self.queue)
            .field("unread", &self.unread)
            .field("ordered", &self.ordered)
            .finish_non_exhaustive()
    }
}

/// How a pool's state is set up.
pub(super) struct Plan<J> {
    pub(super) queue: usize,
    pub(super) unread: usize,
    /// How many workers there are at first, and at most.
    pub(super) workers: usize,
    pub(super) most_workers: usize,
    pub(super) ordered: bool,
    pub(super) discards: bool,
    pub(super) stop_on_error: bool,
    pub(super) measured: bool,
    pub(super) key: Option<KeyOf<J>>,
}

/// Why there is no pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting makes no sense.
    Invalid(Invalid),
    /// The factory could not make a worker.
    Worker {
        /// Which one.
        number: usize,
        /// Why.
        error: Box<dyn Error + Send + Sync>,
    },
    /// The factory panicked.
    WorkerPanicked {
        /// At which worker.
        number: usize,
        /// With what.
        payload: PanicPayload,
    },
    /// The runtime has not what the workers need.
    Runtime(Box<dyn Error + Send + Sync>),
    /// The runtime took none of the workers: its executor is gone.
    Refused,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Worker { number, error } => write!(f, "worker {number} could not be made: {error}"),
            Self::WorkerPanicked { number, payload } => {
                write!(f, "making worker {number} panicked: {}", payload.message())
            }
            Self::Runtime(error) => error.fmt(f),
            Self::Refused => f.write_str("the executor takes no tasks"),
        }
    }
}

impl Error for BuildError {}
