//! What went wrong elsewhere, by name.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{
    AdaptiveLimiter, Denied, InFlight, Keep, LimitAlgorithm, Outcome, Quota, QuotaError, Rate, RateLimiter,
    Semaphore, Vegas, Window, Windows,
};
use weirs_runtime::{Instant, Runtime};
use weirs_testing::{LateClock, ManualClock, apply, runtime_test, sim_test};

const SECOND: Duration = Duration::from_secs(1);

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn manual(quota: Quota) -> (ManualClock, RateLimiter) {
    let time = ManualClock::new();
    let limiter = RateLimiter::builder(quota).clock(time.clock().clone()).build();
    (time, limiter)
}

/// A product of period and burst that wraps admits one of 213 505; one of period and cost admits anything.
#[test]
fn pitfall_01_overflow() {
    let daily = Quota::new(Rate::new(1, 86_400 * SECOND).unwrap(), 213_505).unwrap();
    let (_time, limiter) = manual(daily);
    assert_eq!((0..213_505).filter(|_| limiter.try_acquire(1).is_ok()).count(), 213_505);
    let (_time, limiter) = manual(Quota::new(Rate::new(1, 5 * SECOND).unwrap(), 10).unwrap());
    for cost in [11, 3_689_348_816, 1 << 48, 1 << 56, u64::MAX - 10, u64::MAX] {
        assert_eq!(limiter.try_acquire(cost), Err(Denied::TooLarge { max: 10 }));
    }
    assert_eq!(limiter.available(), 10);
    assert_eq!(Quota::new(Rate::per_second(1), Quota::MAX_BURST + 1), Err(QuotaError::TooLarge));
    // The slowest of all, with the largest burst.
    let slow = Rate::new(1, Duration::from_nanos(u64::MAX)).unwrap();
    let (time, limiter) = manual(Quota::new(slow, Quota::MAX_BURST).unwrap());
    limiter.try_acquire(Quota::MAX_BURST).unwrap();
    time.set(at(u64::MAX - 1));
    assert!(limiter.try_acquire(1).is_err());
    let denied = limiter.try_acquire(Quota::MAX_BURST).unwrap_err();
    assert_eq!(denied.retry_after(), None, "later than time goes");
    assert!(limiter.reserve(2, Duration::MAX).is_err());
}

/// Refills that drop the rest of a cell: half of the cells, if somebody asks often.
#[test]
fn pitfall_02_truncated_refill() {
    let (time, limiter) = manual(Quota::new(Rate::new(1, 60 * SECOND).unwrap(), 1).unwrap());
    let (mut admitted, mut now) = (0, 0);
    while now <= 20 * 60 * 1_000_000_000 {
        admitted += u32::from(limiter.try_acquire(1).is_ok());
        now += 119_000;
        time.set(at(now));
    }
    assert_eq!(admitted, 20, "at the beginning, and once a minute (the last look is just before it is due)");
}

/// A timer that is late by up to 10 ms must not make the rate less: another's limiter is a tenth slower then.
#[apply(sim_test)]
async fn pitfall_02_lateness_is_made_up_for(runtime: Runtime) {
    let late = Duration::from_millis(10);
    let (rate, burst) = [(500, 10), (200, 3), (100, 2), (997, 12)][runtime.clock().random_below(4) as usize];
    let clock = match runtime.clock().random_below(2) {
        0 => LateClock::by(runtime.clock(), late),
        _ => LateClock::up_to(runtime.clock(), late, runtime.clock().random_u64()),
    };
    let quota = Quota::new(Rate::per_second(rate), burst).unwrap();
    let limiter = RateLimiter::builder(quota).initial(0).clock(clock.clone()).build();
    let start = clock.now();
    // The last may be late itself, once: over 20 s that is half of a thousandth.
    for _ in 0..20 * rate {
        limiter.acquire(1).await.unwrap();
    }
    let seconds = (clock.now() - start).as_secs_f64();
    assert!((seconds / 20.0 - 1.0).abs() <= 0.001, "{rate}: {seconds}");
}

/// With a burst of one nothing can be made up for, and the spacing is never less than a period; a burst of
/// two catches up.
#[apply(sim_test)]
async fn pitfall_02_smooth_is_never_too_fast(runtime: Runtime) {
    let clock = LateClock::up_to(runtime.clock(), Duration::from_millis(1), runtime.clock().random_u64());
    let (period, start) = (Duration::from_millis(2), clock.now());
    let limiter = RateLimiter::builder(Quota::smooth(Rate::per_second(500))).clock(clock.clone()).build();
    let mut last = None;
    for _ in 0..100 {
        limiter.acquire(1).await.unwrap();
        let now = clock.now();
        // A cell is counted in 65,536ths.
        assert!(last.is_none_or(|last| now - last >= period - period / 65_536));
        last = Some(now);
    }
    assert!(clock.now() - start < period * 150);
}

/// A balance that is not looked after admits twice the burst after a pause.
#[test]
fn pitfall_03_no_more_than_the_burst_after_a_pause() {
    let (time, limiter) = manual(Quota::new(Rate::per_second(100), 10).unwrap());
    limiter.try_acquire(3).unwrap();
    time.advance(SECOND / 2);
    assert_eq!((0..50).filter(|_| limiter.try_acquire(1).is_ok()).count(), 10);
}

/// Time that goes back generates nothing and is no panic; the cells come when the old time is reached.
#[test]
fn pitfall_04_time_goes_back() {
    let (time, limiter) = manual(Quota::new(Rate::per_second(10), 2).unwrap());
    time.set(at(10_000_000_000));
    limiter.try_acquire(2).unwrap();
    let mut waits = Hand::new(limiter.acquire(1));
    assert!(waits.poll().is_pending());
    time.set(at(5_000_000_000));
    assert!(waits.poll_again().is_pending());
    assert_eq!(limiter.available(), 0);
    assert!(limiter.try_acquire(1).is_err());
    limiter.set_quota(Quota::new(Rate::per_second(20), 2).unwrap(), Keep::Cells);
    let _ = limiter.reserve(1, SECOND);
    limiter.credit(1);
    limiter.debit(1);
    time.set(at(0));
    let _ = (limiter.try_acquire(1), limiter.stats(), format!("{limiter:?}"));
    time.set(at(20_000_000_000));
    assert!(waits.poll().is_ready());
}

/// A cost that can never be had is an error at once, never a wait for ever.
#[test]
fn pitfall_05_more_than_there_can_be() {
    let (_time, limiter) = manual(Quota::new(Rate::per_second(10), 5).unwrap());
    assert_eq!(Hand::new(limiter.acquire(6)).poll(), Poll::Ready(Err(Denied::TooLarge { max: 5 })));
    limiter.try_acquire(5).unwrap();
    let mut waits = Hand::new(limiter.acquire(5));
    assert!(waits.poll().is_pending());
    limiter.set_quota(Quota::new(Rate::per_second(10), 4).unwrap(), Keep::Cells);
    assert_eq!(waits.wakes(), 1);
    assert_eq!(waits.poll(), Poll::Ready(Err(Denied::TooLarge { max: 4 })));

    let semaphore = Semaphore::new(5);
    assert!(matches!(Hand::new(semaphore.acquire(6)).poll(), Poll::Ready(Err(Denied::TooLarge { max: 5 }))));
    assert_eq!(semaphore.available(), 5, "and it holds nothing meanwhile");
}

/// A cost of zero is admitted when empty too; a rate of zero refuses; unlimited is another thing.
#[test]
fn pitfall_06_zero() {
    let (time, limiter) = manual(Quota::new(Rate::ZERO, 1).unwrap());
    limiter.try_acquire(1).unwrap();
    time.advance(1_000_000 * SECOND);
    assert_eq!(limiter.try_acquire(1), Err(Denied::Later { retry_after: Duration::MAX }));
    assert!(matches!(Hand::new(limiter.acquire(1)).poll(), Poll::Ready(Err(Denied::Later { .. }))));
    assert!(limiter.try_acquire(0).is_ok());
    assert!(Hand::new(limiter.acquire(0)).poll().is_ready());
    let (_time, limiter) = manual(Quota::UNLIMITED);
    (0..1_000).for_each(|_| assert!(limiter.try_acquire(u64::MAX / 2).is_ok()));

    // Also past those who wait.
    let (_time, limiter) = manual(Quota::smooth(Rate::per_second(1)));
    limiter.try_acquire(1).unwrap();
    let mut waits = Hand::new(limiter.acquire(1));
    assert!(waits.poll().is_pending());
    assert!(limiter.try_acquire(0).is_ok());
    assert!(Hand::new(limiter.acquire(0)).poll().is_ready());
}

/// A wait that cannot make it does not begin, and changes nothing.
#[test]
fn pitfall_07_the_deadline_is_looked_at_first() {
    let (time, limiter) = manual(Quota::new(Rate::per_second(10), 10).unwrap());
    limiter.try_acquire(10).unwrap();
    let mut ahead: Vec<_> = (0..5).map(|_| Hand::new(limiter.acquire(2))).collect();
    ahead.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    for _ in 0..100 {
        let mut late = Hand::new(limiter.acquire_by(1, at(1_099_999_999)));
        assert!(matches!(late.poll(), Poll::Ready(Err(Denied::WouldMissDeadline { .. }))));
        assert!(limiter.reserve(1, Duration::from_nanos(1_099_999_999)).is_err());
    }
    let mut right = Hand::new(limiter.acquire_by(1, at(1_100_000_000)));
    assert!(right.poll().is_pending());
    for wait in &mut ahead {
        time.advance(Duration::from_millis(200));
        assert!(wait.poll().is_ready());
    }
    assert!(right.poll().is_pending());
    time.advance(Duration::from_millis(100));
    assert!(right.poll().is_ready());
}

/// Cancelled in any order, all comes back.
#[test]
fn pitfall_08_cancel_is_exact() {
    let (_time, limiter) = manual(Quota::new(Rate::new(7, 3 * SECOND).unwrap(), 100).unwrap());
    limiter.try_acquire(100).unwrap();
    for reverse in [false, true] {
        let mut all: Vec<_> = (1..=10).map(|n| limiter.reserve(n, 1_000 * SECOND).unwrap()).collect();
        if reverse {
            all.reverse();
        }
        all.into_iter().for_each(|reservation| reservation.cancel());
        let wait = Duration::from_nanos((3_000_000_000_u64).div_ceil(7));
        assert_eq!(limiter.try_acquire(1), Err(Denied::Later { retry_after: wait }));
    }
}

/// Whoever waits exactly as long as was said is admitted; a nanosecond earlier is too early.
#[test]
fn pitfall_09_retry_after_is_true() {
    for (cells, seconds) in [(3, 1), (7, 11), (1_000_000_007, 2), (1, 86_400)] {
        let (time, limiter) = manual(Quota::new(Rate::new(cells, seconds * SECOND).unwrap(), 5).unwrap());
        for n in [5, 1, 2, 3, 4, 5, 1] {
            if let Err(denied) = limiter.try_acquire(n) {
                let wait = denied.retry_after().unwrap();
                time.advance(wait - Duration::from_nanos(1));
                assert!(limiter.try_acquire(n).is_err(), "too early");
                time.advance(Duration::from_nanos(1));
                limiter.try_acquire(n).unwrap();
            }
        }
    }
}

/// The periods of such rates are no whole nanoseconds: rounded, they give up to 43 % too much.
#[test]
fn pitfall_02_fast_rates_are_exact() {
    for rate in [3_000_000, 30_000_000, 300_000_000, 700_000_000, 999_999_937] {
        let (time, limiter) = manual(Quota::new(Rate::per_second(rate), rate).unwrap());
        limiter.try_acquire(rate).unwrap();
        for second in 1..=3 {
            time.set(at(second * 1_000_000_000 - 1));
            assert!(limiter.available() < rate);
            time.set(at(second * 1_000_000_000));
            limiter.try_acquire(rate).unwrap();
            assert_eq!(limiter.available(), 0);
        }
    }
}

/// One that asks for ten, beside many that ask for one all the time: elsewhere it had none in ten seconds.
#[apply(runtime_test)]
async fn the_large_one_is_not_starved_by_the_small(runtime: Runtime) {
    let quota = Quota::new(Rate::per_second(5_000), 10).unwrap();
    let limiter = Arc::new(RateLimiter::builder(quota).clock(runtime.clock().clone()).build());
    let done = Arc::new(AtomicBool::new(false));
    let small: Vec<_> = (0..8)
        .map(|_| {
            let (limiter, done) = (Arc::clone(&limiter), Arc::clone(&done));
            runtime.spawn(async move {
                while !done.load(Ordering::Acquire) {
                    limiter.acquire(1).await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..10 {
        limiter.acquire(10).await.unwrap();
    }
    done.store(true, Ordering::Release);
    for task in small {
        task.await.unwrap();
    }
}

/// What is dropped says nothing, a refusal is no quick answer, and an unused limit does not grow.
#[test]
fn pitfall_10_adaptive() {
    let tick = Duration::from_millis(10);
    let time = ManualClock::new();
    let builder = AdaptiveLimiter::builder().clock(time.clock().clone()).window(tick, 1);
    let limiter = builder.limits(1..=100).initial_limit(20).build();
    let one = |end: fn(InFlight<'_>)| {
        let request = limiter.try_acquire().unwrap();
        time.advance(tick);
        end(request);
    };
    (0..50).for_each(|_| one(|request| drop(request)));
    let stats = limiter.stats();
    assert_eq!((stats.successes, stats.ignored, stats.windows, stats.limit), (0, 50, 0, 20));
    (0..50).for_each(|_| one(|request| request.success()));
    assert!(limiter.stats().windows > 20 && limiter.limit() <= 20, "one in flight of twenty");

    // Netflix #176: the refusals of the other side are quick.
    let mut windows = Windows::new(tick, 1);
    windows.record(at(0), Outcome::Success, tick, 1);
    (0..99).for_each(|_| windows.record(at(0), Outcome::Overload, Duration::ZERO, 1));
    let window = windows.take(at(10_000_000), 20.0);
    assert_eq!((window.mean, window.min, window.median, window.p90), (tick, tick, window.median, window.p90));
    assert!(window.median > tick / 2);
    // Envoy #11579: what was measured long ago is no part of a window of now.
    windows.record(at(0), Outcome::Success, 100 * tick, 1);
    windows.record(at(1_000_000_000), Outcome::Success, tick, 1);
    assert_eq!(windows.take(at(1_010_000_000), 20.0).successes, 1);
}

/// Probing is not done by a whole fleet at once: when, is a matter of chance.
#[test]
fn pitfall_10_a_fleet_does_not_probe_at_once() {
    let probes_at = |chance: f64| {
        let mut vegas = Vegas::new();
        let mut window = Window::default();
        (window.limit, window.in_flight, window.successes) = (10.0, 10, 100);
        (window.length, window.chance) = (SECOND, chance);
        // Quick once, and slow ever after: only a probe finds that this is how it is now.
        let limits = (0..1_000).map(|turn| {
            let latency = Duration::from_millis(if turn == 0 { 10 } else { 15 });
            (window.min, window.mean, window.median, window.p90) = (latency, latency, latency, latency);
            vegas.on_window(&window)
        });
        limits.skip(1).take_while(|limit| *limit <= 11.0).count()
    };
    assert_eq!([0.0, 0.5, 1.0].map(probes_at), [149, 224, 299]);
}

/// Callers whose clocks differ, and times of which doubles lose the last digits. (What else goes wrong with
/// limits in a shared store does not arise here: there is none.)
#[test]
fn pitfall_12_clocks_that_differ_and_times_that_are_large() {
    let step = 250_000_000;
    let (_time, limiter) = manual(Quota::new(Rate::per_second(4), 2).unwrap());
    // One is ahead by a second, one behind by three.
    let mut admitted = 0;
    for turn in 0..400_u64 {
        let now = 10_000_000_000 + turn * step / 4;
        for skewed in [now, now + 1_000_000_000, now - 3_000_000_000] {
            admitted += u64::from(limiter.try_acquire_at(at(skewed), 1).is_ok());
        }
    }
    // As if all had the clock that is ahead.
    assert!((100..=4 + 2 + 100).contains(&admitted), "{admitted}");
    for begin in [1_u64 << 53, 55 * 365 * 86_400 * 1_000_000_000, u64::MAX / 2 + 12_345] {
        let (time, limiter) = manual(Quota::new(Rate::per_second(7), 1).unwrap());
        time.set(at(begin));
        limiter.try_acquire(1).unwrap();
        let wait = limiter.try_acquire(1).unwrap_err().retry_after().unwrap();
        assert!(Duration::from_nanos(142_857_143).abs_diff(wait) <= Duration::from_nanos(2_180), "{wait:?}");
        time.set(at(begin + wait.as_nanos() as u64 - 1));
        assert!(limiter.try_acquire(1).is_err());
        time.set(at(begin + wait.as_nanos() as u64));
        limiter.try_acquire(1).unwrap();
    }
}

/// However the moments are chosen, a strict window is kept.
#[test]
fn strict_windows_hold_for_the_greedy() {
    let quota = Quota::strict_window(100, SECOND, 10).unwrap();
    for step in [1_000_000, 7_777_777, 100_000_000, 999_999_999] {
        let (time, limiter) = manual(quota);
        let mut admitted = Vec::new();
        for now in (0..5_000_000_000_u64).step_by(step) {
            time.set(at(now));
            while limiter.try_acquire(1).is_ok() {
                admitted.push(now);
            }
        }
        for (first, from) in admitted.iter().enumerate() {
            let within = admitted[first..].iter().take_while(|now| **now < from + 1_000_000_000).count();
            assert!(within <= 100, "{within} from {from}");
        }
    }
}
