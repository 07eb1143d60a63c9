//! The promises of a worker pool.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::{StreamExt, future::yield_now};
use weirs_pipelines::{BuildError, JobError, SubmitError, Worker, WorkerPool};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let square = async |n: u64| Ok::<_, Infallible>(n * n);
    let pool = WorkerPool::builder(square).workers(3).queue(4).build(&runtime).unwrap();
    let mut results = pool.results();
    let (sum, ()) = futures::join!(
        async {
            let mut sum = 0;
            while let Some(completion) = results.next().await {
                assert_eq!(completion.result.unwrap(), completion.id.number().pow(2));
                sum += 1;
            }
            sum
        },
        async {
            for n in 0..100 {
                assert_eq!(pool.submit(n).await.unwrap().number(), n);
            }
            assert_eq!(pool.close().await.done, 100);
        }
    );
    assert_eq!(sum, 100);
}

#[apply(runtime_test)]
async fn results_in_the_order_of_submission(runtime: Runtime) {
    let work = async |n: u64| {
        for _ in 0..(n * 7) % 5 {
            yield_now().await;
        }
        Ok::<_, Infallible>(n)
    };
    let pool = WorkerPool::builder(work).workers(4).queue(8).unread(8).ordered().build(&runtime).unwrap();
    let mut results = pool.results();
    let feed = async {
        for n in 0..200 {
            pool.submit(n).await.unwrap();
        }
        drop(pool.close());
    };
    let read = async {
        let mut expected = 0;
        while let Some(completion) = results.next().await {
            assert_eq!(completion.result.unwrap(), expected);
            expected += 1;
        }
        assert_eq!(expected, 200);
    };
    futures::join!(feed, read);
}

#[apply(runtime_test)]
async fn a_panicking_job_costs_itself_only(runtime: Runtime) {
    let work = async |n: u64| match n {
        7 => panic!("the seventh"),
        n if n % 2 == 0 => Err(n),
        n => Ok(n),
    };
    let pool = WorkerPool::builder(work).workers(2).queue(16).build(&runtime).unwrap();
    let mut results = pool.results();
    for n in 1..=10 {
        pool.submit(n).await.unwrap();
    }
    let settled = pool.close().await;
    assert_eq!((settled.done, settled.failed, settled.panicked), (4, 5, 1));
    while let Some(completion) = results.next().await {
        match completion.result {
            Err(JobError::Panicked(payload)) => {
                assert_eq!((payload.message(), completion.id.number()), ("the seventh", 6));
            }
            Err(JobError::Failed(n)) => assert_eq!(n % 2, 0),
            other => assert_eq!(other.unwrap() % 2, 1),
        }
    }
}

#[apply(runtime_test)]
async fn a_full_pool_gives_the_job_back_and_a_closed_one_too(runtime: Runtime) {
    let running = Arc::new(AtomicUsize::new(0));
    let work = {
        let running = Arc::clone(&running);
        move |n: u64| {
            running.fetch_add(1, Ordering::Relaxed);
            async move { std::future::pending::<Result<u64, Infallible>>().await.map(|_| n) }
        }
    };
    let pool = WorkerPool::builder(work).workers(1).queue(1).build(&runtime).unwrap();
    let intake = pool.intake();
    pool.submit(1).await.unwrap();
    // The second waits in the queue, as soon as the worker has taken the first.
    pool.submit(2).await.unwrap();
    while running.load(Ordering::Relaxed) == 0 {
        yield_now().await;
    }
    assert_eq!(intake.try_submit(3), Err(SubmitError::Full(3)));
    let report = pool.abort().await;
    let handed_back: Vec<_> = report.handed_back.iter().map(|(id, job)| (id.number(), *job)).collect();
    assert_eq!(handed_back, [(1, 2)]);
    assert_eq!((report.settled.taken, report.settled.interrupted, report.settled.handed_back), (2, 1, 1));
    assert_eq!(intake.submit(4).await, Err(SubmitError::Closed(4)));
}

#[apply(sim_test)]
async fn a_shutdown_ends_by_its_deadline_though_nobody_reads(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let work = {
        let clock = clock.clone();
        move |n: u64| {
            let clock = clock.clone();
            async move {
                clock.sleep(ms(n)).await;
                Ok::<_, Infallible>(n)
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(2).queue(16).unread(1).build(&runtime).unwrap();
    let _unread = pool.results();
    for n in [1, 2, 3, 50, 60, 70] {
        pool.submit(n).await.unwrap();
    }
    let start = clock.now();
    let report = pool.shutdown(ms(20)).await;
    assert_eq!(clock.now() - start, ms(20));
    assert_eq!((report.settled.done, report.settled.interrupted), (3, 2));
    let handed_back: Vec<_> = report.handed_back.into_iter().map(|(_, job)| job).collect();
    assert_eq!(handed_back, [70]);
    // What was interrupted is told, too.
    assert_eq!(report.unread.len(), 5);
}

#[apply(sim_test)]
async fn a_late_job_is_not_begun(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let sleep = clock.clone();
    let work = move |n: u64| {
        let sleep = sleep.sleep(ms(n));
        async move {
            sleep.await;
            Ok::<_, Infallible>(n)
        }
    };
    let pool = WorkerPool::builder(work).workers(1).build(&runtime).unwrap();
    let mut results = pool.results();
    pool.submit(10).await.unwrap();
    pool.submit(1).by(clock.now() + ms(5)).await.unwrap();
    drop(pool.close());
    assert_eq!(results.next().await.unwrap().result.unwrap(), 10);
    assert!(matches!(results.next().await.unwrap().result, Err(JobError::Expired(1))));
    assert!(results.next().await.is_none());
}

#[apply(runtime_test)]
async fn a_dropped_submit_has_taken_nothing(runtime: Runtime) {
    let go = Arc::new(AtomicUsize::new(0));
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
    let pool = WorkerPool::builder(work).workers(1).queue(1).build(&runtime).unwrap();
    pool.submit(1).await.unwrap();
    pool.submit(2).await.unwrap();
    let make = || async {
        let waits = pool.submit(3);
        futures_lite::future::or(async { _ = waits.await }, async {
            yield_now().await;
            yield_now().await;
        })
        .await;
    };
    cancel_at_every_poll(make, async |_| assert_eq!(pool.stats().counts.taken, 2)).await;
    go.store(1, Ordering::Relaxed);
    assert_eq!(pool.close().await.done, 2);
}

#[apply(runtime_test)]
async fn a_dropped_pool_leaves_nothing_behind(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let alive = Arc::new(());
    let work = {
        let alive = Arc::clone(&alive);
        move |n: u64| {
            let alive = Arc::clone(&alive);
            async move {
                std::future::pending::<()>().await;
                drop(alive);
                Ok::<_, Infallible>(n)
            }
        }
    };
    let pool = WorkerPool::builder(work).workers(3).queue(8).build(&runtime).unwrap();
    let mut results = pool.results();
    for n in 0..8 {
        pool.submit(n).await.unwrap();
    }
    drop(pool);
    watched.idle().await;
    assert_eq!(Arc::strong_count(&alive), 1);
    let mut ended = 0;
    while let Some(completion) = results.next().await {
        assert!(matches!(completion.result, Err(JobError::Interrupted)));
        ended += 1;
    }
    assert!(ended <= 3);
}

#[apply(runtime_test)]
async fn workers_with_a_state_are_made_anew_after_a_panic(runtime: Runtime) {
    struct Counts(u64);
    impl Worker for Counts {
        type Job = bool;
        type Output = u64;
        type Error = Infallible;
        async fn work(&mut self, panics: bool) -> Result<u64, Infallible> {
            self.0 += 1;
            yield_now().await;
            assert!(!panics, "as told");
            Ok(self.0)
        }
    }
    let pool =
        WorkerPool::with_workers(|_| Ok::<_, Infallible>(Counts(0))).workers(1).build(&runtime).unwrap();
    let mut results = pool.results();
    for panics in [false, false, true, false] {
        pool.submit(panics).await.unwrap();
    }
    drop(pool.close());
    let mut seen = Vec::new();
    while let Some(completion) = results.next().await {
        seen.push(completion.result.ok());
    }
    assert_eq!(seen, [Some(1), Some(2), None, Some(1)]);
}

#[apply(runtime_test)]
async fn what_makes_no_sense_is_an_error_at_once(runtime: Runtime) {
    let work = async |n: u64| Ok::<_, Infallible>(n);
    for (builder, field) in [
        (WorkerPool::builder(work).workers(0), "pool.workers"),
        (WorkerPool::builder(work).queue(0), "pool.queue"),
    ] {
        match builder.build(&runtime) {
            Err(BuildError::Invalid(invalid)) => assert_eq!(invalid.field(), field),
            other => panic!("{other:?}"),
        }
    }
    struct Never;
    impl Worker for Never {
        type Job = ();
        type Output = ();
        type Error = Infallible;
        async fn work(&mut self, (): ()) -> Result<(), Infallible> {
            Ok(())
        }
    }
    let fails = |number| if number == 1 { Err(std::fmt::Error) } else { Ok(Never) };
    assert!(matches!(
        WorkerPool::with_workers(fails).build(&runtime),
        Err(BuildError::Worker { number: 1, .. })
    ));
    let panics = |number| if number == 2 { panic!("no") } else { Ok::<_, Infallible>(Never) };
    assert!(matches!(
        WorkerPool::with_workers(panics).build(&runtime),
        Err(BuildError::WorkerPanicked { number: 2, .. })
    ));
}
