//! The promises of several limiters as one.

mod common;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{
    AllOf, Denied, Keyed, Limit, Quota, Rate, RateLimiter, Semaphore, SlidingLog, Tiers, acquire, all_of,
};
use weirs_runtime::{Entropy, Runtime, SeededEntropy};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(Rate::per_second(rate), burst).unwrap()
}

/// A failure of one of several quotas left the others charged.
#[apply(sim_test)]
async fn pitfall_11_nothing_is_charged_on_a_refusal(runtime: Runtime) {
    for _ in 0..3 {
        let seed = runtime.clock().random_u64();
        let entropy = SeededEntropy::new(seed);
        let below = |bound: u64| entropy.next_u64() % bound;
        let time = ManualClock::new();
        let clock = time.clock();
        let rate = RateLimiter::builder(quota(10, 1 + below(6))).clock(clock.clone()).build();
        let semaphore = Semaphore::builder(1 + below(6)).clock(clock.clone()).build();
        let log = SlidingLog::builder(1 + below(8), Duration::from_secs(1))
            .clock(clock.clone())
            .sliding_log()
            .unwrap();
        let keyed = Keyed::<str>::builder(quota(5, 1 + below(6))).clock(clock.clone()).build();
        let all = AllOf::<Arc<dyn Limit + '_>>::new()
            .with("rate", Arc::new(&rate))
            .with("semaphore", Arc::new(&semaphore))
            .with("log", Arc::new(&log))
            .with("keyed", Arc::new(keyed.limit_of("anna")));
        let look = || [rate.available(), semaphore.available(), log.available(), keyed.available("anna")];
        let mut held = Vec::new();
        for _ in 0..40 {
            time.advance(Duration::from_millis(below(150)));
            let (before, n) = (look(), below(4));
            match all.try_acquire(n) {
                Ok(guard) => {
                    assert!(before.iter().all(|left| *left >= n), "{seed}");
                    assert_eq!(look(), before.map(|left| left - n), "{seed}");
                    assert_eq!(guard.grant().remaining(), look().into_iter().min().unwrap());
                    if below(2) == 0 {
                        guard.unused();
                        assert_eq!(look(), before, "{seed}");
                    } else {
                        held.push(guard);
                    }
                }
                Err(refused) => {
                    assert!(before[refused.index()] < n, "{seed}: {refused}");
                    assert_eq!(look(), before, "{seed}");
                }
            }
            if below(3) == 0 {
                held.pop();
            }
        }
    }
}

#[test]
fn what_can_never_be_is_said_at_once() {
    let time = ManualClock::new();
    let rate = RateLimiter::builder(quota(10, 5)).clock(time.clock().clone()).build();
    let semaphore = Semaphore::new(3);
    let all = all_of([&rate as &dyn Limit, &semaphore]);
    rate.try_acquire(5).unwrap();
    let Poll::Ready(Err(refused)) = Hand::new(all.acquire(4)).poll() else { panic!("it is too much") };
    assert_eq!((refused.index(), refused.denied()), (1, &Denied::TooLarge { max: 3 }));
    assert_eq!(refused.to_string(), "1: more than the 3 that can ever be admitted at once");
}

#[test]
fn it_waits_for_the_one_that_refuses_and_holds_nothing_of_the_others() {
    let time = ManualClock::new();
    let rate = RateLimiter::builder(quota(10, 2)).clock(time.clock().clone()).build();
    let semaphore = Semaphore::builder(1).clock(time.clock().clone()).build();
    let all = all_of([&rate as &dyn Limit, &semaphore]);
    let first = all.try_acquire(1).unwrap();
    let mut second = Hand::new(all.acquire(1));
    assert!(second.poll().is_pending());
    assert_eq!((rate.available(), semaphore.stats().waiting), (1, 1), "nothing is held");
    rate.try_acquire(1).unwrap();
    first.success();
    // The permit is there, the cell is not: it waits there, without the permit.
    assert!(second.wakes() > 0 && second.poll().is_pending());
    assert_eq!((semaphore.available(), rate.stats().waiting), (1, 1));
    time.advance(Duration::from_millis(100));
    let Poll::Ready(Ok(held)) = second.poll() else { panic!("both are there") };
    assert_eq!(semaphore.available(), 0);
    held.success();
    assert_eq!((semaphore.available(), rate.stats().waiting, time.timers()), (1, 0, 0));
    let deadline = time.clock().now() + Duration::from_millis(50);
    let Poll::Ready(Err(refused)) = Hand::new(all.acquire_by(1, deadline)).poll() else { panic!("too late") };
    assert!(matches!(refused.denied(), Denied::WouldMissDeadline { .. }));
}

#[test]
fn retry_after_is_the_longest() {
    let time = ManualClock::new();
    let tiers = Tiers::tiers([("fast", quota(10, 2)), ("slow", quota(1, 2))], time.clock());
    tiers.try_acquire(2).unwrap().success();
    let refused = tiers.try_acquire(1).unwrap_err();
    assert_eq!((refused.name(), refused.denied().retry_after()), ("slow", Some(Duration::from_secs(1))));
    time.advance(Duration::from_secs(1));
    tiers.try_acquire(1).unwrap().success();
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let clock = runtime.clock();
    let rate = RateLimiter::builder(quota(5_000, 2)).clock(clock.clone()).build();
    let log = SlidingLog::builder(3, Duration::from_millis(1)).clock(clock.clone()).sliding_log().unwrap();
    let semaphore = Semaphore::builder(2).clock(clock.clone()).build();
    let all = all_of([&rate as &dyn Limit, &log, &semaphore]);
    let make = || async {
        let held = all.acquire(2).await.unwrap();
        held.success();
        // As a limit among others.
        acquire(&all as &dyn Limit, 2).await.unwrap().success();
        all.acquire(1).await.unwrap().success();
    };
    let check = async |_| {
        all.acquire(2).await.unwrap().success();
        assert_eq!((semaphore.available(), rate.stats().waiting, log.waiting()), (2, 0, 0));
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(sim_test)]
async fn all_who_wait_get_through(runtime: Runtime) {
    let clock = runtime.clock();
    let rate = RateLimiter::builder(quota(100, 1)).clock(clock.clone()).build();
    let semaphore = Semaphore::builder(2).clock(clock.clone()).build();
    let all = Arc::new(all_of([Arc::new(rate) as Arc<dyn Limit>, Arc::new(semaphore)]));
    let start = clock.now();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (all, clock) = (Arc::clone(&all), clock.clone());
            runtime.spawn(async move {
                let held = all.acquire(1).await.unwrap();
                clock.sleep(Duration::from_millis(1)).await;
                held.success();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(clock.now() - start, Duration::from_millis(91));
}
