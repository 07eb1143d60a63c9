//! The bound on the memory of keyed limits; alone in its program, because all allocations are counted.

use weirs_limiters::{Keyed, Quota, Rate};
use weirs_testing::{Allocations, CountingAllocator, ManualClock};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(Rate::per_second(rate), burst).unwrap()
}

/// The bound on memory: 22 bytes a key at most, whatever the key is, and nothing more as keys come.
#[test]
fn memory_is_bounded() {
    let time = ManualClock::new();
    let keys = 100_000;
    let (keyed, allocations) = Allocations::measure(|| {
        Keyed::<str>::builder(quota(1, 10)).max_keys(keys).clock(time.clock().clone()).build()
    });
    let bytes = keyed.stats().places * 16;
    assert!(bytes <= 22 * keys, "{bytes}");
    assert!(allocations.leaked_bytes as usize <= 22 * keys + 8_192, "{allocations:?}");
    let names: Vec<_> = (0..keys).map(|key| format!("tenant-{key:012}")).collect();
    let ((), allocations) = Allocations::measure(|| {
        for name in &names {
            keyed.try_acquire(name, 1).unwrap();
        }
    });
    assert_eq!(allocations.count, 0, "{allocations:?}");
    // So many find a place, but for a few in ten thousand.
    assert!(keyed.stats().evicted <= keys as u64 / 1_000, "{:?}", keyed.stats());
}
