//! The promises of leases of a rate limiter.

mod common;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{Denied, Lease, Quota, Rate, RateLimiter};
use weirs_runtime::{Entropy, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(Rate::per_second(rate), burst).unwrap()
}

fn manual(quota: Quota) -> (ManualClock, RateLimiter) {
    let time = ManualClock::new();
    let limiter = RateLimiter::builder(quota).clock(time.clock().clone()).build();
    (time, limiter)
}

#[test]
fn smoke() {
    let (_time, limiter) = manual(quota(10, 20));
    let mut lease = Lease::new(&limiter, 8);
    assert_eq!((lease.left(), limiter.available()), (0, 20), "nothing is taken in advance");
    for left in (0..8).rev() {
        lease.try_acquire(1).unwrap();
        assert_eq!((lease.left(), limiter.available()), (left, 12), "the limiter is asked once");
    }
    lease.try_acquire(3).unwrap();
    assert_eq!((lease.left(), limiter.available()), (5, 4));
    // Not eight more, but what is missing.
    lease.try_acquire(7).unwrap();
    assert_eq!((lease.left(), limiter.available()), (0, 2));
    assert_eq!(lease.try_acquire(3), Err(Denied::Later { retry_after: Duration::from_millis(100) }));
    lease.try_acquire(0).unwrap();
    lease.try_acquire(2).unwrap();
    assert_eq!(lease.try_acquire(21), Err(Denied::TooLarge { max: 20 }));
}

#[test]
fn a_refusal_leaves_what_is_in_hand() {
    let (time, limiter) = manual(quota(10, 8));
    let mut lease = Lease::new(&limiter, 5);
    lease.try_acquire(1).unwrap();
    limiter.try_acquire(3).unwrap();
    assert_eq!(lease.try_acquire(6), Err(Denied::Later { retry_after: Duration::from_millis(200) }));
    assert_eq!(lease.left(), 4);
    // Whoever waits so long is admitted.
    time.advance(Duration::from_millis(200));
    lease.try_acquire(6).unwrap();
    assert_eq!((lease.left(), limiter.available()), (0, 0));
    // More than the burst, with what is in hand.
    time.advance(Duration::from_secs(1));
    lease.try_acquire(1).unwrap();
    time.advance(Duration::from_secs(1));
    lease.try_acquire(12).unwrap();
}

#[test]
fn what_is_left_goes_back() {
    let (_time, limiter) = manual(quota(10, 20));
    let limiter = Arc::new(limiter);
    let mut lease = Lease::new(Arc::clone(&limiter), 20);
    lease.try_acquire(3).unwrap();
    // Somebody waits for what lies there.
    let mut wait = Hand::new(limiter.acquire(17));
    assert!(wait.poll().is_pending());
    drop(lease);
    assert_eq!(wait.wakes(), 1);
    assert!(matches!(wait.poll(), Poll::Ready(Ok(_))));
    let mut lease = Lease::new(&*limiter, 4);
    limiter.credit(10);
    lease.try_acquire(1).unwrap();
    lease.give_back();
    assert_eq!((lease.left(), limiter.available()), (0, 9));
    drop(lease);
    assert_eq!(limiter.available(), 9);
}

#[test]
fn nobody_who_waits_is_overtaken_without_cells_in_hand() {
    let (time, limiter) = manual(quota(10, 4));
    let mut lease = Lease::new(&limiter, 2);
    lease.try_acquire(1).unwrap();
    limiter.try_acquire(2).unwrap();
    let mut first = Hand::new(limiter.acquire(2));
    assert!(first.poll().is_pending());
    lease.try_acquire(1).unwrap();
    assert!(matches!(lease.try_acquire(1), Err(Denied::Later { .. })));
    let mut second = Hand::new(lease.acquire(1));
    assert!(second.poll().is_pending());
    time.advance(Duration::from_millis(200));
    assert!(first.poll().is_ready() && second.poll().is_pending());
    time.advance(Duration::from_millis(100));
    assert_eq!(second.poll(), Poll::Ready(Ok(())));
}

#[test]
fn cells_in_hand_outlive_the_limiter_s_end() {
    let (_time, limiter) = manual(quota(10, 4));
    let mut lease = Lease::new(&limiter, 2);
    lease.try_acquire(1).unwrap();
    limiter.close();
    lease.try_acquire(1).unwrap();
    assert_eq!(lease.try_acquire(1), Err(Denied::Closed));
    assert_eq!(Hand::new(lease.acquire(1)).poll(), Poll::Ready(Err(Denied::Closed)));
}

/// Never more than was generated, and never more in any time than the doc says.
#[test]
fn the_bound_holds_under_random_use() {
    const SIZES: [u64; 3] = [1, 4, 7];
    for seed in 0..500 {
        let entropy = SeededEntropy::new(seed);
        let below = |bound: u64| entropy.next_u64() % bound;
        let burst = 8 + below(20);
        let (time, limiter) =
            manual(Quota::new(Rate::new(1, Duration::from_nanos(10)).unwrap(), burst).unwrap());
        let mut leases = SIZES.map(|size| Some(Lease::new(&limiter, size)));
        let (mut now, mut used) = (0, Vec::new());
        for _ in 0..200 {
            let at = below(3) as usize;
            match below(10) {
                0..3 => {
                    let nanos = below(100);
                    now += nanos;
                    time.advance(Duration::from_nanos(nanos));
                }
                3 => leases[at] = None,
                _ => {
                    let lease = leases[at].get_or_insert_with(|| Lease::new(&limiter, SIZES[at]));
                    let n = below(4);
                    let in_hand = lease.left();
                    match lease.try_acquire(n) {
                        Ok(()) => used.push((now, n)),
                        Err(_) => {
                            assert_eq!(lease.left(), in_hand, "{seed}");
                            assert!(n > in_hand && limiter.available() < n - in_hand, "{seed}");
                        }
                    }
                }
            }
            let in_hand: u64 = leases.iter().flatten().map(Lease::left).sum();
            let all: u64 = used.iter().map(|(_, n)| n).sum();
            assert!(all + in_hand + limiter.available() <= burst + now / 10, "{seed}");
        }
        for (first, (from, _)) in used.iter().enumerate() {
            let mut sum = 0;
            for (until, n) in &used[first..] {
                sum += n;
                assert!(sum <= burst + (until - from).div_ceil(10) + SIZES.iter().sum::<u64>(), "{seed}");
            }
        }
    }
}

/// Several threads, one burst: all of it is used, and not a cell more.
#[apply(runtime_test)]
async fn nothing_is_lost_between_tasks(runtime: Runtime) {
    let quota = Quota::new(Rate::ZERO, 1_000).unwrap();
    let limiter = Arc::new(RateLimiter::builder(quota).clock(runtime.clock().clone()).build());
    let tasks = [1, 8, 32, 100].map(|size| {
        let mut lease = Lease::new(Arc::clone(&limiter), size);
        runtime.spawn(async move {
            let mut used = 0;
            while used < 200 && lease.try_acquire(1).is_ok() {
                used += 1;
                if used % 16 == 0 {
                    futures_lite::future::yield_now().await;
                }
            }
            used
        })
    });
    let mut used = 0;
    for task in tasks {
        used += task.await.unwrap();
    }
    assert_eq!((used, limiter.available()), (800, 200));
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let limiter = RateLimiter::builder(quota(5_000, 4)).clock(runtime.clock().clone()).build();
    let make = || async {
        let mut lease = Lease::new(&limiter, 3);
        for _ in 0..6 {
            lease.acquire(2).await.unwrap();
        }
    };
    let check = async |_| {
        limiter.acquire(4).await.unwrap();
        assert_eq!(limiter.stats().waiting, 0);
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(sim_test)]
async fn the_rate_is_exact(runtime: Runtime) {
    let clock = runtime.clock();
    let limiter = RateLimiter::builder(quota(1_000, 4)).clock(clock.clone()).build();
    let mut lease = Lease::new(&limiter, 4);
    let start = clock.now();
    for _ in 0..104 {
        lease.acquire(1).await.unwrap();
    }
    assert_eq!(clock.now() - start, Duration::from_millis(100));
}
