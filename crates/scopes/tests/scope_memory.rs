//! With a limit of n, no more than n children exist: a million of them in the memory of a few. One test, for
//! the count is of the whole process.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use weirs_runtime::block_on;
use weirs_scopes::{Scope, scope};
use weirs_testing::{Allocations, CountingAllocator, yields};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PLACES: usize = 16;

#[test]
fn memory_grows_with_the_limit_and_not_with_the_work() {
    let places = NonZeroUsize::new(PLACES).unwrap();
    for (what, run) in [("spawn_when_free", when_free as fn(usize, NonZeroUsize)), ("stream", stream)] {
        run(1_000, places);
        let ((), few) = Allocations::measure(|| run(1_000, places));
        let ((), many) = Allocations::measure(|| run(1_000_000, places));
        // The test harness allocates now and then.
        assert!(many.leaked < 100, "{what}: {many:?}");
        assert!(many.peak_bytes <= few.peak_bytes + 1_000, "{what}: {few:?}, {many:?}");
        // A child is a kilobyte here, with its buffer; so this is far from a thousand of them.
        assert!(many.peak_bytes < 100_000, "{what}: {many:?}");
    }
}

/// A child that has a kilobyte of its own while it exists, and not only while it runs.
fn child(number: usize, done: &AtomicUsize) -> impl Future<Output = ()> + Send + use<'_> {
    let buffer = vec![0_u8; 1_000];
    async move {
        yields(number % 3).await;
        done.fetch_add(buffer.len(), Ordering::Relaxed);
    }
}

fn when_free(count: usize, places: NonZeroUsize) {
    let done = AtomicUsize::new(0);
    let result = block_on(Scope::builder().limit(places).run(async |s| {
        for number in 0..count {
            s.spawn_when_free(child(number, &done)).await.unwrap();
        }
    }));
    assert!(result.is_ok());
    assert_eq!(done.into_inner(), count * 1_000);
}

fn stream(count: usize, places: NonZeroUsize) {
    let done = AtomicUsize::new(0);
    block_on(scope(async |s| {
        let mut results = s.stream(places, (0..count).map(|number| child(number, &done))).ordered();
        while let Some(result) = results.join_next().await {
            result.unwrap();
        }
    }));
    assert_eq!(done.into_inner(), count * 1_000);
}
