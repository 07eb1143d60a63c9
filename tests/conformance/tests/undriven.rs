//! Executors that are alive but that nobody drives: awaiting waits, cancelling does not.

use std::sync::Arc;
use std::thread;

use futures::executor::LocalPool;
use weirs_conformance::{Dropped, Held, HeldJobs, poll};
use weirs_runtime::{Clock, JoinError, LocalRuntime, Runtime, Smol, Tokio, block_on};

/// Cancels tasks that were never polled, in each of the ways there are, with nobody to drive the executor.
fn cancels_without_a_drive(runtime: &Runtime) {
    let here = Some(thread::current().id());

    let dropped = Dropped::default();
    let mut task = runtime.spawn(dropped.endless());
    assert!(poll(&mut task).is_pending());
    let cancelled = task.cancel();
    assert_eq!(dropped.thread(), here, "cancelling drops it within the call");
    assert!(block_on(cancelled).unwrap_err().is_cancelled());

    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    task.abort();
    assert_eq!(dropped.thread(), here);
    assert!(task.is_finished());
    assert!(block_on(task).unwrap_err().is_cancelled());

    let dropped = Dropped::default();
    drop(runtime.spawn(dropped.endless()));
    assert_eq!(dropped.thread(), here);

    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    task.abort_handle().abort();
    assert_eq!(dropped.thread(), here);
    drop(task);
}

#[test]
fn on_an_executor_of_smols() {
    let executor = Arc::new(smol::Executor::new());
    let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
    cancels_without_a_drive(&runtime);
    // What is left of the cancelled tasks does no harm when it is run after all.
    assert_eq!(block_on(executor.run(runtime.spawn(async { 7 }))).unwrap(), 7);
}

#[test]
fn on_a_tokio_runtime() {
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    cancels_without_a_drive(&runtime);
    assert_eq!(tokio.block_on(runtime.spawn(async { 7 })).unwrap(), 7);
}

#[test]
fn on_a_spawner_that_only_keeps() {
    let held = Held::default();
    let runtime = Runtime::new(held.clone());
    cancels_without_a_drive(&runtime);
    assert_eq!(held.run_once(), 0);
}

#[test]
fn on_a_local_pool() {
    let mut pool = LocalPool::new();
    let runtime = LocalRuntime::new(pool.spawner());
    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    let cancelled = task.cancel();
    assert!(dropped.is_set());
    assert!(block_on(cancelled).unwrap_err().is_cancelled());
    assert_eq!(pool.run_until(runtime.spawn(async { 7 })).unwrap(), 7);
}

#[test]
fn after_it_was_polled() {
    let held = Held::default();
    let runtime = Runtime::new(held.clone());
    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    assert_eq!(held.run_once(), 1);
    let cancelled = task.cancel();
    assert!(dropped.is_set());
    assert!(block_on(cancelled).unwrap_err().is_cancelled());
    // The executor's part ends at its next poll.
    assert_eq!(held.run_once(), 0);
}

#[test]
fn awaiting_waits() {
    let held = Held::default();
    let runtime = Runtime::new(held.clone());
    let mut task = runtime.spawn(async { 7 });
    assert!(poll(&mut task).is_pending());
    assert_eq!(held.run_once(), 0);
    assert_eq!(block_on(task).unwrap(), 7);
}

#[test]
fn a_task_may_wait_for_another_executors() {
    // Cancelled from a task on another executor, while its own stands still.
    let held = Held::default();
    let still = Runtime::new(held.clone());
    let runtime = Runtime::from(Smol::global());
    let dropped = Dropped::default();
    let task = still.spawn(dropped.endless());
    let canceller = runtime.spawn(async move { task.cancel().await });
    assert!(block_on(canceller).unwrap().unwrap_err().is_cancelled());
    assert!(dropped.is_set());
}

#[test]
fn a_blocking_job_that_nobody_runs() {
    let jobs = HeldJobs::default();
    let runtime = Runtime::with_parts(Held::default(), Clock::default()).with_blocking(jobs.clone());
    let task = runtime.spawn_blocking(|| panic!("it is never to run"));
    assert!(matches!(block_on(task.cancel()), Err(JoinError::Cancelled)));
    jobs.run_all();
}
