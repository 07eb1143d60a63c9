//! How a pool comes to its end against its will, and how readers come and go.

use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::task::{FutureObj, Spawn, SpawnError};
use futures_lite::StreamExt;
use futures_lite::future::yield_now;
use weirs_pipelines::{BuildError, Controller, QueueWait, Window, WorkerPool};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::sim::{Explore, Faults};
use weirs_testing::{apply, runtime_test, yields};

/// Takes tasks and never runs them, until they are dropped.
#[derive(Clone, Default)]
struct Idle(Arc<Mutex<Vec<FutureObj<'static, ()>>>>);

impl Spawn for Idle {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.lock().unwrap().push(future);
        Ok(())
    }
}

/// Takes nothing.
struct Refuses;

impl Spawn for Refuses {
    fn spawn_obj(&self, _: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        Err(SpawnError::shutdown())
    }
}

#[test]
fn an_executor_that_goes_closes_the_pool_and_nobody_hangs() {
    let executor = Idle::default();
    let runtime = Runtime::new(executor.clone());
    let pool = WorkerPool::builder(|n: u64| async move { Ok::<_, Infallible>(n) })
        .workers(2)
        .queue(2)
        .build(&runtime)
        .unwrap();
    let mut results = pool.results();
    block_on(async {
        pool.submit(1).await.unwrap();
        pool.submit(2).await.unwrap();
        let waits = pool.submit(3);
        let goes = async {
            yields(3).await;
            let tasks = std::mem::take(&mut *executor.0.lock().unwrap());
            drop(tasks);
        };
        let (waited, ()) = futures::join!(waits, goes);
        assert_eq!(waited.unwrap_err().into_inner(), 3);
        assert!(results.next().await.is_none());
        let settled = pool.close().await;
        assert_eq!((settled.taken, settled.handed_back), (2, 2));
        let report = pool.shutdown(Duration::from_secs(1)).await;
        let jobs: Vec<_> = report.handed_back.into_iter().map(|(id, job)| (id.number(), job)).collect();
        assert_eq!(jobs, [(0, 1), (1, 2)]);
    });
}

#[test]
fn an_executor_that_takes_no_tasks_is_an_error_at_once() {
    let build =
        WorkerPool::builder(|n: u64| async move { Ok::<_, Infallible>(n) }).build(&Runtime::new(Refuses));
    assert!(matches!(build, Err(BuildError::Refused)), "{build:?}");
    // And one that has no threads for blocking work.
    let build = WorkerPool::blocking(|n: u64| Ok::<_, Infallible>(n)).build(&Runtime::new(Idle::default()));
    assert!(matches!(build, Err(BuildError::Runtime(_))), "{build:?}");
}

/// Some of the tasks are refused, or panic, or are cancelled, wherever that is.
#[test]
fn a_lost_worker_loses_but_what_it_does() {
    for faults in [
        Faults::new().refuse_spawns(0.3),
        Faults::new().panic_task("worker 0", 3),
        Faults::new().cancel_task("worker 1", 4),
        Faults::new().spurious_polls(),
    ] {
        Explore::new().faults(faults).seeds(0..100).run(|runtime| async move {
            let work = async |n: u64| {
                yields(n as usize % 3).await;
                Ok::<_, Infallible>(n)
            };
            let built = WorkerPool::builder(work).workers(3).queue(4).discard_results().build(&runtime);
            let pool = match built {
                Ok(pool) => pool,
                Err(BuildError::Refused) => return,
                Err(other) => panic!("{other}"),
            };
            for n in 0..40 {
                if pool.submit(n).await.is_err() {
                    break;
                }
            }
            let settled = pool.close().await;
            assert_eq!(settled.ended(), settled.taken);
            assert!(settled.interrupted <= 3, "{settled}");
        });
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor");
    }
}

#[apply(runtime_test)]
async fn destructors_that_panic_cost_nobody_else_anything(runtime: Runtime) {
    let work = async |job: (u64, Option<Bomb>)| {
        yield_now().await;
        match job {
            // Dropped in the job: that is its panic.
            (0, _bomb) => Ok(None),
            (1, bomb) => Ok(bomb),
            (2, bomb) => Err(bomb),
            (n, none) => {
                assert!(none.is_none());
                if n % 2 == 0 { Ok(None) } else { Err(None) }
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(2).queue(4).discard_results().build(&runtime).unwrap();
    for n in 0..30 {
        pool.submit((n, (n < 3).then(|| Bomb))).await.unwrap();
    }
    let settled = pool.close().await;
    assert_eq!((settled.done, settled.failed, settled.panicked), (14, 15, 1));
    assert!(pool.stats().busy().0 <= 2);
}

#[apply(runtime_test)]
async fn readers_come_and_go_and_nothing_is_stuck(runtime: Runtime) {
    let go = Arc::new(AtomicU64::new(0));
    let work = {
        let go = Arc::clone(&go);
        move |n: u64| {
            let go = Arc::clone(&go);
            async move {
                // The first one is slow: in order, all wait for it.
                while n == 0 && go.load(Ordering::Relaxed) == 0 {
                    yield_now().await;
                }
                Ok::<_, Infallible>(n)
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(2).queue(8).unread(8).ordered().build(&runtime).unwrap();
    let first = pool.results();
    for n in 0..6 {
        pool.submit(n).await.unwrap();
    }
    while pool.stats().counts.done < 5 {
        yield_now().await;
    }
    assert_eq!(pool.stats().unread, 5);
    drop(first);
    assert_eq!((pool.stats().unread, pool.stats().counts.discarded), (0, 5));
    // Far more than there is room for: nobody reads, so nobody waits.
    for n in 6..100 {
        pool.submit(n).await.unwrap();
    }
    while pool.stats().counts.done < 99 {
        yield_now().await;
    }
    let mut again = pool.results();
    pool.submit(100).await.unwrap();
    go.store(1, Ordering::Relaxed);
    drop(pool.close());
    assert_eq!(again.next().await.unwrap().result.unwrap(), 100);
    assert!(again.next().await.is_none());
    assert_eq!(pool.stats().counts.discarded, 100);
}

#[apply(runtime_test)]
async fn one_reader_left_alone_keeps_nothing_from_the_others(runtime: Runtime) {
    let pool = WorkerPool::builder(|n: u64| async move { Ok::<_, Infallible>(n) }).build(&runtime).unwrap();
    let (mut alone, mut other) = (pool.results(), pool.results());
    // It has waited once, and is not polled again.
    assert!(futures_lite::future::poll_once(alone.next()).await.is_none());
    for n in 0..10 {
        pool.submit(n).await.unwrap();
        assert_eq!(other.next().await.unwrap().result.unwrap(), n);
    }
    drop(pool.close());
    assert!(other.next().await.is_none() && alone.next().await.is_none());
}

#[apply(runtime_test)]
async fn a_controller_that_panics_changes_nothing(runtime: Runtime) {
    struct Panics;
    impl Controller for Panics {
        fn workers(&mut self, _: &Window) -> usize {
            panic!("as told")
        }
        fn window(&self) -> Duration {
            Duration::from_micros(100)
        }
    }
    let work = async |n: u64| Ok::<_, Infallible>(n);
    let pool = WorkerPool::builder(work).adaptive(2..=3, Panics).discard_results().build(&runtime).unwrap();
    runtime.clock().sleep(Duration::from_millis(2)).await;
    pool.submit_many(0..50).await.unwrap();
    assert_eq!((pool.close().await.done, pool.stats().workers.len()), (50, 2));
    let least_above_most = WorkerPool::builder(work)
        .adaptive(RangeInclusive::new(3, 2), QueueWait::new(Duration::from_millis(1)));
    assert!(matches!(least_above_most.build(&runtime), Err(BuildError::Invalid(_))));
}
