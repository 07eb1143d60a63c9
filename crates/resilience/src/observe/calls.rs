//! [`Calls`]: how many calls there were, spread so that threads do not meet.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use super::CallStats;

/// Counters of the happy path. One counter for all threads would cost more than all policies together, so
/// each thread has one of several shards.
#[derive(Debug)]
pub(crate) struct Calls {
    shards: Box<[Shard]>,
}

/// A line of the cache of its own, and the one that is fetched along with it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    begun: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    /// Attempts of calls that have ended, beyond one for each.
    further_attempts: AtomicI64,
}

impl Calls {
    pub(crate) fn new() -> Self {
        let shards = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(64));
        Self { shards: (0..shards.next_power_of_two()).map(|_| Shard::default()).collect() }
    }

    #[inline]
    pub(crate) fn begun(&self) {
        add(&self.shard().begun);
    }

    #[inline]
    pub(crate) fn ended(&self, well: bool, attempts: u32) {
        let shard = self.shard();
        add(if well { &shard.succeeded } else { &shard.failed });
        shard.attempts(attempts);
    }

    #[cold]
    pub(crate) fn dropped(&self, attempts: u32) {
        let shard = self.shard();
        add(&shard.dropped);
        shard.attempts(attempts);
    }

    pub(crate) fn stats(&self) -> CallStats {
        let sum = |of: fn(&Shard) -> &AtomicU64| -> u64 {
            self.shards.iter().map(|shard| of(shard).load(Ordering::Relaxed)).sum()
        };
        // The ends before the beginnings: so that there are never more of them.
        let succeeded = sum(|shard| &shard.succeeded);
        let failed = sum(|shard| &shard.failed);
        let dropped = sum(|shard| &shard.dropped);
        let further: i64 =
            self.shards.iter().map(|shard| shard.further_attempts.load(Ordering::Relaxed)).sum();
        let ended = succeeded + failed + dropped;
        CallStats {
            begun: sum(|shard| &shard.begun).max(ended),
            succeeded,
            failed,
            dropped,
            attempts: ended.saturating_add_signed(further),
        }
    }

    #[inline]
    fn shard(&self) -> &Shard {
        // There is a power of two of them.
        &self.shards[thread_number() & (self.shards.len() - 1)]
    }
}

impl Shard {
    #[inline]
    fn attempts(&self, attempts: u32) {
        if attempts != 1 {
            self.further_attempts.fetch_add(i64::from(attempts) - 1, Ordering::Relaxed);
        }
    }
}

#[inline]
fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[inline]
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    std::thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // A call may be dropped while its thread ends.
    NUMBER.try_with(|number| *number).unwrap_or(0)
}
