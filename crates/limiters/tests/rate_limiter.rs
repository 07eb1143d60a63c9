//! The promises of the rate limiter, one by one.

mod common;

use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{Denied, Keep, Limit, Quota, Rate, RateLimiter, acquire};
use weirs_runtime::{Instant, Runtime};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// So many a second.
fn quota(rate: u64, burst: u64) -> Quota {
    Quota::new(Rate::per_second(rate), burst).unwrap()
}

fn manual(quota: Quota) -> (ManualClock, RateLimiter) {
    let time = ManualClock::new();
    let limiter = RateLimiter::builder(quota).clock(time.clock().clone()).counted(true).build();
    (time, limiter)
}

#[test]
fn smoke() {
    let (time, limiter) = manual(quota(10, 2));
    limiter.try_acquire(2).unwrap();
    let mut waits = Hand::new(limiter.acquire(1));
    assert!(waits.poll().is_pending());
    assert_eq!(
        limiter.try_acquire(1),
        Err(Denied::Later { retry_after: ms(200) }),
        "after the one who waits"
    );
    time.advance(ms(99));
    assert!(waits.poll_again().is_pending());
    time.advance(ms(1));
    assert_eq!(waits.wakes(), 1);
    let Poll::Ready(Ok(grant)) = waits.poll() else { panic!("it is due") };
    assert_eq!((grant.cost(), grant.remaining(), grant.delayed()), (1, 0, ms(100)));
    let stats = limiter.stats();
    let counted = stats.counted.unwrap();
    assert_eq!((stats.waiting, counted.admitted, counted.cells, counted.later), (0, 2, 3, 1));
}

#[apply(runtime_test)]
async fn those_who_wait_are_admitted(runtime: Runtime) {
    let limiter = RateLimiter::builder(quota(2_000, 3)).clock(runtime.clock().clone()).build();
    let start = runtime.clock().now();
    for _ in 0..20 {
        limiter.acquire(1).await.unwrap();
    }
    // Never early, on whichever runtime.
    assert!(runtime.clock().now() - start >= Duration::from_micros(8_500));
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let limiter = RateLimiter::builder(quota(5_000, 2)).clock(runtime.clock().clone()).build();
    let make = || async {
        limiter.acquire(2).await.unwrap();
        acquire(&limiter as &dyn Limit, 1).await.unwrap().ignore();
        limiter.acquire(2).await.unwrap();
    };
    let check = async |_| {
        limiter.acquire(2).await.unwrap();
        assert_eq!(limiter.stats().waiting, 0);
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(sim_test)]
async fn times_are_exact(runtime: Runtime) {
    let clock = runtime.clock();
    let limiter = RateLimiter::builder(quota(3, 1)).clock(clock.clone()).build();
    let start = clock.now();
    for number in 0..10_u64 {
        limiter.acquire(1).await.unwrap();
        assert_eq!((clock.now() - start).as_nanos() as u64, (number * 1_000_000_000).div_ceil(3));
    }
    // A wait that is dropped loses nothing: the next cell comes when it would have come.
    let next = clock.now() + Duration::from_nanos(333_333_334);
    assert!(clock.timeout(ms(100), limiter.acquire(1)).await.is_err());
    limiter.acquire(1).await.unwrap();
    assert!(next.as_nanos().abs_diff(clock.now().as_nanos()) <= 1);
}

#[test]
fn a_wait_that_is_dropped_passes_its_turn_on_in_every_state() {
    let (time, limiter) = manual(quota(10, 2));
    limiter.try_acquire(2).unwrap();
    let mut waits: Vec<_> = (0..4).map(|_| Hand::new(limiter.acquire(1))).collect();
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    // In the middle, without being the first.
    drop(waits.remove(1));
    assert_eq!(limiter.stats().waiting, 3);
    // The first, with its timer.
    drop(waits.remove(0));
    assert_eq!((waits[0].wakes(), time.timers()), (1, 0), "the next sets its own");
    assert!(waits[0].poll().is_pending());
    assert_eq!(time.next_timer(), Some(Instant::from_nanos(100_000_000)));
    // Two are due at once: the first grants the second; that one is dropped before it hears it.
    time.advance(ms(200));
    let second = waits.pop().unwrap();
    assert!(waits[0].poll().is_ready());
    assert_eq!(second.wakes(), 1);
    assert_eq!(limiter.available(), 0);
    drop(second);
    assert_eq!((limiter.available(), time.timers()), (1, 0));
}

#[test]
fn a_smaller_request_behind_a_dropped_one_goes_at_once() {
    let (time, limiter) = manual(quota(10, 5));
    limiter.try_acquire(5).unwrap();
    time.advance(ms(200));
    let (mut large, mut small) = (Hand::new(limiter.acquire(5)), Hand::new(limiter.acquire(2)));
    assert!(large.poll().is_pending() && small.poll().is_pending());
    drop(large);
    assert_eq!(small.wakes(), 1);
    assert!(small.poll().is_ready());
}

#[test]
fn a_deadline_counts_all_who_wait() {
    let (time, limiter) = manual(quota(10, 3));
    limiter.try_acquire(3).unwrap();
    let mut ahead = Hand::new(limiter.acquire(3));
    assert!(ahead.poll().is_pending());
    let at = |n: u64| Instant::from_nanos(n * 1_000_000);
    let mut late = Hand::new(limiter.acquire_by(1, at(399)));
    assert!(
        matches!(late.poll(), Poll::Ready(Err(Denied::WouldMissDeadline { needed })) if needed == ms(400))
    );
    assert_eq!(limiter.stats().waiting, 1, "it changed nothing");
    let mut right = Hand::new(limiter.acquire_by(1, at(400)));
    assert!(right.poll().is_pending());
    // A debt makes it impossible: it is told at once.
    limiter.debit(1);
    assert_eq!(right.wakes(), 1);
    assert!(
        matches!(right.poll(), Poll::Ready(Err(Denied::WouldMissDeadline { needed })) if needed == ms(500))
    );
    time.advance(ms(400));
    assert!(ahead.poll().is_ready());
}

#[test]
fn the_queue_is_bounded() {
    let time = ManualClock::new();
    let builder = RateLimiter::builder(quota(10, 1)).clock(time.clock().clone());
    let limiter = builder.clone().max_waiters(1).build();
    limiter.try_acquire(1).unwrap();
    let (mut first, mut second) = (Hand::new(limiter.acquire(1)), Hand::new(limiter.acquire(1)));
    assert!(first.poll().is_pending());
    assert_eq!(second.poll(), Poll::Ready(Err(Denied::QueueFull { waiting: 1 })));
    let nobody = builder.max_waiters(0).build();
    nobody.try_acquire(1).unwrap();
    assert_eq!(Hand::new(nobody.acquire(1)).poll(), Poll::Ready(Err(Denied::Later { retry_after: ms(100) })));
}

#[test]
fn closing_is_heard_by_all() {
    let (_time, limiter) = manual(quota(10, 1));
    limiter.try_acquire(1).unwrap();
    let mut waits: Vec<_> = (0..20).map(|_| Hand::new(limiter.acquire(1))).collect();
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    limiter.close();
    for wait in &mut waits {
        assert_eq!(wait.wakes(), 1);
        assert_eq!(wait.poll(), Poll::Ready(Err(Denied::Closed)));
    }
    assert_eq!(limiter.try_acquire(0), Err(Denied::Closed));
    assert_eq!(Hand::new(limiter.acquire(1)).poll(), Poll::Ready(Err(Denied::Closed)));
}

#[test]
fn a_change_of_the_quota_times_anew_at_once() {
    let (time, limiter) = manual(quota(10, 4));
    limiter.try_acquire(4).unwrap();
    let [mut one, mut four, mut soon] = [(1, 10_000), (4, 10_000), (1, 600)]
        .map(|(n, by)| Hand::new(limiter.acquire_by(n, Instant::from_nanos(by * 1_000_000))));
    for wait in [&mut one, &mut four, &mut soon] {
        assert!(wait.poll().is_pending());
    }
    limiter.set_quota(quota(1, 3), Keep::Cells);
    assert!(matches!(four.poll(), Poll::Ready(Err(Denied::TooLarge { max: 3 }))));
    assert!(
        matches!(soon.poll(), Poll::Ready(Err(Denied::WouldMissDeadline { needed })) if needed == ms(2_000))
    );
    assert_eq!(one.wakes(), 1);
    assert!(one.poll().is_pending());
    assert_eq!(time.next_timer(), Some(Instant::from_nanos(1_000_000_000)));
    limiter.set_quota(quota(1_000, 3), Keep::Cells);
    assert!(one.poll().is_pending());
    time.advance(ms(1));
    assert!(one.poll().is_ready());
    assert_eq!(limiter.quota(), quota(1_000, 3));

    limiter.set_quota(quota(1, 1), Keep::Cells);
    let mut waits = Hand::new(limiter.acquire(1));
    assert!(waits.poll().is_pending());
    limiter.set_quota(Quota::new(Rate::ZERO, 1).unwrap(), Keep::Cells);
    assert_eq!(waits.poll(), Poll::Ready(Err(Denied::Later { retry_after: Duration::MAX })));
    limiter.set_quota(Quota::UNLIMITED, Keep::Cells);
    assert!(limiter.try_acquire(u64::MAX).is_ok());
}

#[test]
fn cells_that_come_back_are_handed_on_at_once() {
    let (_time, limiter) = manual(quota(10, 4));
    limiter.try_acquire(4).unwrap();
    let mut waits = Hand::new(limiter.acquire(3));
    assert!(waits.poll().is_pending());
    limiter.credit(2);
    assert_eq!(waits.wakes(), 1, "earlier than it thought");
    assert!(waits.poll().is_pending());
    limiter.credit(1);
    assert!(waits.poll().is_ready());
    limiter.credit(100);
    assert_eq!(limiter.available(), 4);
}

#[test]
fn a_reservation_comes_after_those_who_wait_and_before_those_who_come() {
    let (time, limiter) = manual(quota(10, 4));
    limiter.try_acquire(4).unwrap();
    let mut first = Hand::new(limiter.acquire(1));
    assert!(first.poll().is_pending());
    let one = limiter.reserve(2, ms(300)).unwrap();
    assert_eq!((one.delay(), one.at(), one.cells()), (ms(300), Instant::from_nanos(300_000_000), 2));
    let two = limiter.reserve(1, ms(1_000)).unwrap();
    assert_eq!(limiter.reserve(1, ms(499)).unwrap_err(), Denied::WouldMissDeadline { needed: ms(500) });
    let mut last = Hand::new(limiter.acquire(1));
    assert!(last.poll().is_pending());
    assert_eq!(limiter.try_acquire(1), Err(Denied::Later { retry_after: ms(600) }));
    one.cancel();
    assert_eq!(limiter.try_acquire(1), Err(Denied::Later { retry_after: ms(400) }));
    // The first gives up: what it carried is charged, and the last is timed by it.
    drop(first);
    assert!(last.poll().is_pending());
    assert_eq!(time.next_timer(), Some(Instant::from_nanos(200_000_000)));
    two.cancel();
    assert!(last.poll().is_pending());
    assert_eq!(time.next_timer(), Some(Instant::from_nanos(100_000_000)));
    time.advance(ms(100));
    assert!(last.poll().is_ready());
}

#[test]
fn an_estimate_is_settled() {
    let (time, limiter) = manual(quota(10, 10));
    limiter.estimate(4).unwrap().settle(1);
    assert_eq!(limiter.available(), 9);
    limiter.estimate(4).unwrap().settle(11);
    assert_eq!(limiter.try_acquire(1), Err(Denied::Later { retry_after: ms(300) }));
    time.advance(ms(300));
    drop(limiter.estimate(1).unwrap());
    assert_eq!(limiter.available(), 0);
}

/// 400 who wait: in order, and with at most three looks at the clock each.
#[apply(sim_test)]
async fn four_hundred_wait_in_order(runtime: Runtime) {
    let (time, _) = manual(quota(1, 1));
    let limiter = RateLimiter::builder(quota(1_000, 1)).clock(time.clock().clone()).build();
    limiter.try_acquire(1).unwrap();
    let before = time.times_read();
    let mut waits: Vec<_> = (0..400).map(|_| Hand::new(limiter.acquire(1))).collect();
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    let mut order = Vec::new();
    let mut polls = 0;
    while order.len() < 400 {
        let mut polled = false;
        for (number, wait) in waits.iter_mut().enumerate() {
            if wait.wakes() > 0 && !order.contains(&number) {
                polled = true;
                polls += 1;
                if wait.poll().is_ready() {
                    order.push(number);
                }
            }
        }
        if !polled {
            assert_eq!(time.timers(), 1, "one timer for all");
            time.set(time.next_timer().unwrap());
        }
    }
    assert!(order.is_sorted());
    let reads = time.times_read() - before;
    assert!(reads <= 3 * 400, "{reads} looks at the clock");
    assert!(polls <= 2 * 400, "{polls} polls");
    drop(runtime);
}
