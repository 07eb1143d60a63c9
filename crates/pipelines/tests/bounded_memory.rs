//! Memory is bounded by the queues, however many jobs there are. One test, for the count is of the whole
//! process.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures_lite::{StreamExt, stream};
use weirs_limiters::Semaphore;
use weirs_pipelines::{DeadLetterRing, ParMap, Pipeline, ResilientPipeline, WorkerPool};
use weirs_resilience::{Backoff, Breaker};
use weirs_runtime::{Runtime, Smol, block_on};
use weirs_testing::{Allocations, CountingAllocator, yields};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const FEW: u64 = 10_000;
const MANY: u64 = 1_000_000;

/// Each job has so many bytes on the heap: if they were kept, [`MANY`] were a quarter of a gigabyte.
const SIZE: usize = 256;

/// Queues and tasks come to a fraction of it.
const BOUND: u64 = 1 << 20;

/// Of an executor's queues and a histogram, which are there or not when the peak is.
const NOISE: u64 = 128 << 10;

type Job = Box<[u8; SIZE]>;

fn job(n: u64) -> Job {
    let mut job = Box::new([0; SIZE]);
    job[..8].copy_from_slice(&n.to_le_bytes());
    job
}

fn number(job: &Job) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&job[..8]);
    u64::from_le_bytes(bytes)
}

fn jobs(count: u64) -> impl Iterator<Item = Job> + Send {
    (0..count).map(job)
}

async fn work(job: Job) -> Result<Job, Infallible> {
    yields(usize::from(number(&job) % 64 == 0)).await;
    Ok(job)
}

/// Does so many jobs, and says how many were done.
type Case = fn(&Runtime, u64) -> u64;

#[test]
fn memory_does_not_grow_with_the_number_of_jobs() {
    let runtime = Runtime::from(Smol::global());
    let cases: [(&str, Case); 6] = [
        ("pool", |runtime, count| block_on(pool(runtime, count))),
        ("ordered pool by key", |runtime, count| block_on(keyed_pool(runtime, count))),
        ("pipeline", |runtime, count| block_on(pipeline(runtime, count))),
        ("broadcast", |runtime, count| block_on(broadcast(runtime, count))),
        ("par_map", |runtime, count| block_on(par_map(runtime, count))),
        ("resilient pipeline", |runtime, count| block_on(resilient(runtime, count))),
    ];
    for (what, run) in cases {
        // The executor's threads and the clock's come first.
        assert_eq!(run(&runtime, FEW), FEW, "{what}");
        let (_, few) = Allocations::measure(|| run(&runtime, FEW));
        let (done, many) = Allocations::measure(|| run(&runtime, MANY));
        assert_eq!(done, MANY, "{what}");
        assert!(many.bytes >= MANY * SIZE as u64, "{what}: they are on the heap: {many:?}");
        assert!(many.peak_bytes <= few.peak_bytes + NOISE, "{what}: {few:?} {many:?}");
        assert!(many.peak_bytes <= BOUND, "{what}: {many:?}");
        assert!(many.leaked_bytes <= NOISE as i64, "{what}: {many:?}");
    }
}

async fn pool(runtime: &Runtime, count: u64) -> u64 {
    let pool = WorkerPool::builder(work).workers(4).queue(64).build(runtime).unwrap();
    let intake = pool.intake();
    let feeder = runtime.spawn(async move { intake.submit_many(jobs(count)).await.unwrap() });
    let done = pool.into_results().filter(|end| end.result.is_ok()).count().await as u64;
    assert_eq!(feeder.await.unwrap(), count);
    done
}

/// As many keys as jobs, and a reader that is slow now and then.
async fn keyed_pool(runtime: &Runtime, count: u64) -> u64 {
    let builder = WorkerPool::builder(work).workers(4).queue(64).unread(64).ordered().measured();
    let pool = builder.by_key(number).build(runtime).unwrap();
    let intake = pool.intake();
    let feeder = runtime.spawn(async move { intake.submit_many(jobs(count)).await.unwrap() });
    let (mut results, mut done) = (pool.into_results(), 0);
    while let Some(end) = results.next().await {
        assert_eq!(number(&end.result.unwrap()), done);
        done += 1;
        yields(usize::from(done % 100 == 0)).await;
    }
    assert_eq!(feeder.await.unwrap(), count);
    done
}

async fn pipeline(runtime: &Runtime, count: u64) -> u64 {
    let plan = Pipeline::source(stream::iter(jobs(count)))
        .stage("ordered", 2, work)
        .buffer(64)
        .stage_by_key("by key", 2, number, work)
        .stage("serial", 1, work)
        .batch(16, Duration::from_millis(1))
        .buffer(4)
        .stage("unordered", 2, async |batch: Vec<Job>| Ok::<_, Infallible>(batch.len() as u64))
        .unordered()
        .fold(0, |sum, len| *sum += len);
    plan.run(runtime).unwrap().await.unwrap().output
}

async fn broadcast(runtime: &Runtime, count: u64) -> u64 {
    let plan = Pipeline::source(stream::iter(jobs(count)))
        .broadcast(32, |one| one.stage("one", 1, work), |other| other.buffer(32).stage("other", 2, work))
        .fold(0, |count, _| *count += 1);
    plan.run(runtime).unwrap().await.unwrap().output / 2
}

async fn par_map(runtime: &Runtime, count: u64) -> u64 {
    let workers = NonZeroUsize::new(4).unwrap();
    let mapped = stream::iter(jobs(count)).par_map(workers, work, runtime);
    // Beside the workers: a reader in another thread were woken for each of them.
    runtime.spawn(mapped.count()).await.unwrap() as u64
}

/// Some jobs fail once, some always; of those the ring keeps a hundred.
async fn resilient(runtime: &Runtime, count: u64) -> u64 {
    let clock = runtime.clock();
    let breaker = Breaker::failure_rate(0.9).clock(clock).build().unwrap();
    let letters = DeadLetterRing::new(NonZeroUsize::new(100).unwrap());
    let work = async |job: Job| match number(&job) % 100 {
        0 => Err("never"),
        _ => work(job).await.map_err(|never| match never {}),
    };
    let pipeline = ResilientPipeline::builder(work)
        .workers(4)
        .queue(64)
        .limit(Semaphore::new(3))
        .breaker(&breaker)
        .timeout(Duration::from_secs(60))
        .retry(1, Backoff::none())
        .dead_letters(letters.clone())
        .measured()
        .build(runtime)
        .unwrap();
    let mut results = pipeline.results();
    let feed = async {
        for job in jobs(count) {
            pipeline.submit(job).await.unwrap();
        }
        drop(pipeline.close());
    };
    let read = async {
        let mut ended = 0;
        while results.next().await.is_some() {
            ended += 1;
        }
        ended
    };
    let ((), ended) = futures::join!(feed, read);
    assert_eq!(letters.len(), 100);
    assert_eq!(pipeline.stats().counts.dead_lettered, count / 100);
    ended
}
