//! The semaphore's word and queue, the counter under a change of its quota, and the line before it.
#![cfg(loom)]

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;
use weirs_limiters::{Keep, Mode, Quota, Rate, RateLimiter, Semaphore};
use weirs_runtime::{Clock, Instant, TimerDriver, TimerKey};

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
