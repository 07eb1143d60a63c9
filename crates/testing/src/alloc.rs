//! [`CountingAllocator`]: counts what a program allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, with a count of all that goes through it. For test programs:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: weirs_testing::CountingAllocator = weirs_testing::CountingAllocator;
/// # fn main() {}
/// ```
///
/// The count is of the whole process, so a program that counts should have a single test, or other tests are
/// counted with it. See [`Allocations`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; what is done
// besides touches but atomics: it does not allocate and does not unwind.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`.
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            allocated(layout.size());
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            allocated(layout.size());
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        freed(layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`, and all memory is from the system's allocator.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `realloc`, and all memory is from the system's allocator.
        let moved = unsafe { System.realloc(memory, layout, new_size) };
        if !moved.is_null() {
            freed(layout.size());
            allocated(new_size);
        }
        moved
    }
}

// The counters are independent of each other and order nothing else, so they are relaxed.

fn allocated(size: usize) {
    let size = size as u64;
    COUNT.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(size, Ordering::Relaxed);
    let live = LIVE.fetch_add(size, Ordering::Relaxed) + size;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

fn freed(size: usize) {
    FREED.fetch_add(1, Ordering::Relaxed);
    LIVE.fetch_sub(size as u64, Ordering::Relaxed);
}

/// What was allocated during a stretch of a program that has a [`CountingAllocator`].
///
/// Executors, thread pools and libtest itself allocate at first use and now and then, so "nothing was
/// allocated" is seldom true of a first round. Run the same round three times and compare the third with the
/// second:
///
/// ```
/// use weirs_testing::{Allocations, CountingAllocator};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// fn round() {
///     drop(vec![0_u8; 100]);
/// }
///
/// # fn main() {
/// round();
/// let ((), second) = Allocations::measure(round);
/// let ((), third) = Allocations::measure(round);
/// assert_eq!(third.count, 1);
/// assert_eq!(third.leaked_bytes, 0);
/// assert!(third.count <= second.count);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allocations {
    /// How many allocations there were; a reallocation is one.
    pub count: u64,
    /// Their bytes together.
    pub bytes: u64,
    /// Allocations without those that were freed; below zero if more was freed.
    pub leaked: i64,
    /// Bytes that are live at the end and were not at the beginning; below zero if there are fewer.
    pub leaked_bytes: i64,
    /// By how many bytes memory grew at most.
    pub peak_bytes: u64,
}

impl Allocations {
    /// Runs `f` and counts what the process allocates meanwhile, on all threads.
    ///
    /// # Panics
    /// When the program's global allocator is not a [`CountingAllocator`], so that it cannot count in vain.
    pub fn measure<T>(f: impl FnOnce() -> T) -> (T, Self) {
        let stretch = Stretch::begin();
        let output = f();
        let allocations = stretch.end();
        (output, allocations)
    }
}

/// A stretch that is being counted, for code that waits in it: [`Allocations::measure`] in two halves.
///
/// Two stretches at once see each other's allocations, and the inner one forgets the outer one's peak.
///
/// # Examples
/// ```
/// use weirs_testing::{CountingAllocator, Stretch};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// # fn main() {
/// # weirs_runtime::block_on(async {
/// let stretch = Stretch::begin();
/// weirs_testing::yields(3).await;
/// assert_eq!(stretch.end().count, 0);
/// # });
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a stretch that is not ended counts nothing"]
pub struct Stretch {
    count: u64,
    bytes: u64,
    freed: u64,
    live: u64,
}

impl Stretch {
    /// Begins to count.
    ///
    /// # Panics
    /// When the program's global allocator is not a [`CountingAllocator`].
    pub fn begin() -> Self {
        let before = COUNT.load(Ordering::Relaxed);
        drop(black_box(Box::new(0_u8)));
        assert_ne!(
            COUNT.load(Ordering::Relaxed),
            before,
            "nothing is counted: put `#[global_allocator] static ALLOCATOR: CountingAllocator = \
             CountingAllocator;` into this program"
        );
        let live = LIVE.load(Ordering::Relaxed);
        PEAK.store(live, Ordering::Relaxed);
        Self {
            count: COUNT.load(Ordering::Relaxed),
            bytes: BYTES.load(Ordering::Relaxed),
            freed: FREED.load(Ordering::Relaxed),
            live,
        }
    }

    /// What was allocated since it began.
    pub fn end(self) -> Allocations {
        let count = COUNT.load(Ordering::Relaxed) - self.count;
        let freed = FREED.load(Ordering::Relaxed) - self.freed;
        Allocations {
            count,
            bytes: BYTES.load(Ordering::Relaxed) - self.bytes,
            leaked: difference(count, freed),
            leaked_bytes: difference(LIVE.load(Ordering::Relaxed), self.live),
            peak_bytes: PEAK.load(Ordering::Relaxed).saturating_sub(self.live),
        }
    }
}

/// The first without the second; neither comes near the ends of an `i64`.
fn difference(one: u64, other: u64) -> i64 {
    one as i64 - other as i64
}
