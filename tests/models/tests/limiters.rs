//! The semaphore's word and queue, the counter under a change of its quota, the line before it, and the table
//! of keys.
#![cfg(loom)]

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;
use weirs_limiters::{Keep, Keyed, Limit, Mode, Outcome, Quota, QuotaId, Rate, RateLimiter, Semaphore};
use weirs_runtime::{Clock, Instant, SeededEntropy, TimerDriver, TimerKey};

/// Counts its wakes. Not one of loom's atomics: it is looked at when all threads are done.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<F: Future + Unpin>(future: &mut F, woken: &Arc<Woken>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

const MODES: [Mode; 3] = [Mode::Fair, Mode::Barging { max_bypass: 1 }, Mode::Lifo];

/// Somebody gives back while another comes to wait.
#[test]
fn a_release_is_not_missed() {
    for mode in MODES {
        loom::model(move || {
            let semaphore = Arc::new(Semaphore::builder(1).mode(mode).build());
            let held = semaphore.try_acquire_owned(1).unwrap();
            let releaser = thread::spawn(move || drop(held));
            let woken = Arc::new(Woken::default());
            let mut wait = semaphore.acquire_owned(1);
            let first = poll(&mut wait, &woken);
            releaser.join().unwrap();
            if first.is_pending() {
                assert_eq!(woken.0.load(Ordering::Relaxed), 1);
                assert!(poll(&mut wait, &woken).is_ready());
            }
            drop((first, wait));
            assert_eq!((semaphore.available(), semaphore.stats().waiting), (1, 0));
        });
    }
}

/// Two give back at once while two wait.
#[test]
fn two_releases_wake_two() {
    for mode in MODES {
        loom::model(move || {
            let semaphore = Arc::new(Semaphore::builder(2).mode(mode).build());
            let held = [(); 2].map(|()| semaphore.try_acquire_owned(1).unwrap());
            let woken = [(); 2].map(|()| Arc::new(Woken::default()));
            let mut waits = [(); 2].map(|()| semaphore.acquire_owned(1));
            for (wait, woken) in waits.iter_mut().zip(&woken) {
                assert!(poll(wait, woken).is_pending());
            }
            let [one, two] = held;
            let releaser = thread::spawn(move || drop(one));
            drop(two);
            releaser.join().unwrap();
            for (wait, woken) in waits.iter_mut().zip(&woken) {
                assert_eq!(woken.0.load(Ordering::Relaxed), 1);
                assert!(poll(wait, woken).is_ready());
            }
        });
    }
}

/// The first gives up while it is served: the next has its turn.
#[test]
fn a_dropped_wait_passes_its_turn_on() {
    for mode in MODES {
        loom::model(move || {
            let semaphore = Arc::new(Semaphore::builder(1).mode(mode).build());
            let held = semaphore.try_acquire_owned(1).unwrap();
            let woken = [(); 2].map(|()| Arc::new(Woken::default()));
            let [mut one, mut two] = [(); 2].map(|()| semaphore.acquire_owned(1));
            assert!(poll(&mut one, &woken[0]).is_pending() && poll(&mut two, &woken[1]).is_pending());
            let releaser = thread::spawn(move || drop(held));
            let (gone, mut other, woken) =
                if mode == Mode::Lifo { (two, one, &woken[0]) } else { (one, two, &woken[1]) };
            drop(gone);
            releaser.join().unwrap();
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
            assert!(poll(&mut other, woken).is_ready());
        });
    }
}

/// Nobody is admitted over the capacity while it gets smaller.
#[test]
fn a_smaller_capacity_is_kept() {
    loom::model(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let other = Arc::clone(&semaphore);
        let taker = thread::spawn(move || other.try_acquire_owned(1).ok());
        semaphore.set_capacity(1);
        let mine = semaphore.try_acquire(1).ok();
        let theirs = taker.join().unwrap();
        assert!(mine.is_some() || theirs.is_some());
        drop((mine, theirs));
        assert_eq!((semaphore.available(), semaphore.capacity()), (1, 1));
    });
}

/// Time that stands.
struct Still;

impl TimerDriver for Still {
    fn now(&self) -> Instant {
        Instant::from_nanos(0)
    }

    fn insert(&self, _: Instant, _: &Waker) -> Option<TimerKey> {
        NonZeroU64::new(1).map(TimerKey::new)
    }

    fn refresh(&self, _: TimerKey, _: &Waker) -> bool {
        true
    }

    fn remove(&self, _: TimerKey) {}
}

fn limiter(burst: u64) -> RateLimiter {
    RateLimiter::builder(quota(burst)).clock(Clock::new(Still)).build()
}

fn quota(burst: u64) -> Quota {
    Quota::new(Rate::per_hour(1), burst).unwrap()
}

/// A change of the quota and an admission: one comes before the other.
#[test]
fn a_quota_changes_beside_an_admission() {
    loom::model(|| {
        let limiter = Arc::new(limiter(3));
        let other = Arc::clone(&limiter);
        let taker = thread::spawn(move || other.try_acquire(2).map(|grant| grant.remaining()));
        limiter.set_quota(quota(2), Keep::Cells);
        match taker.join().unwrap() {
            // Of three, before the change: one is left and kept.
            Ok(1) => assert_eq!(limiter.available(), 1),
            // Of two, after it.
            Ok(0) => assert_eq!(limiter.available(), 0),
            other => panic!("{other:?}"),
        }
    });
}

/// Two changes and an admission: the place that is read may be written meanwhile.
#[test]
fn two_changes_beside_an_admission() {
    loom::model(|| {
        let limiter = Arc::new(limiter(1));
        let other = Arc::clone(&limiter);
        let taker = thread::spawn(move || other.try_acquire(4).is_ok());
        limiter.set_quota(quota(2), Keep::Nothing);
        limiter.set_quota(quota(3), Keep::Nothing);
        assert!(!taker.join().unwrap(), "never were there four");
        assert_eq!(limiter.available(), 3);
    });
}

/// Cells are brought while somebody comes to wait.
#[test]
fn brought_cells_are_not_missed() {
    loom::model(|| {
        let limiter = Arc::new(limiter(1));
        limiter.try_acquire(1).unwrap();
        let other = Arc::clone(&limiter);
        let bringer = thread::spawn(move || other.credit(1));
        let woken = Arc::new(Woken::default());
        let mut wait = Box::pin(limiter.acquire(1));
        let first = poll(&mut wait, &woken);
        bringer.join().unwrap();
        if first.is_pending() {
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
            assert!(poll(&mut wait, &woken).is_ready());
        }
    });
}

/// Each key with so many cells, for one key: in the models that is a table of two places.
fn keyed(burst: u64) -> Arc<Keyed<u64>> {
    let clock = Clock::new(Still).with_entropy(SeededEntropy::new(7));
    Arc::new(Keyed::builder(quota(burst)).max_keys(1).clock(clock).build())
}

fn take(keyed: &Keyed<u64>, key: u64) -> bool {
    keyed.try_acquire(&key, 1).is_ok()
}

/// A key that is new to two at once gets one place, and is charged for both.
#[test]
fn a_new_key_has_one_place() {
    loom::model(|| {
        let keyed = keyed(1);
        let other = Arc::clone(&keyed);
        let taker = thread::spawn(move || take(&other, 1));
        let mine = take(&keyed, 1);
        assert!(mine ^ taker.join().unwrap(), "there is one cell");
        assert_eq!((keyed.stats().keys, keyed.available(&1)), (1, 0));
    });
}

/// A key that is known is charged without a lock, by two at once.
#[test]
fn a_known_key_is_charged_by_two() {
    loom::model(|| {
        let keyed = keyed(3);
        assert!(take(&keyed, 1));
        let other = Arc::clone(&keyed);
        let taker = thread::spawn(move || take(&other, 1));
        assert!(take(&keyed, 1) && taker.join().unwrap());
        assert_eq!((keyed.stats().keys, keyed.available(&1)), (1, 0));
    });
}

/// A key loses its place while it is charged: the charge is not the new key's.
#[test]
fn a_place_changes_hands_beside_a_charge() {
    loom::model(|| {
        let keyed = keyed(3);
        assert!(take(&keyed, 1) && take(&keyed, 2) && take(&keyed, 2));
        let other = Arc::clone(&keyed);
        let taker = thread::spawn(move || take(&other, 1));
        assert!(take(&keyed, 3), "the fullest makes room");
        assert!(taker.join().unwrap());
        let stats = keyed.stats();
        assert_eq!(stats.keys, 2);
        // It lost its place before it was charged, and took another; or afterwards, or not at all.
        assert!((1..=2).contains(&stats.evicted), "{stats:?}");
        if stats.evicted == 1 {
            assert_eq!(keyed.available(&3), 2);
        }
        assert!([2, 3].contains(&keyed.available(&3)), "it took one, or lost its place");
    });
}

/// The quota of a key changes, and changes back, while the key is charged: it keeps the part of its cells,
/// and the charge is heard.
#[test]
fn a_quota_of_keys_changes_beside_a_charge() {
    for changes in [1, 2] {
        loom::model(move || {
            let keyed = keyed(2);
            assert!(take(&keyed, 1));
            let other = Arc::clone(&keyed);
            let changer = thread::spawn(move || {
                for burst in [4, 2].into_iter().take(changes) {
                    other.set_quota(QuotaId::default(), quota(burst));
                }
            });
            assert!(take(&keyed, 1), "there is one, or there are two");
            changer.join().unwrap();
            // Of four it took half, and then one, if it came afterwards.
            let left = keyed.available(&1);
            assert!(left == 0 || left == 1 && changes == 1, "{left} left after {changes}");
            assert_eq!(keyed.stats().keys, 1);
        });
    }
}

/// A key that has all its cells is swept out while it is charged: the charge stays.
#[test]
fn a_sweep_beside_a_charge() {
    loom::model(|| {
        let keyed = keyed(2);
        let limit = keyed.limit_of(&1);
        let grant = limit.try_acquire_at(Instant::from_nanos(0), 1).unwrap();
        limit.release(grant, Outcome::Unused);
        let other = Arc::clone(&keyed);
        let sweeper = thread::spawn(move || other.sweep(2));
        assert!(take(&keyed, 1));
        assert!(sweeper.join().unwrap() <= 1);
        assert_eq!((keyed.stats().keys, keyed.available(&1)), (1, 1));
    });
}
