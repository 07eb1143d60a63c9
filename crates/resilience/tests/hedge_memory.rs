//! What a call allocates that goes well: nothing. A test program of its own, as its allocator counts.

use std::time::Duration;

use weirs_limiters::Semaphore;
use weirs_resilience::{Budget, Bulkhead, Error, Hedge, Stack};
use weirs_runtime::{Clock, block_on};
use weirs_testing::{Allocations, CountingAllocator, ManualClock, yields};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn nothing_is_allocated_while_all_goes_well() {
    let ms = Duration::from_millis;
    let clock: Clock = ManualClock::new().clock().clone();
    let (places, semaphore, budget) =
        (Bulkhead::new(1), Semaphore::new(1), Budget::share(0.1).build().unwrap());
    let stack = Stack::builder()
        .clock(&clock)
        .fallback(|_: &Error<()>| None)
        .limit(&semaphore)
        .hedge(Hedge::after(ms(10)).percentile(0.9, 10).budget(&budget))
        .bulkhead(&places)
        .shed(|_| Ok(()))
        .build()
        .unwrap();
    let ready = || {
        for _ in 0..100 {
            assert_eq!(block_on(stack.call(async |_| Ok::<_, ()>(1))), Ok(1));
        }
    };
    ready();
    let ((), second) = Allocations::measure(ready);
    let ((), third) = Allocations::measure(ready);
    assert_eq!((second.count, third.count), (0, 0));
    // One that waits sets one timer, and costs no more than a limit of time does.
    let hedge = Hedge::after(ms(10)).budget(&budget);
    let stack = Stack::builder().clock(&clock).limit(&semaphore).hedge(hedge).bulkhead(&places);
    let stack = stack.build().unwrap();
    let limit = Stack::builder().clock(&clock).timeout(ms(10)).build().unwrap();
    let work = async |_| {
        yields(1).await;
        Ok::<_, ()>(1)
    };
    let waits = || assert_eq!(block_on(stack.call(work)), Ok(1));
    let waits_less = || assert_eq!(block_on(limit.call(work)), Ok(1));
    waits();
    waits_less();
    let ((), hedged) = Allocations::measure(waits);
    let ((), limited) = Allocations::measure(waits_less);
    assert_eq!(hedged.count, limited.count);
}
