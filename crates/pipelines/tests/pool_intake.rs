//! The ways into a pool: one job, many, a call; from async and synchronous code; and what ends them.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{or, yield_now};
use weirs_channels_utils::StreamUtil;
use weirs_pipelines::{CallError, Intake, JobError, WorkerPool, WorkerPoolBuilder};
use weirs_pipelines::{FnWorker, Same};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{
    apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, runtime_test_blocking, sim_test, yields,
};

type Echo = WorkerPoolBuilder<Same<FnWorker<u64, fn(u64) -> std::future::Ready<Result<u64, Infallible>>>>>;

fn echo() -> Echo {
    WorkerPool::builder(|n| std::future::ready(Ok(n)))
}

#[apply(runtime_test)]
async fn many_jobs_keep_their_order_and_their_number(runtime: Runtime) {
    let pool = echo().workers(2).queue(8).unread(4).ordered().build(&runtime).unwrap();
    let intake = pool.intake();
    let feeder = runtime.spawn(async move { intake.submit_many(0..500).await.unwrap() });
    let results: Vec<_> = pool.into_results().map(|end| end.result.unwrap()).collect().await;
    assert!(results.into_iter().eq(0..500));
    assert_eq!(feeder.await.unwrap(), 500);
}

#[apply(runtime_test)]
async fn results_go_through_a_tee_to_two_consumers(runtime: Runtime) {
    let pool = echo().workers(2).queue(8).ordered().build(&runtime).unwrap();
    let intake = pool.intake();
    let feeder = runtime.spawn(async move { intake.submit_many(0..100).await.unwrap() });
    let results = pool.into_results().map(|end| end.result.ok());
    let [one, two] = StreamUtil::tee(results, NonZeroUsize::new(4).unwrap());
    let (one, two) = futures::join!(one.collect::<Vec<_>>(), two.collect::<Vec<_>>());
    assert!(one.into_iter().eq((0..100).map(Some)) && two.len() == 100);
    feeder.await.unwrap();
}

#[apply(runtime_test)]
async fn a_closed_pool_gives_back_what_it_has_not_taken(runtime: Runtime) {
    let pool = WorkerPool::builder(|n: u64| async move {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(n)
    })
    .workers(1)
    .queue(3)
    .build(&runtime)
    .unwrap();
    let (many, ()) = futures::join!(pool.submit_many(0..100), async {
        yields(20).await;
        drop(pool.close());
    });
    let error = many.unwrap_err();
    assert!(error.submitted >= 3);
    assert!(error.rest.eq(error.submitted..100));
    let report = pool.abort().await;
    assert_eq!(report.settled.ended(), error.submitted);
}

#[apply(runtime_test)]
async fn a_call_is_answered_to_its_caller(runtime: Runtime) {
    let work = async |n: u64| {
        yield_now().await;
        match n {
            0 => panic!("as told"),
            1 => Err("one"),
            n => Ok(n * n),
        }
    };
    let pool = WorkerPool::builder(work).workers(2).queue(2).build(&runtime).unwrap();
    let calls = futures::future::join_all((2..40).map(|n| pool.call(n))).await;
    for (n, answer) in (2..).zip(calls) {
        assert_eq!(answer.unwrap(), n * n);
    }
    assert!(matches!(pool.call(1).await, Err(CallError::Failed("one"))));
    match pool.call(0).await {
        Err(CallError::Panicked(payload)) => assert_eq!(payload.message(), "as told"),
        other => panic!("{other:?}"),
    }
    let past = runtime.clock().now();
    assert_eq!(pool.call(5).by(past).await.unwrap_err().into_job(), Some(5));
    // None of them is among the results.
    assert_eq!(pool.stats().unread, 0);
    let intake = pool.intake();
    let settled = pool.close().await;
    assert_eq!((settled.taken, settled.done, settled.ended()), (41, 38, 41));
    assert_eq!(intake.call(3).await.unwrap_err().into_job(), Some(3));
}

#[apply(runtime_test)]
async fn a_shutdown_gives_the_caller_its_job_back(runtime: Runtime) {
    let work = async |n: u64| std::future::pending::<Result<u64, Infallible>>().await.map(|_| n);
    let pool = WorkerPool::builder(work).workers(1).queue(4).build(&runtime).unwrap();
    let calls: Vec<_> = (0..3)
        .map(|n| {
            let intake = pool.intake();
            runtime.spawn(async move { intake.call(n).await.unwrap_err() })
        })
        .collect();
    while pool.stats().counts.taken < 3 || pool.stats().busy().1 == 0 {
        yield_now().await;
    }
    drop(pool);
    let (mut interrupted, mut closed) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            CallError::Interrupted => interrupted += 1,
            CallError::Closed(_) => closed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((interrupted, closed), (1, 2));
}

#[apply(runtime_test)]
async fn a_job_whose_caller_is_gone_is_not_begun(runtime: Runtime) {
    let (begun, go) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let work = {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        move |_: u64| {
            begun.fetch_add(1, Ordering::Relaxed);
            let go = Arc::clone(&go);
            async move {
                while go.load(Ordering::Relaxed) == 0 {
                    yield_now().await;
                }
                Ok::<_, Infallible>(())
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(1).queue(4).discard_results().build(&runtime).unwrap();
    pool.submit(0).await.unwrap();
    while begun.load(Ordering::Relaxed) == 0 {
        yield_now().await;
    }
    let make = || or(async { _ = pool.call(1).await }, yields(2));
    cancel_at_every_poll(make, async |_| ()).await;
    go.store(1, Ordering::Relaxed);
    let settled = pool.close().await;
    assert_eq!((begun.load(Ordering::Relaxed), settled.done), (1, 1));
    assert_eq!(settled.ended(), settled.taken);
}

#[apply(runtime_test)]
async fn every_wait_is_dropped_at_every_poll(runtime: Runtime) {
    let pool = echo().workers(2).queue(2).unread(0).build(&runtime).unwrap();
    let mut results = pool.results();
    let clock = runtime.clock();
    for _ in 0..20 {
        let mut many = pool.submit_many(0..10);
        let patience = clock.random_below(8) as usize;
        let read = async {
            for _ in 0..patience {
                or(async { _ = results.next().await }, yield_now()).await;
            }
        };
        or(async { _ = (&mut many).await }, read).await;
    }
    drop(results);
    let settled = pool.close().await;
    assert_eq!(settled.done, settled.taken);
    // Waiting for the end, too.
    cancel_at_every_poll(|| pool.close(), async |_| ()).await;
}

#[apply(runtime_test)]
async fn a_dropped_close_and_a_dropped_read_change_nothing(runtime: Runtime) {
    let go = Arc::new(AtomicU64::new(0));
    let work = {
        let go = Arc::clone(&go);
        move |n: u64| {
            let go = Arc::clone(&go);
            async move {
                while go.load(Ordering::Relaxed) == 0 {
                    yield_now().await;
                }
                Ok::<_, Infallible>(n)
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(1).queue(4).build(&runtime).unwrap();
    let other = pool.results();
    for n in 0..3 {
        pool.submit(n).await.unwrap();
    }
    let read = || async {
        let mut results = pool.results();
        or(async { _ = results.next().await }, yields(2)).await;
    };
    cancel_at_every_poll(read, async |_| assert_eq!(pool.stats().counts.discarded, 0)).await;
    cancel_at_every_wake(read, async |_| ()).await;
    let close = || or(async { _ = pool.close().await }, yields(2));
    cancel_at_every_poll(close, async |_| assert_eq!(pool.stats().queued + pool.stats().in_hand, 3)).await;
    go.store(1, Ordering::Relaxed);
    assert_eq!(pool.close().await.done, 3);
    assert_eq!(other.count().await, 3);
}

#[apply(runtime_test)]
async fn a_dropped_shutdown_drops_the_pool(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let make = || async {
        let work = async |n: u64| std::future::pending::<Result<u64, Infallible>>().await.map(|_| n);
        let pool = WorkerPool::builder(work).workers(2).queue(4).build(&runtime).unwrap();
        let sent = pool.submit_many(0..4).await.unwrap();
        let report = pool.shutdown(Duration::from_micros(10)).await;
        assert_eq!(report.settled.ended(), sent);
    };
    cancel_at_every_poll(make, |_| watched.idle()).await;
}

#[apply(runtime_test)]
async fn the_first_error_stops(runtime: Runtime) {
    let work = async |n: u64| if n == 3 { Err(n) } else { Ok(n) };
    let pool = WorkerPool::builder(work).workers(1).queue(20).stop_on_error().build(&runtime).unwrap();
    let intake = pool.intake();
    let feeder = runtime.spawn(async move { intake.submit_many(0..1000).await.unwrap_err() });
    let mut results = pool.results();
    let mut seen = Vec::new();
    while let Some(end) = results.next().await {
        seen.push(end.result.map_err(|error| error.failed()));
    }
    assert_eq!(seen, [Ok(0), Ok(1), Ok(2), Err(Some(3))]);
    let feeding = feeder.await.unwrap();
    assert!(feeding.rest.eq(feeding.submitted..1000));
    let report = pool.shutdown(Duration::ZERO).await;
    let handed_back: Vec<_> = report.handed_back.into_iter().map(|(_, job)| job).collect();
    assert!(handed_back.into_iter().eq(4..feeding.submitted));
    assert_eq!(report.settled.ended(), feeding.submitted);
}

#[apply(runtime_test)]
async fn a_job_that_fails_or_panics_is_tried_again(runtime: Runtime) {
    let tries = Arc::new(AtomicU64::new(0));
    let work = {
        let tries = Arc::clone(&tries);
        move |(fails, panics): (bool, bool)| {
            let attempt = tries.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(!panics || attempt % 3 == 2, "attempt {attempt}");
                if fails { Err(attempt) } else { Ok(attempt) }
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(1).retries(2).build(&runtime).unwrap();
    let mut results = pool.results();
    pool.submit((true, false)).await.unwrap();
    pool.submit((false, true)).await.unwrap();
    pool.submit((false, false)).await.unwrap();
    drop(pool.close());
    let failed = results.next().await.unwrap();
    assert_eq!(failed.attempts, 3);
    assert!(matches!(failed.result, Err(JobError::Failed(2))));
    let panicked_twice = results.next().await.unwrap();
    assert_eq!((panicked_twice.attempts, panicked_twice.result.unwrap()), (3, 5));
    assert_eq!(results.next().await.unwrap().attempts, 1);
    assert_eq!((pool.stats().retried, results.next().await.is_none()), (4, true));
}

#[apply(runtime_test_blocking)]
fn a_pool_is_used_from_synchronous_code(runtime: Runtime) {
    let pool = echo().workers(2).queue(4).unread(100).ordered().build(&runtime).unwrap();
    for n in 0..100 {
        pool.submit_blocking(n).unwrap();
    }
    assert_eq!(block_on(pool.call(7)).unwrap(), 7);
    let doubled = pool.into_results().blocking_iter().map(|end| end.result.unwrap());
    assert!(doubled.eq(0..100));
}

#[apply(sim_test)]
async fn places_are_given_first_come_first_served(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let work = move |n: u64| {
        let takes = clock.sleep(Duration::from_millis(1));
        async move {
            takes.await;
            Ok::<_, Infallible>(n)
        }
    };
    let pool = WorkerPool::builder(work).workers(1).queue(2).ordered().build(&runtime).unwrap();
    let results = pool.results();
    // One that wants many does not starve one that wants one, and the other way round.
    let order = std::cell::RefCell::new(Vec::new());
    let one = |name: u64| {
        let (pool, order) = (&pool, &order);
        async move {
            pool.submit(name).await.unwrap();
            order.borrow_mut().push(name);
        }
    };
    let many = async {
        pool.submit_many(100..106).await.unwrap();
        order.borrow_mut().push(100);
    };
    futures::join!(one(0), one(1), one(2), many, one(3), one(4));
    let order = order.into_inner();
    assert_eq!(order[..3], [0, 1, 2]);
    drop(pool.close());
    let done: Vec<_> = results.map(|end| end.result.unwrap()).collect().await;
    let place = |n| done.iter().position(|done| *done == n).unwrap();
    assert!(place(3) < place(105) && place(3) < place(4), "{done:?}");
}

#[apply(sim_test)]
async fn whoever_waits_is_not_overtaken_for_ever(runtime: Runtime) {
    let intake: Arc<Mutex<Option<Intake<u64, u64, Infallible>>>> = Arc::default();
    let overtook = Arc::new(AtomicUsize::new(0));
    let work = {
        let (intake, overtook) = (Arc::clone(&intake), Arc::clone(&overtook));
        move |n: u64| {
            // While its worker has the next jobs in hand, and gives them back when this one has to wait.
            let own = intake.lock().unwrap().clone().filter(|_| overtook.load(Ordering::Relaxed) < 1000);
            let more = own.is_some_and(|own| own.try_submit(1).is_ok());
            overtook.fetch_add(usize::from(more), Ordering::Relaxed);
            async move {
                yields(n as usize % 2).await;
                Ok(n)
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(2).queue(4).discard_results().build(&runtime).unwrap();
    *intake.lock().unwrap() = Some(pool.intake());
    assert_eq!(pool.submit_many(0..100).await.unwrap(), 100);
    *intake.lock().unwrap() = None;
    let (settled, overtook) = (pool.close().await, overtook.load(Ordering::Relaxed));
    assert_eq!((settled.taken, settled.done), (100 + overtook as u64, 100 + overtook as u64));
    assert!(overtook < 1000, "nobody else gets a job in");
}
