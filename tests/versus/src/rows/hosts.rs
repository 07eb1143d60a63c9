//! The executors that rows run on.

use std::future::{Future, pending};
use std::sync::Arc;
use std::thread;

use weirs_runtime::{AsyncStd, Runtime, Smol, Tokio, block_on};

/// An executor, and the place on it that spawns.
pub(super) trait Host: Clone + 'static {
    /// Runs the future to its end, there.
    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T;

    /// Spawns by the executor's own means; called within [`run`](Host::run).
    fn spawn(spawner: &Self::Spawner, future: impl Future<Output = ()> + Send + 'static) -> Self::Handle;

    /// What the executor's own means need.
    type Spawner: Send + Sync + 'static;

    /// What they give.
    type Handle: Future<Output: Send> + Send + Unpin + 'static;

    /// What [`spawn`](Host::spawn) needs.
    fn spawner(&self) -> Self::Spawner;

    /// The same executor as a runtime.
    fn runtime(&self) -> Runtime;
}

/// tokio on one thread; the code that spawns is what this thread blocks on.
#[derive(Clone)]
pub(super) struct TokioCurrentThread(Arc<tokio::runtime::Runtime>);

impl TokioCurrentThread {
    pub(super) fn new() -> Self {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Self(Arc::new(tokio.expect("tokio starts")))
    }

    /// Runs a future that may stay on this thread, as long as it likes without having to yield.
    ///
    /// tokio counts what a task does and makes it wait after 128 waits that did not wait. A row that polls
    /// sleeps in a loop would measure that.
    pub(super) fn run_here<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(tokio::task::unconstrained(future))
    }

    pub(super) fn handle(&self) -> &tokio::runtime::Handle {
        self.0.handle()
    }
}

impl Host for TokioCurrentThread {
    type Spawner = ();
    type Handle = tokio::task::JoinHandle<()>;

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.0.block_on(future)
    }

    fn spawn((): &(), future: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        tokio::spawn(future)
    }

    fn spawner(&self) {}

    fn runtime(&self) -> Runtime {
        Runtime::from(Tokio::on(self.0.handle().clone()))
    }
}

/// tokio on two worker threads; the code that spawns is a task.
#[derive(Clone)]
pub(super) struct TokioMultiThread(Arc<tokio::runtime::Runtime>);

impl TokioMultiThread {
    pub(super) fn new() -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        Self(Arc::new(tokio.expect("tokio starts")))
    }

    /// The same, and its threads look after sockets as well.
    pub(super) fn with_sockets() -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self(Arc::new(tokio.expect("tokio starts")))
    }
}

impl Host for TokioMultiThread {
    type Spawner = ();
    type Handle = tokio::task::JoinHandle<()>;

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.0.block_on(self.0.spawn(future)).expect("no row panics")
    }

    fn spawn((): &(), future: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        tokio::spawn(future)
    }

    fn spawner(&self) {}

    fn runtime(&self) -> Runtime {
        Runtime::from(Tokio::on(self.0.handle().clone()))
    }
}

/// smol's global executor with its one thread; the code that spawns is a task, on that thread.
#[derive(Clone)]
pub(super) struct SmolGlobal;

impl Host for SmolGlobal {
    type Spawner = ();
    type Handle = smol::Task<()>;

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        smol::block_on(smol::spawn(future))
    }

    fn spawn((): &(), future: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        smol::spawn(future)
    }

    fn spawner(&self) {}

    fn runtime(&self) -> Runtime {
        Runtime::from(Smol::global())
    }
}

/// smol's global executor; the code that spawns is on another thread.
#[derive(Clone)]
pub(super) struct SmolFromOutside;

impl Host for SmolFromOutside {
    type Spawner = ();
    type Handle = smol::Task<()>;

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        smol::block_on(future)
    }

    fn spawn((): &(), future: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        smol::spawn(future)
    }

    fn spawner(&self) {}

    fn runtime(&self) -> Runtime {
        Runtime::from(Smol::global())
    }
}

/// An executor of one's own, run by this thread; the code that spawns is what this thread blocks on.
#[derive(Clone)]
pub(super) struct SmolOwn(Arc<smol::Executor<'static>>);

impl SmolOwn {
    pub(super) fn new() -> Self {
        Self(Arc::new(smol::Executor::new()))
    }
}

impl Host for SmolOwn {
    type Spawner = Arc<smol::Executor<'static>>;
    type Handle = smol::Task<()>;

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        block_on(self.0.run(future))
    }

    fn spawn(executor: &Self::Spawner, future: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        executor.spawn(future)
    }

    fn spawner(&self) -> Self::Spawner {
        Arc::clone(&self.0)
    }

    fn runtime(&self) -> Runtime {
        Runtime::from(Smol::on(Arc::clone(&self.0)))
    }
}

/// An executor of smol's that two threads run, as those of its global one do where it has two; the code that
/// spawns is a task.
#[derive(Clone)]
pub(super) struct SmolTwoThreads(Arc<smol::Executor<'static>>);

impl SmolTwoThreads {
    /// Its threads stay: an experiment has a process of its own.
    pub(super) fn new() -> Self {
        let executor = Arc::new(smol::Executor::new());
        for _ in 0..2 {
            let executor = Arc::clone(&executor);
            thread::spawn(move || smol::block_on(executor.run(pending::<()>())));
        }
        Self(executor)
    }
}

impl Host for SmolTwoThreads {
    type Spawner = Arc<smol::Executor<'static>>;
    type Handle = smol::Task<()>;

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        block_on(self.0.spawn(future))
    }

    fn spawn(executor: &Self::Spawner, future: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        executor.spawn(future)
    }

    fn spawner(&self) -> Self::Spawner {
        Arc::clone(&self.0)
    }

    fn runtime(&self) -> Runtime {
        Runtime::from(Smol::on(Arc::clone(&self.0)))
    }
}

/// async-std's global executor with as many threads as cores; the code that spawns is a task.
#[derive(Clone)]
pub(super) struct AsyncStdGlobal;

impl Host for AsyncStdGlobal {
    type Spawner = ();
    type Handle = async_std::task::JoinHandle<()>;

    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        async_std::task::block_on(async_std::task::spawn(future))
    }

    fn spawn((): &(), future: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        async_std::task::spawn(future)
    }

    fn spawner(&self) {}

    fn runtime(&self) -> Runtime {
        Runtime::from(AsyncStd)
    }
}
