//! Pools in bad company: panics where nobody expects them, numbers without measure, jobs that meddle with
//! their own pool.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures_lite::StreamExt;
use futures_lite::future::yield_now;
use weirs_pipelines::{BuildError, Controller, Intake, JobError, QueueWait, Window, WorkerPool};
use weirs_runtime::{Instant, Runtime, Smol, block_on};
use weirs_testing::{apply, runtime_test, yields};

/// Panics when it is dropped, and so does each copy.
#[derive(Clone)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor");
    }
}

#[apply(runtime_test)]
async fn numbers_without_measure(runtime: Runtime) {
    let work = async |n: u64| Ok::<_, Infallible>(n);
    let built = WorkerPool::builder(work).workers(usize::MAX).build(&runtime);
    assert!(matches!(built, Err(BuildError::Invalid(_))), "{built:?}");
    let endless = Duration::MAX;
    for ordered in [false, true] {
        let builder = WorkerPool::builder(work).queue(usize::MAX).unread(usize::MAX);
        let builder = builder.adaptive(1..=usize::MAX, QueueWait::new(endless));
        let builder = if ordered { builder.ordered() } else { builder };
        let pool = builder.retries(u32::MAX).build(&runtime).unwrap();
        assert_eq!(pool.submit_many(0..1000).await.unwrap(), 1000);
        let late = runtime.clock().now() + endless;
        pool.submit(1000).by(late).await.unwrap();
        let report = pool.shutdown(endless).await;
        assert_eq!((report.settled.done, report.unread.len()), (1001, 1001));
    }
}

#[apply(runtime_test)]
async fn one_that_is_tried_again_for_ever_lets_others_run(runtime: Runtime) {
    let tried = Arc::new(AtomicU64::new(0));
    let mended = Arc::new(AtomicBool::new(false));
    let work = {
        let (tried, mended) = (Arc::clone(&tried), Arc::clone(&mended));
        move |n: u64| {
            tried.fetch_add(1, Ordering::Relaxed);
            let result = if mended.load(Ordering::Relaxed) { Ok(n) } else { Err(n) };
            async move { result }
        }
    };
    let pool = WorkerPool::builder(work).workers(1).retries(u32::MAX).build(&runtime).unwrap();
    let mut results = pool.results();
    pool.submit(7).await.unwrap();
    while tried.load(Ordering::Relaxed) < 10 {
        yield_now().await;
    }
    mended.store(true, Ordering::Relaxed);
    assert_eq!(results.next().await.unwrap().result.unwrap(), 7);
}

#[apply(runtime_test)]
async fn a_job_and_its_copy_panic_when_they_are_cancelled(runtime: Runtime) {
    let work = async |bomb: Option<Bomb>| {
        if let Some(_bomb) = bomb {
            pending::<()>().await;
        }
        Ok::<_, Infallible>(())
    };
    for shuts_down in [true, false] {
        let (watching, watched) = runtime.watched();
        let pool = WorkerPool::builder(work).workers(1).retries(1).build(&watching).unwrap();
        let mut results = pool.results();
        pool.submit(None).await.unwrap();
        assert!(results.next().await.unwrap().result.is_ok());
        pool.submit(Some(Bomb)).await.unwrap();
        while pool.stats().busy().1 == 0 {
            yield_now().await;
        }
        if shuts_down {
            drop(results);
            let report = pool.abort().await;
            assert_eq!((report.settled.done, report.settled.interrupted), (1, 1));
        } else {
            drop(pool);
            let end = results.next().await.unwrap();
            assert!(matches!(end.result, Err(JobError::Interrupted)));
            assert!(results.next().await.is_none());
        }
        watched.idle().await;
    }
}

#[apply(runtime_test)]
async fn a_key_that_panics_costs_its_job_only(runtime: Runtime) {
    let key = |n: &u64| {
        assert!(*n != 3, "no key for three");
        *n % 2
    };
    let work = async |n: u64| Ok::<_, Infallible>(n);
    let pool = WorkerPool::builder(work).by_key(key).queue(2).discard_results().build(&runtime).unwrap();
    assert!(AssertUnwindSafe(async { pool.submit(3).await }).catch_unwind().await.is_err());
    assert!(AssertUnwindSafe(async { pool.try_submit(3) }).catch_unwind().await.is_err());
    assert!(AssertUnwindSafe(async { pool.call(3).await }).catch_unwind().await.is_err());
    let mut many = pool.submit_many(0..6);
    assert!(AssertUnwindSafe(&mut many).catch_unwind().await.is_err());
    // The others are there still.
    assert_eq!(many.await.unwrap(), 5);
    assert_eq!(pool.call(8).await.unwrap(), 8);
    assert_eq!(pool.close().await.done, 6);
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

#[apply(runtime_test)]
async fn wakers_that_panic_stop_nobody(runtime: Runtime) {
    let work = async |n: u64| Ok::<_, Infallible>(n);
    let pool = WorkerPool::builder(work).workers(1).queue(1).unread(0).build(&runtime).unwrap();
    let mut results = pool.results();
    let waker = Waker::from(Arc::new(Panics));
    let cx = &mut Context::from_waker(&waker);
    assert!(pin!(results.next()).poll(cx).is_pending());
    while pool.try_submit(1).is_ok() {}
    let mut waits = Box::pin(pool.submit(2));
    _ = waits.as_mut().poll(cx);
    let mut closes = Box::pin(pool.close());
    _ = closes.as_mut().poll(cx);
    assert!(results.next().await.unwrap().result.is_ok());
    drop((waits, closes));
    while results.next().await.is_some() {}
    let settled = pool.close().await;
    assert_eq!(settled.done, settled.taken);
}

#[apply(runtime_test)]
async fn jobs_hand_in_jobs_to_their_own_pool(runtime: Runtime) {
    type Slot = Arc<Mutex<Option<Intake<u64, u64, Infallible>>>>;
    let slot = Slot::default();
    let work = {
        let slot = Arc::clone(&slot);
        move |n: u64| {
            let slot = Arc::clone(&slot);
            async move {
                if n > 0 {
                    let intake = slot.lock().unwrap().clone().unwrap();
                    intake.submit(n - 1).await.unwrap();
                    intake.try_submit(0).map_err(drop).ok();
                } else {
                    yield_now().await;
                }
                Ok(n)
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(2).queue(8).build(&runtime).unwrap();
    *slot.lock().unwrap() = Some(pool.intake());
    pool.submit(50).await.unwrap();
    let mut results = pool.results();
    // Each of the chain comes once; the zeros are those that were handed in beside it.
    let mut chain: BTreeSet<u64> = (1..=50).collect();
    while !chain.is_empty() {
        let n = results.next().await.unwrap().result.unwrap();
        assert!(n == 0 || chain.remove(&n));
    }
    *slot.lock().unwrap() = None;
    drop(pool.close());
    while results.next().await.is_some() {}
    let counts = pool.stats().counts;
    assert_eq!(counts.done, counts.taken);
}

#[apply(runtime_test)]
async fn a_job_ends_its_own_pool(runtime: Runtime) {
    type Pool = WorkerPool<u64, u64, Infallible>;
    for aborts in [false, true] {
        let (watching, watched) = runtime.watched();
        let slot: Arc<Mutex<Option<Pool>>> = Arc::default();
        let work = {
            let slot = Arc::clone(&slot);
            move |n: u64| {
                let slot = Arc::clone(&slot);
                async move {
                    if n == 3 {
                        let pool = slot.lock().unwrap().take();
                        match pool {
                            Some(pool) if aborts => drop(pool.abort().await),
                            pool => drop(pool),
                        }
                    }
                    Ok(n)
                }
            }
        };
        let pool = WorkerPool::builder(work).workers(2).queue(2).unread(9).build(&watching).unwrap();
        let (intake, mut results) = (pool.intake(), pool.results());
        *slot.lock().unwrap() = Some(pool);
        let mut taken = 0;
        // Nobody waits for a pool that has ended.
        for n in 0..9 {
            taken += u64::from(intake.submit(n).await.is_ok());
        }
        // All may be taken before a worker on another thread has come to that job.
        while !intake.is_closed() {
            yield_now().await;
        }
        let mut ended = 0;
        while results.next().await.is_some() {
            ended += 1;
        }
        assert!(ended <= taken);
        watched.idle().await;
    }
}

#[apply(runtime_test)]
async fn pools_in_pools(runtime: Runtime) {
    let inner = {
        let runtime = runtime.clone();
        move |n: u64| {
            let runtime = runtime.clone();
            async move {
                let work = async |n: u64| if n % 5 == 0 { panic!("five") } else { Ok::<_, Infallible>(n) };
                let pool = WorkerPool::builder(work).workers(2).queue(1).ordered().build(&runtime).unwrap();
                let intake = pool.intake();
                let feed = runtime.spawn(async move { intake.submit_many(0..n).await.unwrap() });
                let done = pool.into_results().filter(|end| end.result.is_ok()).count().await;
                feed.await.unwrap();
                Ok::<_, Infallible>(done)
            }
        }
    };
    let pool = WorkerPool::builder(inner).workers(3).ordered().build(&runtime).unwrap();
    let mut results = pool.results();
    for n in 0..12 {
        pool.submit(n).await.unwrap();
    }
    drop(pool.close());
    for n in 0..12_usize {
        assert_eq!(results.next().await.unwrap().result.unwrap(), n - n.div_ceil(5));
    }
}

#[test]
fn a_hundred_thousand_of_everything() {
    const MANY: u64 = 100_000;
    let runtime = Runtime::from(Smol::global());
    let work = async |n: u64| {
        yields(n as usize % 2).await;
        Ok::<_, Infallible>(n)
    };
    block_on(async {
        // Workers.
        let builder = WorkerPool::builder(work).workers(MANY as usize).discard_results();
        let pool = builder.build(&runtime).unwrap();
        pool.submit_many(0..MANY).await.unwrap();
        assert_eq!(pool.shutdown(Duration::MAX).await.settled.done, MANY);
        // Keys, and jobs of one key.
        for key in [|n: &u64| *n, |_: &u64| 0] {
            let pool = WorkerPool::builder(work).queue(MANY as usize).by_key(key).discard_results();
            let pool = pool.build(&runtime).unwrap();
            pool.submit_many(0..MANY).await.unwrap();
            assert_eq!(pool.close().await.done, MANY);
        }
        // What waits is handed back, in order, and unread ones too.
        let pool = WorkerPool::builder(async |_: u64| pending::<Result<u64, Infallible>>().await);
        let pool = pool.queue(MANY as usize).by_key(|n| n % 7).ordered().build(&runtime).unwrap();
        pool.submit_many(0..MANY).await.unwrap();
        let report = pool.abort().await;
        assert!(report.handed_back.is_sorted_by_key(|(id, _)| *id));
        assert_eq!(report.settled.ended(), MANY);
    });
}

#[test]
fn a_controller_that_wants_very_many_at_once() {
    struct Many;
    impl Controller for Many {
        fn workers(&mut self, _: &Window) -> usize {
            usize::MAX
        }
        fn window(&self) -> Duration {
            Duration::from_millis(1)
        }
    }
    let runtime = Runtime::from(Smol::global());
    let work = async |n: u64| Ok::<_, Infallible>(n);
    let builder = WorkerPool::builder(work).adaptive(1..=50_000, Many).discard_results();
    let pool = builder.build(&runtime).unwrap();
    block_on(async {
        while pool.stats().workers.len() < 50_000 {
            runtime.clock().sleep(Duration::from_millis(5)).await;
        }
        pool.submit_many(0..1000).await.unwrap();
        assert_eq!(pool.close().await.done, 1000);
    });
}

#[apply(runtime_test)]
async fn a_vanished_consumer_that_owned_the_pool_lets_feeders_go(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let work = async |n: u64| Ok::<_, Infallible>(n);
    let pool = WorkerPool::builder(work).workers(2).queue(2).unread(0).build(&watching).unwrap();
    let intake = pool.intake();
    let feeder = runtime.spawn(async move {
        let refused = intake.submit_many(0..).await.unwrap_err();
        refused.submitted
    });
    let mut results = pool.into_results();
    for _ in 0..5 {
        results.next().await.unwrap();
    }
    drop(results);
    assert!(feeder.await.unwrap() >= 5);
    watched.idle().await;
}

#[apply(runtime_test)]
async fn the_intake_closes_with_its_last_handle_and_results_end_when_every_job_has(runtime: Runtime) {
    let work = async |n: u64| {
        yields(n as usize % 4).await;
        match n % 3 {
            0 => Ok(n),
            1 => Err(n),
            _ => panic!("two"),
        }
    };
    for ordered in [false, true] {
        let builder = WorkerPool::builder(work).workers(3).queue(4);
        let builder = if ordered { builder.ordered() } else { builder };
        let pool = builder.build(&runtime).unwrap();
        let intakes: Vec<_> = (0..4).map(|_| pool.intake()).collect();
        let mut results = pool.into_results();
        let mut feeders = Vec::new();
        for intake in intakes {
            let other = intake.clone();
            feeders.push(runtime.spawn(async move {
                intake.submit_many(0..9).await.unwrap();
                // In the past: it is not begun.
                intake.submit(9).by(Instant::from_nanos(0)).await.unwrap();
                drop(intake);
                yield_now().await;
                assert!(!other.is_closed());
                other.call(3).await.unwrap();
            }));
        }
        let mut ended = [0; 4];
        while let Some(end) = results.next().await {
            match end.result {
                Ok(_) => ended[0] += 1,
                Err(JobError::Failed(_)) => ended[1] += 1,
                Err(JobError::Panicked(_)) => ended[2] += 1,
                _ => ended[3] += 1,
            }
        }
        assert_eq!(ended, [12, 12, 12, 4]);
        for feeder in feeders {
            feeder.await.unwrap();
        }
    }
}

#[apply(runtime_test)]
async fn a_close_ends_though_nobody_reads(runtime: Runtime) {
    let work = async |n: u64| {
        yield_now().await;
        Ok::<_, Infallible>(n)
    };
    for ordered in [false, true] {
        let builder = WorkerPool::builder(work).workers(2).queue(3).unread(0);
        let builder = if ordered { builder.ordered() } else { builder };
        let pool = builder.build(&runtime).unwrap();
        let unread = pool.results();
        for n in 0..5 {
            pool.submit(n).await.unwrap();
        }
        assert!(pool.try_submit(5).unwrap_err().is_full());
        let settled = runtime.clock().timeout(Duration::from_secs(3600), pool.close()).await.unwrap();
        assert_eq!((settled.done, settled.taken), (5, 5));
        assert!(!pool.try_submit(5).unwrap_err().is_full());
        assert_eq!(unread.count().await, 5);
    }
}
