//! smol: an executor for each test. It is dropped at the test's end, and with it the tasks that are left.

use std::future::Future;
use std::rc::{Rc, Weak as WeakRc};
use std::sync::{Arc, Weak};

use futures_task::{FutureObj, LocalFutureObj, LocalSpawn, Spawn, SpawnError};
use smol::{Executor, LocalExecutor};
use weirs_runtime::{BlockingJob, LocalRuntime, Runtime, Smol, SmolLocal, SpawnBlocking};

use super::workers::Workers;
use super::{Test, TestOutput};

/// How many threads `smol_mt` has.
const THREADS: usize = 4;

/// The body and the tasks on one thread.
pub fn one_thread<F, Fut>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    let executor = Arc::new(Executor::new());
    let (runtime, _guard) = test.guarded(&weak(&executor));
    // Bound after the guard, so that it is dropped under it.
    let executor = executor;
    smol::block_on(executor.run(body(runtime))).expect_success();
}

/// The body on the test's thread, the tasks on four others.
pub fn many_threads<F, Fut>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    beside(test, THREADS, |runtime| smol::block_on(body(runtime)).expect_success());
}

/// A plain body, and the tasks on another thread.
pub fn beside_one_thread<F, T: TestOutput>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> T,
{
    beside(test, 1, |runtime| body(runtime).expect_success());
}

/// A plain body, and the tasks on four other threads.
pub fn beside_many_threads<F, T: TestOutput>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> T,
{
    beside(test, THREADS, |runtime| body(runtime).expect_success());
}

/// The body and local tasks on one thread.
pub fn local<F, Fut>(test: Test, body: F)
where
    F: FnOnce(LocalRuntime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    let executor = Rc::new(LocalExecutor::new());
    let runtime = LocalRuntime::new(WeakLocal(Rc::downgrade(&executor)));
    let (runtime, _guard) = test.guarded_local(&runtime);
    let executor = executor;
    smol::block_on(executor.run(body(runtime))).expect_success();
}

fn beside(test: Test, threads: usize, body: impl FnOnce(Runtime)) {
    let executor = Arc::new(Executor::new());
    let (runtime, _guard) = test.guarded(&weak(&executor));
    let executor = executor;
    let driven = Arc::clone(&executor);
    // Dropped in reverse: the threads are joined before the executor goes, and its tasks with it.
    let _workers = Workers::start(threads, move |stopped| smol::block_on(driven.run(stopped)));
    body(runtime);
}

fn weak(executor: &Arc<Executor<'static>>) -> Runtime {
    let spawner = WeakSmol(Arc::downgrade(executor));
    Runtime::new(spawner.clone()).with_blocking(spawner)
}

/// Tasks hold runtimes: were this one to hold the executor, neither would ever be dropped.
#[derive(Clone)]
struct WeakSmol(Weak<Executor<'static>>);

impl WeakSmol {
    fn upgrade(&self) -> Result<Smol, SpawnError> {
        self.0.upgrade().map(Smol::on).ok_or_else(SpawnError::shutdown)
    }
}

impl Spawn for WeakSmol {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.upgrade()?.spawn_obj(future)
    }
}

impl SpawnBlocking for WeakSmol {
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError> {
        self.upgrade()?.spawn_blocking(job)
    }
}

struct WeakLocal(WeakRc<LocalExecutor<'static>>);

impl LocalSpawn for WeakLocal {
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        let executor = self.0.upgrade().ok_or_else(SpawnError::shutdown)?;
        SmolLocal::on(executor).spawn_local_obj(future)
    }
}
