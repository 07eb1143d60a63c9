//! Throughput and latencies that can be worked out beforehand.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{StreamExt, stream};
use weirs_limiters::Semaphore;
use weirs_pipelines::{Pipeline, ResilientPipeline, Times, WorkerPool};
use weirs_runtime::Runtime;
use weirs_testing::{apply, sim_test};

/// So many jobs, each of which takes [`TAKES`].
const JOBS: u32 = 96;

const TAKES: Duration = Duration::from_millis(10);

/// What all workers call lets so many in at a time.
const BOTTLENECK: u32 = 8;

const WORKERS: [u32; 6] = [1, 2, 4, 8, 12, 48];

/// How long it takes for all jobs, if nobody who could work ever stands still.
fn at_best(workers: u32) -> Duration {
    TAKES * JOBS / workers.min(BOTTLENECK)
}

fn sleep(runtime: &Runtime) -> impl Fn(u32) -> Slept + Clone + Send + Sync + 'static + use<> {
    let clock = runtime.clock().clone();
    move |n| {
        let sleep = clock.sleep(TAKES);
        Box::pin(async move {
            sleep.await;
            Ok(n)
        })
    }
}

type Slept = Pin<Box<dyn Future<Output = Result<u32, Infallible>> + Send>>;

async fn took(runtime: &Runtime, work: impl Future) -> Duration {
    let start = runtime.clock().now();
    work.await;
    runtime.clock().now().saturating_since(start)
}

#[apply(sim_test)]
async fn a_pool_is_as_fast_as_its_workers_until_the_bottleneck(runtime: Runtime) {
    for ordered in [false, true] {
        for workers in WORKERS {
            let (server, sleep) = (Arc::new(Semaphore::new(BOTTLENECK.into())), sleep(&runtime));
            let work = move |n| {
                let (server, sleep) = (Arc::clone(&server), sleep.clone());
                async move {
                    let _permit = server.acquire(1).await;
                    sleep(n).await
                }
            };
            let pool = WorkerPool::builder(work).workers(workers as usize).queue(64);
            let pool = if ordered { pool.ordered() } else { pool };
            let pool = pool.build(&runtime).unwrap();
            let intake = pool.intake();
            let feeder = runtime.spawn(async move { intake.submit_many(0..JOBS).await.unwrap() });
            let took = took(&runtime, pool.into_results().count()).await;
            assert_eq!(took, at_best(workers), "{workers} workers");
            feeder.await.unwrap();
        }
    }
}

#[apply(sim_test)]
async fn a_pipeline_is_as_fast_as_its_slowest_stage(runtime: Runtime) {
    for workers in WORKERS {
        let stages =
            || {
                Pipeline::source(stream::iter(0..JOBS))
                    .stage("wide", workers as usize, sleep(&runtime))
                    .stage("bottleneck", BOTTLENECK as usize, sleep(&runtime))
            };
        let in_order = stages().collect().run(&runtime).unwrap();
        // The first job is done by one stage when the other begins.
        assert_eq!(took(&runtime, in_order).await, at_best(workers) + TAKES, "{workers} workers");
        let buffered = Pipeline::source(stream::iter(0..JOBS))
            .stage("wide", workers as usize, sleep(&runtime))
            .unordered()
            .buffer(16)
            .stage("bottleneck", BOTTLENECK as usize, sleep(&runtime))
            .unordered()
            .collect();
        let buffered = buffered.run(&runtime).unwrap();
        assert_eq!(took(&runtime, buffered).await, at_best(workers) + TAKES, "{workers} workers");
    }
}

#[apply(sim_test)]
async fn a_resilient_pipeline_is_as_fast_as_its_workers_until_the_limit(runtime: Runtime) {
    for workers in WORKERS {
        let pipeline = ResilientPipeline::builder(sleep(&runtime))
            .workers(workers as usize)
            .limit(Semaphore::new(BOTTLENECK.into()))
            .build(&runtime)
            .unwrap();
        let mut results = pipeline.results();
        let feed = async {
            for n in 0..JOBS {
                pipeline.submit(n).await.unwrap();
            }
            drop(pipeline.close());
        };
        let read = async { while results.next().await.is_some() {} };
        let both = async { futures::join!(feed, read) };
        assert_eq!(took(&runtime, both).await, at_best(workers), "{workers} workers");
    }
}

/// One takes a second, two at least half a second, ten at least a tenth: the mean says nothing of it.
const HEAVY_TAIL: u32 = 1000;

/// How long the n-th takes, when they are in the order of it.
fn nth(n: u32) -> Duration {
    Duration::from_secs(1) / (HEAVY_TAIL + 1 - n)
}

/// To a sixteenth, as the histogram promises.
#[track_caller]
fn about(found: Duration, exact: Duration) {
    let off = found.as_secs_f64() / exact.as_secs_f64() - 1.0;
    assert!(off.abs() <= 1.0 / 16.0, "{found:?} is not about {exact:?}");
}

#[track_caller]
fn are_right(times: Option<Times>) {
    let Some(Times { work, wait, .. }) = times else { panic!("it is measured") };
    assert_eq!((work.count, wait.count), (u64::from(HEAVY_TAIL), u64::from(HEAVY_TAIL)));
    about(work.p50, nth(500));
    about(work.p95, nth(950));
    about(work.p99, nth(990));
}

#[apply(sim_test)]
async fn percentiles_are_those_of_a_known_distribution(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let work = move |n: u32| {
        // They come in an order that has nothing to do with how long they take.
        let sleep = clock.sleep(nth(n * 387 % HEAVY_TAIL + 1));
        async move {
            sleep.await;
            Ok::<_, Infallible>(n)
        }
    };
    let pool = WorkerPool::builder(work.clone()).workers(3).measured().discard_results();
    let pool = pool.build(&runtime).unwrap();
    pool.submit_many(0..HEAVY_TAIL).await.unwrap();
    pool.close().await;
    are_right(pool.stats().times);

    let pipeline = ResilientPipeline::builder(work).workers(3).measured().build(&runtime).unwrap();
    drop(pipeline.results());
    for n in 0..HEAVY_TAIL {
        pipeline.submit(n).await.unwrap();
    }
    pipeline.close().await;
    are_right(pipeline.stats().times);
}

/// Of the jobs that come at once to one worker, the n-th waits for those before it.
#[apply(sim_test)]
async fn percentiles_of_the_queue_are_those_of_a_known_distribution(runtime: Runtime) {
    let builder = WorkerPool::builder(sleep(&runtime)).workers(1).queue(1000).measured();
    let pool = builder.discard_results().build(&runtime).unwrap();
    pool.submit_many(0..1000).await.unwrap();
    pool.close().await;
    let wait = pool.stats().times.unwrap().wait;
    about(wait.p50, TAKES * 500);
    about(wait.p95, TAKES * 950);
    about(wait.p99, TAKES * 990);
}
