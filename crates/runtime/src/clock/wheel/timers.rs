//! [`Timers`]: wheels shared between many threads that insert and one driver that fires.

use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use super::{Key, Wheel};
use crate::TimerKey;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// The alarm when nothing is due, ever.
pub(crate) const NEVER: u64 = u64::MAX;

/// Wheels behind locks, and the alarm: the time at which the driver is to call [`fire`](Timers::fire).
///
/// The driver sleeps until the alarm; whoever inserts a timer lowers the alarm to it if need be and then,
/// and only then, has to disturb the driver. The alarm is raised by `fire` alone. So a timer that is removed
/// again leaves the alarm where it is, and a program that starts and drops one timeout after the other
/// disturbs the driver for the first of them only.
///
/// No lost wake-up: `fire` first forgets the alarm and then looks at each wheel. A timer that was inserted
/// before `fire` locked its wheel is seen by that look; the thread of one that came after it sees the
/// forgotten alarm, and lowers it itself. (The wheel's lock orders the two, so the accesses of the alarm
/// themselves are relaxed.)
///
/// No waker is cloned, woken or dropped under a lock, and a panic of one harms no other.
pub(crate) struct Timers {
    shards: Box<[Shard]>,
    alarm: AtomicU64,
}

/// On cache lines of its own, so that threads of different shards stay out of each other's way.
#[repr(align(128))]
struct Shard(Mutex<Wheel>);

impl Timers {
    /// The most shards there can be; a key has four bits for them.
    pub(crate) const MAX_SHARDS: usize = 1 << SHARD_BITS;

    pub(crate) fn new(shards: usize) -> Self {
        assert!((1..=Self::MAX_SHARDS).contains(&shards));
        Self {
            shards: (0..shards).map(|_| Shard(Mutex::new(Wheel::new()))).collect(),
            alarm: AtomicU64::new(NEVER),
        }
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// When the driver is to call [`fire`](Self::fire).
    pub(crate) fn alarm(&self) -> u64 {
        self.alarm.load(Ordering::Relaxed)
    }

    /// Adds a timer, or nothing when its wheel has already come to `at`.
    #[inline]
    pub(crate) fn insert(&self, shard: usize, at: u64, waker: &Waker) -> Option<Inserted> {
        let waker = waker.clone();
        let inserted = lock(&self.shards[shard].0).insert(at, waker);
        let key = inserted.ok()?;
        Some(Inserted { key: join_key(key, shard), lowered_alarm: self.lower_alarm(at) })
    }

    /// See [`TimerDriver::refresh`](crate::TimerDriver::refresh).
    pub(crate) fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        let (key, shard) = split_key(key);
        let wheel = &self.shards[shard].0;
        match lock(wheel).waker(key) {
            None => return false,
            Some(old) if old.will_wake(waker) => return true,
            Some(_) => {}
        }
        let waker = waker.clone();
        let replaced = lock(wheel).replace(key, waker);
        replaced.is_ok()
    }

    /// See [`TimerDriver::remove`](crate::TimerDriver::remove).
    #[inline]
    pub(crate) fn remove(&self, key: TimerKey) {
        let (key, shard) = split_key(key);
        let removed = lock(&self.shards[shard].0).remove(key);
        drop(removed);
    }

    /// Wakes a batch of the timers up to `now` and sets the alarm: to a time that has come if there are more.
    ///
    /// For the driver alone. `batch` is a buffer to use again, empty between calls.
    pub(crate) fn fire(&self, now: u64, batch: &mut Vec<Waker>) {
        // A store would do, but loom lets one come between the two halves of another thread's `fetch_min`.
        self.alarm.swap(NEVER, Ordering::Relaxed);
        for shard in &self.shards {
            let mut wheel = lock(&shard.0);
            wheel.advance(now, batch, BATCH);
            let next = wheel.next();
            drop(wheel);
            if let Some(next) = next {
                self.lower_alarm(next);
            }
            batch.drain(..).for_each(wake);
        }
    }

    /// A key that no timer ever has.
    pub(crate) fn dead_key() -> TimerKey {
        join_key(Key { index: 1, generation: 0 }, 0)
    }

    /// How many timers there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).len()).sum()
    }

    #[inline]
    fn lower_alarm(&self, at: u64) -> bool {
        // Nearly always a timer is not the earliest: then no cache line is written to.
        at < self.alarm() && at < self.alarm.fetch_min(at, Ordering::Relaxed)
    }
}

/// What came of an insertion.
pub(crate) struct Inserted {
    pub(crate) key: TimerKey,
    /// The driver may be asleep for longer than that and is to be disturbed.
    pub(crate) lowered_alarm: bool,
}

/// How many timers are looked at under one lock: enough to make the lock's cost vanish, few enough to be done
/// within some microseconds.
const BATCH: usize = 128;

const SHARD_BITS: u32 = 4;

/// A key as a number: the generation, the index and the shard.
fn join_key(key: Key, shard: usize) -> TimerKey {
    const { assert!(Wheel::CAPACITY <= 1 << (u32::BITS - SHARD_BITS)) };
    let low = key.index << SHARD_BITS | shard as u32;
    let number = u64::from(key.generation) << u32::BITS | u64::from(low);
    TimerKey::new(NonZeroU64::new(number).expect("an index or a generation is not zero"))
}

fn split_key(key: TimerKey) -> (Key, usize) {
    let number = key.number().get();
    let low = number as u32;
    let key = Key { index: low >> SHARD_BITS, generation: (number >> u32::BITS) as u32 };
    (key, low as usize % Timers::MAX_SHARDS)
}

fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        // The panic hook has told of it, and to drop the payload might panic once more.
        std::mem::forget(payload);
    }
}
