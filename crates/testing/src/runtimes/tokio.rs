//! tokio: a runtime for each test. It is shut down at the test's end, and waits for its blocking jobs.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime as TokioRuntime};
use tokio::task::LocalSet;
use weirs_runtime::{LocalRuntime, Runtime, Tokio, TokioLocal};

use super::workers::Workers;
use super::{Test, TestOutput};

/// The body and the tasks on one thread.
pub fn current_thread<F, Fut>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    run(test, made(Builder::new_current_thread()), body);
}

/// The body on the test's thread, the tasks on two workers.
pub fn multi_thread<F, Fut>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    run(test, made_multi_thread(), body);
}

/// The body and the tasks on one thread, in tokio's own time, which jumps ahead when nothing is left to do.
pub fn paused<F, Fut>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    let tokio = made_paused();
    let adapter = Tokio::on(tokio.handle().clone());
    let (runtime, _guard) = test.guarded(&Runtime::from(adapter.clone()).with_clock(adapter.clock()));
    // Bound after the guard, so that it is shut down under it.
    let tokio = tokio;
    tokio.block_on(body(runtime)).expect_success();
}

/// A plain body, and the tasks on another thread.
pub fn beside_current_thread<F, T: TestOutput>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> T,
{
    let tokio = Arc::new(made(Builder::new_current_thread()));
    let (runtime, _guard) = test.guarded(&on(&tokio));
    let tokio = tokio;
    let driven = Arc::clone(&tokio);
    // Dropped in reverse: the thread is joined before tokio is shut down.
    let _worker = Workers::start(1, move |stopped| driven.block_on(stopped));
    body(runtime).expect_success();
}

/// A plain body, and the tasks on two workers.
pub fn beside_multi_thread<F, T: TestOutput>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> T,
{
    let tokio = made_multi_thread();
    let (runtime, _guard) = test.guarded(&on(&tokio));
    let _tokio = tokio;
    body(runtime).expect_success();
}

/// The body and local tasks on one thread.
pub fn local<F, Fut>(test: Test, body: F)
where
    F: FnOnce(LocalRuntime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    let local = Rc::new(LocalSet::new());
    let runtime = LocalRuntime::from(TokioLocal::on(Rc::clone(&local)));
    run_local(test, made(Builder::new_current_thread()), &local, &runtime, body);
}

/// The body and local tasks on one thread, in tokio's own time.
pub fn local_paused<F, Fut>(test: Test, body: F)
where
    F: FnOnce(LocalRuntime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    let tokio = made_paused();
    let clock = Tokio::on(tokio.handle().clone()).clock();
    let local = Rc::new(LocalSet::new());
    let runtime = LocalRuntime::from(TokioLocal::on(Rc::clone(&local))).with_clock(clock);
    run_local(test, tokio, &local, &runtime, body);
}

fn run<F, Fut>(test: Test, tokio: TokioRuntime, body: F)
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    let (runtime, _guard) = test.guarded(&on(&tokio));
    let tokio = tokio;
    tokio.block_on(body(runtime)).expect_success();
}

fn run_local<F, Fut>(test: Test, tokio: TokioRuntime, local: &LocalSet, runtime: &LocalRuntime, body: F)
where
    F: FnOnce(LocalRuntime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    let (runtime, _guard) = test.guarded_local(runtime);
    let tokio = tokio;
    local.block_on(&tokio, body(runtime)).expect_success();
}

fn on(tokio: &TokioRuntime) -> Runtime {
    Runtime::from(Tokio::on(tokio.handle().clone()))
}

fn made_multi_thread() -> TokioRuntime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2);
    made(builder)
}

fn made_paused() -> TokioRuntime {
    let mut builder = Builder::new_current_thread();
    builder.start_paused(true);
    made(builder)
}

fn made(mut builder: Builder) -> TokioRuntime {
    builder.enable_time().build().expect("the system has what a tokio runtime needs")
}
