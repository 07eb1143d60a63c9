//! What is there costs no allocation, nor does chaos that is off. One test, for it counts what all do.

use std::time::Duration;

use weirs_resilience::{Cache, CacheSlot, CacheTerms, Chaos, Ended, Faults, Stack, from_hooks};
use weirs_runtime::block_on;
use weirs_testing::{Allocations, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn hits_hooks_and_chaos_that_is_off_allocate_nothing() {
    let terms = || CacheTerms::<u32, ()>::ttl(Duration::from_secs(3_600));
    let cache = Cache::<String, u32, ()>::new(10, terms()).unwrap();
    let slot = CacheSlot::new(terms()).unwrap();
    let stack = Stack::builder().cache(&slot).build().unwrap();
    let hooks = from_hooks(|_| Ok(1), |_: u32, _: Ended<'_, u32, ()>| {});
    let faults = Faults::new().hang(0.5);
    let other = Stack::builder().policy(hooks).chaos(Chaos::always(faults)).build().unwrap();
    let round = || {
        for _ in 0..100 {
            assert_eq!(block_on(cache.get("anna", async || Ok(1))), Ok(1));
            assert_eq!(block_on(stack.call(async |_| Ok(1))), Ok(1));
            assert_eq!(block_on(other.call(async |_| Ok(1))), Ok(1));
        }
    };
    round();
    let ((), second) = Allocations::measure(round);
    let ((), third) = Allocations::measure(round);
    assert!(third.count <= second.count);
    assert_eq!(third.count, 0);
}
