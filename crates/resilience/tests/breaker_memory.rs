//! The breaker's memory; alone in its program, because all allocations are counted.

use std::sync::Arc;
use std::time::Duration;

use weirs_resilience::{Breaker, Stack};
use weirs_runtime::block_on;
use weirs_testing::{Allocations, CountingAllocator, ManualClock};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Seen (f): the old state was leaked at every transition, 486 bytes for each opening and closing.
#[test]
fn neither_calls_nor_transitions_allocate() {
    let time = ManualClock::new();
    let open = Duration::from_millis(100);
    for settings in [
        Breaker::consecutive(1),
        Breaker::failure_rate(0.1).min_calls(1).window_of_calls(100),
        Breaker::failure_rate(0.1).min_calls(1).window_of_time(open * 10, 10),
    ] {
        let breaker = settings.open_for(open).probes(2).clock(time.clock()).build().unwrap();
        let stack = Stack::builder().breaker(&breaker).timeout(open).build().unwrap();
        let round = || {
            for _ in 0..1_000 {
                breaker.try_acquire().unwrap().failure();
                assert!(breaker.try_acquire().is_err());
                time.advance(open);
                for _ in 0..2 {
                    block_on(breaker.call(async { Ok::<_, ()>(()) })).unwrap();
                }
                block_on(stack.call(async |_| Ok::<_, ()>(()))).unwrap();
                time.advance(open * 20);
            }
        };
        round();
        let ((), measured) = Allocations::measure(round);
        assert_eq!((measured.count, measured.leaked_bytes), (0, 0), "{measured:?}");
        assert_eq!(breaker.stats().openings, 2_000);
        assert_eq!(Arc::strong_count(&breaker), 2);
    }
    // A breaker for each of many keys is no great thing.
    let (breaker, measured) = Allocations::measure(|| Breaker::consecutive(5).build().unwrap());
    assert!(measured.leaked_bytes < 1_024, "{measured:?}");
    drop(breaker);
}
