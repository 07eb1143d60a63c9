//! What jobs allocate on their way. One test, for the count is of the whole process.

use std::convert::Infallible;

use futures_lite::StreamExt;
use weirs_pipelines::{Intake, Results, WorkerPool};
use weirs_runtime::{Runtime, Smol, block_on};
use weirs_testing::{Allocations, CountingAllocator, yields};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: u64 = 20_000;

/// The executor's queue is made of blocks of some thirty tasks, and `submit_many` has a buffer: far from one
/// a job.
const A_FEW: u64 = MANY / 20;

#[test]
fn in_the_steady_state_jobs_allocate_nothing() {
    let runtime = Runtime::from(Smol::global());
    let work = async |n: u64| {
        yields(n as usize % 2).await;
        Ok::<_, Infallible>(n)
    };
    let plain = WorkerPool::builder(work).workers(2).queue(64);
    let ordered = WorkerPool::builder(work).workers(2).queue(64).ordered().measured();
    for (what, builder) in [("plain", plain), ("ordered", ordered)] {
        let pool = builder.build(&runtime).unwrap();
        let (intake, mut results) = (pool.intake(), pool.into_results());
        block_on(round(&intake, &mut results));
        block_on(round(&intake, &mut results));
        let ((), third) = Allocations::measure(|| block_on(round(&intake, &mut results)));
        assert!(third.count <= A_FEW, "{what}: {third:?}");
        assert!(third.peak_bytes < 64 * 1024, "{what}: {third:?}");
    }
}

async fn round(intake: &Intake<u64, u64, Infallible>, results: &mut Results<u64, u64, Infallible>) {
    let feed = async { assert_eq!(intake.submit_many(0..MANY).await.unwrap(), MANY) };
    let read = async {
        for _ in 0..MANY {
            results.next().await.unwrap().result.unwrap();
        }
    };
    futures::join!(feed, read);
}
