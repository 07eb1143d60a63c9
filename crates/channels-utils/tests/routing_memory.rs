//! What items allocate on their way. One test, for the count is of the whole process.

mod common;

use common::some;
use futures::{StreamExt, stream};
use weirs_channels_utils::{Merge, StreamUtil, merge};
use weirs_runtime::block_on;
use weirs_testing::{Allocations, CountingAllocator, yields};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: usize = 50_000;

/// The test harness has a thread of its own, which may allocate a little at any time.
const HARNESS: u64 = 64;

#[test]
fn in_the_steady_state_an_item_allocates_nothing() {
    let source = || stream::iter(0..MANY);
    allocates_nothing("merge", merge([source(), source()]));
    allocates_nothing("keyed", Merge::from_iter([source(), source()]).keyed().map(|_| 0));
    let [one, two] = source().tee(some(8));
    allocates_nothing("tee", one.zip(two).map(|two| two.0));
    let (yes, no) = source().divide(|n| n % 2 == 0, some(8));
    allocates_nothing("divide", yes.zip(no).map(|two| two.0));
    let work = async |item: usize| {
        yields(item % 3).await;
        item
    };
    allocates_nothing("map_concurrent", source().map_concurrent(some(16), work));
    allocates_nothing("unordered", source().map_concurrent_unordered(some(16), work));
    allocates_nothing("by key", source().map_by_key(|n| n % 8, some(16), some(4), work));

    // Inputs and consumers that come and go leave nothing.
    let mut merge = Merge::new();
    let hub = source().tee_hub(some(4));
    let mut round = || {
        for _ in 0..MANY {
            let key = merge.push(stream::pending::<usize>());
            assert!(merge.remove(key).is_some());
            drop(hub.subscribe());
        }
    };
    round();
    let ((), second) = Allocations::measure(round);
    assert!(second.leaked <= HARNESS as i64, "{second:?}");
    assert!(second.peak_bytes < 64 * 1024, "{second:?}");
}

#[track_caller]
fn allocates_nothing<S: futures::Stream>(what: &str, items: S) {
    let mut items = std::pin::pin!(items);
    let mut take = |number| {
        block_on(async {
            for _ in 0..number {
                items.next().await.unwrap();
            }
        });
    };
    take(5_000);
    let ((), then) = Allocations::measure(|| take(10_000));
    assert!(then.count <= HARNESS, "{what}: {then:?}");
}
