//! The counting allocator, in a program of one test: the count is of the whole process.

use weirs_testing::{Allocations, CountingAllocator, Stretch};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn counts_what_is_allocated() {
    let (kept, allocations) = Allocations::measure(|| {
        drop(Vec::<u8>::with_capacity(1000));
        Vec::<u8>::with_capacity(64)
    });
    assert_eq!(allocations.count, 2);
    assert_eq!(allocations.bytes, 1064);
    assert_eq!((allocations.leaked, allocations.leaked_bytes), (1, 64));
    assert_eq!(allocations.peak_bytes, 1000);

    let stretch = Stretch::begin();
    drop(kept);
    let freed = stretch.end();
    assert_eq!((freed.count, freed.leaked, freed.leaked_bytes), (0, -1, -64));

    let (_, grown) = Allocations::measure(|| {
        let mut grows = Vec::<u8>::with_capacity(10);
        grows.reserve_exact(100);
    });
    assert_eq!((grown.count, grown.leaked, grown.leaked_bytes), (2, 0, 0));
}
