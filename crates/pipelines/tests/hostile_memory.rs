//! What a pool remembers of results that nobody wants. One test, for the count is of the whole process.

use std::convert::Infallible;
use std::future::pending;

use weirs_pipelines::WorkerPool;
use weirs_runtime::{Runtime, Smol, block_on};
use weirs_testing::{Allocations, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn an_ordered_pool_without_readers_remembers_no_order() {
    let runtime = Runtime::from(Smol::global());
    let work = async |n: Option<u64>| match n {
        Some(n) => Ok::<_, Infallible>([n; 16]),
        None => pending().await,
    };
    let (report, memory) = Allocations::measure(|| {
        let pool = WorkerPool::builder(work).workers(1).queue(64).ordered().discard_results();
        let pool = pool.build(&runtime).unwrap();
        block_on(async {
            pool.submit_many((0..100_000).map(Some)).await.unwrap();
            pool.submit_many([None; 10]).await.unwrap();
            pool.abort().await
        })
    });
    assert_eq!(report.settled.ended(), 100_010);
    assert!(memory.peak_bytes < 256 * 1024, "{memory:?}");
}
