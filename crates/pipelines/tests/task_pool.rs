//! Jobs of different types, and blocking ones.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{or, pending, yield_now};
use weirs_pipelines::{JobError, TaskEnd, TaskPool, WorkerPool};
use weirs_runtime::Runtime;
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, yields};

#[apply(runtime_test)]
async fn each_job_has_a_handle_of_its_type(runtime: Runtime) {
    let pool = TaskPool::new(&runtime, 2, 3).unwrap();
    let number = pool.run(async { 6 * 7 }).await.unwrap();
    let text = pool.run_blocking(|| "text".to_owned()).await.unwrap();
    let panics = pool.run(async { panic!("as told") }).await.unwrap();
    let panics_too = pool.run_blocking(|| panic!("as told, too")).await.unwrap();
    assert_eq!((number.await.unwrap(), text.await.unwrap()), (42, "text".to_owned()));
    for (handle, says) in [(panics, "as told"), (panics_too, "as told, too")] {
        match handle.await {
            Err(TaskEnd::Panicked(payload)) => assert_eq!(payload.message(), says),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pool.close().await.taken, 4);
    assert!(pool.run(async {}).await.is_err());
}

#[apply(runtime_test)]
async fn a_closed_pool_gives_back_what_it_was_to_run(runtime: Runtime) {
    let pool = TaskPool::new(&runtime, 1, 1).unwrap();
    let endless = pool.run(pending::<()>()).await.unwrap();
    while pool.stats().in_hand == 0 {
        yield_now().await;
    }
    let waits = pool.run(pending::<()>()).await.unwrap();
    // Whoever waits when it is closed, and whoever comes later.
    let late = pool.run(async { 6 * 7 });
    let closes = async {
        yields(2).await;
        drop(pool.close());
    };
    let (late, ()) = futures::join!(late, closes);
    assert_eq!(late.unwrap_err().into_inner().await, 42);
    let back = pool.run_blocking(|| "here").await.unwrap_err();
    assert_eq!((back.to_string().is_empty(), back.into_inner()()), (false, "here"));
    drop((endless, waits));
    assert_eq!(pool.close().await.taken, 2);
}

#[apply(runtime_test)]
async fn a_dropped_handle_cancels_and_a_detached_one_does_not(runtime: Runtime) {
    let pool = TaskPool::new(&runtime, 1, 3).unwrap();
    let in_flight = InFlight::new();
    let done = Arc::new(AtomicU64::new(0));
    let endless = {
        let guard = in_flight.clone();
        pool.run(async move {
            let _guard = guard.enter();
            pending::<()>().await;
        })
        .await
        .unwrap()
    };
    while in_flight.now() == 0 {
        yield_now().await;
    }
    let detached = {
        let done = Arc::clone(&done);
        pool.run(async move {
            yields(2).await;
            done.fetch_add(1, Ordering::Relaxed);
        })
    };
    detached.await.unwrap().detach();
    drop(pool.run(async { unreachable!("nobody wants it") }).await.unwrap());
    drop(endless);
    pool.close().await;
    assert_eq!((in_flight.now(), done.load(Ordering::Relaxed)), (0, 1));
}

#[apply(runtime_test)]
async fn no_more_run_at_a_time_than_there_are_workers(runtime: Runtime) {
    let pool = TaskPool::new(&runtime, 3, 2).unwrap();
    let in_flight = InFlight::new();
    let mut handles = Vec::new();
    for _ in 0..20 {
        let in_flight = in_flight.clone();
        let job = async move {
            let _guard = in_flight.enter();
            yields(3).await;
        };
        handles.push(pool.run(job).await.unwrap());
    }
    for handle in handles {
        handle.await.unwrap();
    }
    assert!(in_flight.peak() <= 3);
    let make = || or(async { _ = pool.run(yields(1)).await }, yields(1));
    cancel_at_every_poll(make, async |_| ()).await;
    let endless = pool.run(pending::<()>()).await.unwrap();
    let settled = pool.shutdown(Duration::from_micros(10)).await;
    assert_eq!(settled.ended(), settled.taken);
    assert!(matches!(endless.await, Err(TaskEnd::Cancelled)));
}

#[apply(runtime_test)]
async fn blocking_workers_do_jobs_like_others(runtime: Runtime) {
    let work = |n: u64| match n {
        3 => panic!("as told"),
        n if n % 2 == 0 => Err(n),
        n => Ok(n),
    };
    let pool = WorkerPool::blocking(work).workers(2).queue(4).ordered().build(&runtime).unwrap();
    let mut results = pool.results();
    pool.submit_many(1..=6).await.unwrap();
    drop(pool.close());
    let mut seen = Vec::new();
    while let Some(end) = results.next().await {
        seen.push(match end.result {
            Ok(n) => (n, "done"),
            Err(JobError::Failed(n)) => (n, "failed"),
            Err(JobError::Panicked(payload)) => {
                assert_eq!(payload.message(), "as told");
                (3, "panicked")
            }
            Err(other) => panic!("{other:?}"),
        });
    }
    let expected = [(1, "done"), (2, "failed"), (3, "panicked"), (4, "failed"), (5, "done"), (6, "failed")];
    assert_eq!(seen, expected);
    let twice = WorkerPool::blocking(|n: u64| Ok::<_, Infallible>(2 * n)).build(&runtime).unwrap();
    assert_eq!(twice.call(4).await.unwrap(), 8);
}
