//! A scope that discards keeps nothing of children that have ended. One test, for the count is of the whole
//! process.

use std::num::NonZeroUsize;

use weirs_runtime::block_on;
use weirs_scopes::{Scope, joiners};
use weirs_testing::{Allocations, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn nothing_is_kept_of_a_child_that_has_ended() {
    let few = run(1_000);
    let many = run(100_000);
    assert!(many.peak_bytes <= few.peak_bytes + HARNESS, "{few:?} {many:?}");
    assert!(many.leaked_bytes < HARNESS as i64, "{many:?}");
}

/// The test harness has a thread of its own, which may allocate a little at any time.
const HARNESS: u64 = 4_096;

/// Runs so many children, eight at a time.
fn run(children: usize) -> Allocations {
    let ((), taken) = Allocations::measure(|| {
        let run =
            Scope::builder().limit(NonZeroUsize::new(8).unwrap()).gather(joiners::discard(), async |s| {
                for number in 0..children {
                    let child = s.spawn_when_free(async move { Ok::<_, ()>([number; 16]) });
                    assert!(child.await.is_ok());
                }
            });
        block_on(run).unwrap();
    });
    taken
}
