//! Several runtimes in one program, and tasks that go between them.

use std::time::Duration;

use weirs_conformance::Dropped;
use weirs_runtime::{AsyncStd, Runtime, Smol, Tokio, block_on};
use weirs_testing::{apply, runtime_test_blocking};

const MS: Duration = Duration::from_millis(1);

fn all(tokio: &tokio::runtime::Runtime) -> Vec<Runtime> {
    let pool = futures::executor::ThreadPool::builder().pool_size(1).create().unwrap();
    vec![
        Runtime::from(Smol::global()),
        Runtime::from(AsyncStd),
        Runtime::from(Tokio::on(tokio.handle().clone())),
        Runtime::new(pool),
    ]
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
}

#[test]
fn every_runtime_awaits_every_others_tasks() {
    let tokio = tokio();
    let runtimes = all(&tokio);
    for one in &runtimes {
        for other in &runtimes {
            let clock = one.clock().clone();
            let task = one.spawn(async move {
                clock.sleep(MS).await;
                7
            });
            let joiner = other.spawn(async move { task.await.unwrap() + 1 });
            assert_eq!(block_on(joiner).unwrap(), 8);
        }
    }
}

#[test]
fn every_runtime_cancels_every_others_tasks() {
    let tokio = tokio();
    let runtimes = all(&tokio);
    for one in &runtimes {
        for other in &runtimes {
            let dropped = Dropped::default();
            let task = one.spawn(dropped.endless());
            let canceller = other.spawn(async move { task.cancel().await.unwrap_err().is_cancelled() });
            assert!(block_on(canceller).unwrap());
            assert!(dropped.is_set());
        }
    }
}

#[test]
fn a_message_goes_around() {
    let tokio = tokio();
    let (first, mut receiver) = async_channel::bounded(1);
    let mut tasks = Vec::new();
    for runtime in all(&tokio) {
        let (sender, next) = async_channel::bounded(1);
        let from = std::mem::replace(&mut receiver, next);
        tasks.push(runtime.spawn(async move {
            while let Ok(number) = from.recv().await {
                sender.send(number + 1).await.unwrap();
            }
        }));
    }
    block_on(async {
        for number in 0..100 {
            first.send(number).await.unwrap();
            assert_eq!(receiver.recv().await.unwrap(), number + tasks.len());
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[apply(runtime_test_blocking)]
fn any_thread_may_wait_beside_any_runtime(runtime: Runtime) {
    let foreign = Runtime::from(Smol::global());
    let task = runtime.spawn(async { 7 });
    let joiner = foreign.spawn(async move { task.await.unwrap() + 1 });
    assert_eq!(block_on(joiner).unwrap(), 8);
}
