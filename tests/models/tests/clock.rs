//! The alarm of the clock drivers: no timer is slept through.
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use loom::future::block_on;
use loom::sync::Notify;
use loom::thread;
use weirs_runtime::Clock;
use weirs_runtime::models::TimersModel;

/// Counts its wakes. Not one of loom's atomics: it is looked at when all threads are done.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self::default());
        (Arc::clone(&counter), counter.into())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The real clock without its thread and its time. Parking is loom's `Notify`: its own `park` loses the
/// token of an
/// `unpark` that comes while the thread waits for a lock.
struct Real {
    timers: TimersModel,
    parker: Notify,
}

impl Real {
    fn new(shards: usize) -> Arc<Self> {
        Arc::new(Self { timers: TimersModel::new(shards), parker: Notify::new() })
    }

    fn insert(&self, shard: usize, at: u64, waker: &Waker) {
        match self.timers.insert(shard, at, waker) {
            Some((_, false)) => {}
            Some((_, true)) => self.parker.notify(),
            // Time has run ahead of this thread: its timer is over, which the driver has to hear of as well.
            None => {
                waker.wake_by_ref();
                self.parker.notify();
            }
        }
    }

    /// The loop of the thread, in a time that jumps to the alarm. It ends when `done`; when it parks for
    /// ever while a timer waits, loom reports a deadlock.
    fn drive(&self, done: impl Fn() -> bool) {
        let mut now = 0;
        while !done() {
            match self.timers.alarm() {
                alarm if alarm <= now => self.timers.fire(now),
                TimersModel::NEVER => self.parker.wait(),
                alarm => now = alarm,
            }
        }
    }
}

/// A timer is inserted while the driver is in the middle of `fire`, about to park, or parked.
///
/// Found: the alarm forgotten after the look at the wheels instead of before it.
#[test]
fn an_insert_is_never_slept_through() {
    loom::model(|| {
        let real = Real::new(1);
        let (counter, waker) = Counter::new();
        // Something to fire at once, so that the driver does not begin with a park.
        real.insert(0, 1, Waker::noop());
        let inserter = {
            let real = Arc::clone(&real);
            thread::spawn(move || real.insert(0, 10, &waker))
        };
        real.drive(|| counter.count() == 1);
        inserter.join().unwrap();
    });
}

/// Two threads insert into two shards, with one alarm for both, while the driver fires: the alarm is the
/// earlier.
///
/// Found: the alarm lowered by a plain store, which may raise what the other thread has lowered; an alarm
/// lowered before its timer is inserted.
#[test]
fn the_alarm_is_never_later_than_the_earliest_timer() {
    loom::model(|| {
        let real = Real::new(2);
        let (counter, waker) = Counter::new();
        let inserters: Vec<_> = [10, 20]
            .into_iter()
            .enumerate()
            .map(|(shard, at)| {
                let (real, waker) = (Arc::clone(&real), waker.clone());
                thread::spawn(move || real.insert(shard, at, &waker))
            })
            .collect();
        real.timers.fire(1);
        for inserter in inserters {
            inserter.join().unwrap();
        }
        assert_eq!(real.timers.alarm(), 10);
        real.drive(|| counter.count() == 2);
    });
}

/// A timer is removed, or gets another waker, while it fires: one of the two happens, and no waker is left
/// behind.
#[test]
fn a_timer_is_removed_or_fires() {
    loom::model(|| {
        let timers = Arc::new(TimersModel::new(1));
        let (old_counter, old) = Counter::new();
        let (new_counter, new) = Counter::new();
        let (key, _) = timers.insert(0, 10, &old).unwrap();

        let firing = {
            let timers = Arc::clone(&timers);
            thread::spawn(move || timers.fire(10))
        };
        let refreshed = timers.refresh(key, &new);
        timers.remove(key);
        firing.join().unwrap();

        drop((old, new));
        assert!(old_counter.count() + new_counter.count() <= 1);
        assert!(refreshed || old_counter.count() == 1);
        assert!(!refreshed || old_counter.count() == 0);
        assert_eq!((Arc::strong_count(&old_counter), Arc::strong_count(&new_counter)), (1, 1));
    });
}

/// A sleep on a hosted clock and the future that drives it, on two threads: the sleep ends, and so does the
/// drive.
///
/// Found: the drive's waker put down after the look at the alarm; no wake for a lowered alarm or a dropped
/// clock.
#[test]
fn a_hosted_clock_sleeps_and_ends() {
    loom::model(|| {
        let time = Arc::new(AtomicU64::new(0));
        let now = {
            let time = Arc::clone(&time);
            move || Duration::from_nanos(time.load(Ordering::Relaxed))
        };
        let (clock, drive) = Clock::hosted(now, move |duration| {
            time.fetch_add(duration.as_nanos() as u64, Ordering::Relaxed);
            std::future::ready(())
        });
        let driving = thread::spawn(move || block_on(drive));
        block_on(clock.sleep(Duration::from_nanos(10)));
        drop(clock);
        driving.join().unwrap();
    });
}
