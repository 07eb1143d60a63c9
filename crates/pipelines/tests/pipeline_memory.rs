//! What items allocate on their way through a pipeline. One test, for the count is of the whole process.

use std::convert::Infallible;
use std::num::NonZeroUsize;

use futures_lite::{StreamExt, stream};
use weirs_pipelines::{ParMap, Pipeline};
use weirs_runtime::{Runtime, Smol, block_on};
use weirs_testing::{Allocations, CountingAllocator, yields};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: u64 = 20_000;

/// The executor's queue is made of blocks of some thirty tasks: far from one an item.
const A_FEW: u64 = MANY / 20;

/// Threads of the runtime and of whoever runs the tests may begin meanwhile.
const BESIDES: u64 = 16;

#[test]
fn in_the_steady_state_items_allocate_nothing() {
    let runtime = Runtime::from(Smol::global());
    costs_nothing("one task", 0, |items| block_on(island(items)));
    costs_nothing("buffers in one task", 0, |items| block_on(buffers(items, None)));
    costs_nothing("buffers", A_FEW, |items| block_on(buffers(items, Some(&runtime))));
    costs_nothing("workers", A_FEW, |items| block_on(workers(items, &runtime)));
    costs_nothing("par_map", A_FEW, |items| block_on(par_map(items, &runtime)));
}

/// Twice the items allocate no more than once.
fn costs_nothing(what: &str, most: u64, run: impl Fn(u64)) {
    run(MANY);
    let ((), once) = Allocations::measure(|| run(MANY));
    let ((), twice) = Allocations::measure(|| run(2 * MANY));
    assert!(twice.count <= once.count + most + BESIDES, "{what}: {once:?}, {twice:?}");
    assert!(twice.peak_bytes < 256 * 1024, "{what}: {twice:?}");
}

/// Some of the jobs wait.
async fn work(n: u64) -> Result<u64, Infallible> {
    yields(usize::from(n % 64 == 0)).await;
    Ok(n)
}

async fn island(items: u64) {
    let plan = Pipeline::source(stream::iter(0..items))
        .stage("one", 1, work)
        .stage("two", 1, work)
        .fold(0, |count, _| *count += 1);
    assert_eq!(plan.drive().unwrap().await.unwrap().output, items);
}

async fn buffers(items: u64, runtime: Option<&Runtime>) {
    let plan = Pipeline::source(stream::iter(0..items))
        .buffer(64)
        .stage("one", 1, work)
        .buffer(64)
        .stage("two", 1, work)
        .buffer(64)
        .fold(0, |count, _| *count += 1);
    let ended = match runtime {
        Some(runtime) => plan.run(runtime).unwrap().await,
        None => plan.drive().unwrap().await,
    };
    assert_eq!(ended.unwrap().output, items);
}

async fn workers(items: u64, runtime: &Runtime) {
    let plan = Pipeline::source(stream::iter(0..items))
        .stage("in order", 3, work)
        .stage("as they come", 3, work)
        .unordered()
        .fold(0, |count, _| *count += 1);
    assert_eq!(plan.run(runtime).unwrap().await.unwrap().output, items);
}

async fn par_map(items: u64, runtime: &Runtime) {
    let four = NonZeroUsize::new(4).unwrap();
    let mapped = stream::iter(0..items).par_map(four, work, runtime);
    assert_eq!(mapped.count().await as u64, items);
}
