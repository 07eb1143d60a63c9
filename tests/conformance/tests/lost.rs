//! Executors that refuse a future, or are dropped with it: the task is lost, and says so.

use std::sync::Arc;

use futures::executor::LocalPool;
use weirs_conformance::{Dropped, Held, HeldJobs, Refuses};
use weirs_runtime::{Clock, JoinError, LocalRuntime, Runtime, Smol, Task, Tokio, block_on};
use weirs_testing::{apply, runtime_test};

fn is_lost<T>(task: Task<T>) -> bool {
    matches!(block_on(task), Err(JoinError::Lost))
}

#[test]
fn a_refused_future_is_dropped() {
    let runtime = Runtime::with_parts(Refuses, Clock::default()).with_blocking(Refuses);
    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    assert!(dropped.is_set());
    assert!(task.is_finished());
    assert!(is_lost(task));
    assert!(matches!(block_on(runtime.spawn(async {}).cancel()), Err(JoinError::Lost)));
    runtime.spawn(async {}).detach();
    drop(runtime.spawn(async {}));
    assert!(is_lost(runtime.spawn_blocking(|| 7)));

    let local = LocalRuntime::with_parts(Refuses, Clock::default());
    assert!(matches!(block_on(local.spawn(async {})), Err(JoinError::Lost)));
}

#[test]
fn a_refused_future_whose_destructor_panics() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            weirs_conformance::fail("in the destructor");
        }
    }
    let runtime = Runtime::with_parts(Refuses, Clock::default());
    let bad = Bad;
    let task = runtime.spawn(async move { drop(bad) });
    assert!(block_on(task).unwrap_err().is_panic());
}

#[test]
fn a_future_that_is_dropped_later() {
    let (held, jobs) = (Held::default(), HeldJobs::default());
    let runtime = Runtime::new(held.clone()).with_blocking(jobs.clone());
    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    let job = runtime.spawn_blocking(|| 7);
    held.run_once();
    assert!(!dropped.is_set());
    held.clear();
    assert!(dropped.is_set());
    assert!(is_lost(task));
    jobs.clear();
    assert!(is_lost(job));
}

#[test]
fn a_finished_task_outlives_its_executor() {
    let held = Held::default();
    let task = Runtime::new(held.clone()).spawn(async { 7 });
    held.run_once();
    drop(held);
    assert_eq!(block_on(task).unwrap(), 7);
}

#[test]
fn with_an_executor_of_smols() {
    let executor = Arc::new(smol::Executor::new());
    // An adapter keeps its executor alive, so it has to go as well.
    let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    assert!(executor.try_tick());
    drop((runtime, executor));
    assert!(dropped.is_set());
    assert!(is_lost(task));
}

#[test]
fn with_a_tokio_runtime() {
    let mut multi_thread = tokio::runtime::Builder::new_multi_thread();
    for builder in [&mut tokio::runtime::Builder::new_current_thread(), multi_thread.worker_threads(2)] {
        let tokio = builder.build().unwrap();
        let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
        let dropped = Dropped::default();
        let task = runtime.spawn(dropped.endless());
        let joiner = std::thread::Builder::new().spawn(move || is_lost(task)).unwrap();
        drop(tokio);
        assert!(joiner.join().unwrap());
        assert!(dropped.is_set());
        // Its handle dangles: it takes no more.
        assert!(is_lost(runtime.spawn(async {})));
        assert!(is_lost(runtime.spawn_blocking(|| ())));
    }
}

#[test]
fn with_a_local_pool() {
    let pool = LocalPool::new();
    let runtime = LocalRuntime::new(pool.spawner());
    let dropped = Dropped::default();
    let task = runtime.spawn(dropped.endless());
    drop(pool);
    assert!(dropped.is_set());
    assert!(matches!(block_on(task), Err(JoinError::Lost)));
    assert!(matches!(block_on(runtime.spawn(async {})), Err(JoinError::Lost)));
}

#[apply(runtime_test)]
async fn dropping_the_runtime_ends_no_task(runtime: Runtime) {
    let (sender, receiver) = async_channel::bounded(1);
    let clock = runtime.clock().clone();
    let task = runtime.spawn(async move { receiver.recv().await.unwrap() });
    drop(runtime);
    clock.sleep(std::time::Duration::from_millis(1)).await;
    sender.send(7).await.unwrap();
    assert_eq!(task.await.unwrap(), 7);
}
