//! Very many tasks: every handle resolves, nothing is left, and no stack is exhausted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use weirs_conformance::{Held, until};
use weirs_runtime::{Runtime, Task, Tokio, block_on};
use weirs_testing::sim::Sim;
use weirs_testing::{apply, runtime_test, runtime_test_blocking, yields};

#[apply(runtime_test_blocking)]
fn a_hundred_thousand_tasks(runtime: Runtime) {
    block_on(half_cancelled(runtime, 100_000));
}

mod a_hundred_thousand_tasks_in_virtual_time {
    //! Once, not once for each seed.

    use super::*;

    #[test]
    fn sim() {
        Sim::new(1).run(|runtime| half_cancelled(runtime, 100_000)).unwrap();
    }

    #[test]
    fn tokio_paused() {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        tokio.unwrap().block_on(async {
            let tokio = Tokio::current().unwrap();
            let runtime = Runtime::from(tokio.clone()).with_clock(tokio.clock());
            half_cancelled(runtime, 100_000).await;
        });
    }
}

// Fewer where the simulator takes part: it takes them anew for each seed.
#[apply(runtime_test)]
async fn a_few_hundred_tasks(runtime: Runtime) {
    half_cancelled(runtime, 300).await;
}

/// Spawns tasks that wait differently long, cancels half of them, and accounts for each.
async fn half_cancelled(runtime: Runtime, count: usize) {
    let (runtime, watched) = runtime.watched();
    let dropped = Arc::new(AtomicUsize::new(0));
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let counted = Counted(Arc::clone(&dropped));
            runtime.spawn(async move {
                let _counted = counted;
                yields(number % 3).await;
                number
            })
        })
        .collect();
    let (mut finished, mut cancelled) = (0, 0);
    let mut rest = Vec::new();
    for (number, task) in tasks.into_iter().enumerate() {
        if number % 2 == 0 {
            rest.push((number, task));
            continue;
        }
        match task.cancel().await {
            Ok(value) => {
                assert_eq!(value, number);
                finished += 1;
            }
            Err(error) => {
                assert!(error.is_cancelled(), "{error}");
                cancelled += 1;
            }
        }
    }
    for (number, task) in rest {
        assert_eq!(task.await.unwrap(), number);
        finished += 1;
    }
    assert_eq!(finished + cancelled, count);
    assert_eq!(dropped.load(Ordering::Relaxed), count);
    assert!(watched.is_empty(), "{watched}");
}

#[apply(runtime_test_blocking)]
fn ten_thousand_tasks_that_own_the_next(runtime: Runtime) {
    block_on(chain(runtime, 10_000));
}

#[apply(runtime_test)]
async fn a_hundred_tasks_that_own_the_next(runtime: Runtime) {
    chain(runtime, 100).await;
}

/// Spawns tasks each of which owns the one before, and cancels the last.
async fn chain(runtime: Runtime, length: usize) {
    let (runtime, watched) = runtime.watched();
    let mut chain: Task<()> = runtime.spawn(std::future::pending());
    for _ in 1..length {
        let next = chain;
        chain = runtime.spawn(async move { next.await.unwrap() });
    }
    assert_eq!(watched.len(), length);
    assert!(chain.cancel().await.unwrap_err().is_cancelled());
    until(runtime.clock(), || watched.is_empty()).await;
}

#[test]
fn a_chain_is_gone_when_the_call_returns() {
    // Polled or not: with an executor that nobody drives, all of it happens within `abort`.
    for polls in 0..3 {
        let held = Held::default();
        let (runtime, watched) = Runtime::new(held.clone()).watched();
        let mut chain: Task<()> = runtime.spawn(std::future::pending());
        for _ in 1..10_000 {
            let next = chain;
            chain = runtime.spawn(async move { next.await.unwrap() });
        }
        for _ in 0..polls {
            assert_eq!(held.run_once(), 10_000);
        }
        assert_eq!(watched.len(), 10_000);
        chain.abort();
        assert!(watched.is_empty());
        assert_eq!(held.run_once(), 0);
    }
}

#[test]
fn a_chain_goes_with_its_executor() {
    let held = Held::default();
    let (runtime, watched) = Runtime::new(held.clone()).watched();
    let mut chain: Task<()> = runtime.spawn(std::future::pending());
    for _ in 1..10_000 {
        let next = chain;
        chain = runtime.spawn(async move { drop(next.await) });
    }
    held.clear();
    assert!(watched.is_empty());
    assert!(block_on(chain).is_err());
}

#[test]
fn a_chain_on_a_small_stack() {
    let thread =
        std::thread::Builder::new().stack_size(128 * 1024).spawn(a_chain_is_gone_when_the_call_returns);
    thread.unwrap().join().unwrap();
}
