//! What many items allocate and leave behind. One test, for the count is of the whole process.

use std::num::NonZeroUsize;

use futures::{StreamExt, stream};
use weirs_channels_utils::StreamUtil;
use weirs_runtime::{Clock, block_on};
use weirs_testing::{Allocations, CountingAllocator, yields};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: usize = 20_000;

/// The test harness has a thread of its own, which may allocate a little at any time.
const HARNESS: u64 = 64;

fn n(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

#[test]
fn a_long_stream_takes_no_more_than_a_short_one() {
    let source = || stream::iter(0..MANY);
    let work = async |item: usize| {
        yields(item % 3).await;
        item
    };
    takes("in order", 200, || block_on(source().map_concurrent(n(16), work).count()));
    takes("as ready", 200, || block_on(source().map_concurrent_unordered(n(16), work).count()));
    takes("driven", 200, || {
        block_on(source().map_concurrent(n(16), work).drive(|results| results.count()));
        MANY
    });
    takes("run", 200, || {
        block_on(source().run_concurrent(n(16), async |item| assert_eq!(work(item).await, item)));
        MANY
    });
    // Items wait in the lanes of their keys, which are used again.
    takes("by key", 400, || block_on(source().map_by_key(|item| item % 100, n(16), n(4), work).count()));
    // One for each batch, which is given away.
    let (within, clock) = (std::time::Duration::from_secs(1), Clock::default());
    let allowed = (MANY / 100) as u64 + HARNESS;
    takes("batches", allowed, || {
        let batches = source().chunks_or_timeout(n(100), within, &clock).unwrap();
        block_on(batches.map(|batch| batch.len()).fold(0, async |sum, batch| sum + batch))
    });
}

#[track_caller]
fn takes(what: &str, allowed: u64, round: impl Fn() -> usize) {
    assert_eq!(round(), MANY, "{what}");
    let (count, third) = Allocations::measure(&round);
    assert_eq!(count, MANY, "{what}");
    assert!(third.count <= allowed + HARNESS, "{what}: {third:?}");
    assert!(third.leaked <= HARNESS as i64, "{what}: {third:?}");
    assert!(third.peak_bytes < 64 * 1024, "{what}: {third:?}");
}
