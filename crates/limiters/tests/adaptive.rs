//! The promises of the adaptive limiter, one by one. How good its limits are: see `adaptive_simulated.rs`.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::Hand;
use weirs_limiters::{
    AdaptiveLimiter, AdaptiveLimiterBuilder, Aimd, CorrelatedVegas, Denied, Gradient2, InFlight, Limit,
    LimitAlgorithm, Outcome, Vegas, Window, Windows, acquire,
};
use weirs_runtime::{Entropy, Instant, Runtime, SeededEntropy};
use weirs_testing::{
    ManualClock, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields,
};

const TICK: Duration = Duration::from_millis(10);

/// What a rule is: any function from a window to a limit.
struct Rule<F>(F);

impl<F: FnMut(&Window) -> f64 + Send> LimitAlgorithm for Rule<F> {
    fn on_window(&mut self, window: &Window) -> f64 {
        (self.0)(window)
    }
}

/// A window of one tick and one sample.
fn quick(clock: &ManualClock) -> AdaptiveLimiterBuilder {
    AdaptiveLimiter::builder().clock(clock.clock().clone()).window(TICK, 1)
}

#[test]
fn smoke() {
    let clock = ManualClock::new();
    let limiter = quick(&clock).initial_limit(2).limits(1..=10).build();
    let (one, two) = (limiter.try_acquire().unwrap(), limiter.try_acquire().unwrap());
    assert_eq!(limiter.try_acquire().unwrap_err(), Denied::Busy { free: 0 });
    assert_eq!((limiter.stats().in_flight, limiter.stats().limit), (2, 2));
    one.success();
    two.overload();
    drop(limiter.try_acquire().unwrap());
    let stats = limiter.stats();
    assert_eq!((stats.in_flight, stats.successes, stats.overloads, stats.ignored), (0, 1, 1, 1));
}

/// Netflix #176: what is refused further on comes back quickly, and is no sign of a quick server.
#[test]
fn overloads_and_the_ignored_are_in_no_latency() {
    let clock = ManualClock::new();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let rule = {
        let seen = Arc::clone(&seen);
        Rule(move |window: &Window| {
            seen.lock().unwrap().push(*window);
            window.limit
        })
    };
    let limiter = quick(&clock).window(TICK * 2, 3).algorithm(rule).build();
    let requests: Vec<InFlight<'_, _>> = (0..4).map(|_| limiter.try_acquire().unwrap()).collect();
    let outcomes = [Outcome::Overload, Outcome::Ignore, Outcome::Success, Outcome::Success];
    for (request, outcome) in requests.into_iter().zip(outcomes) {
        clock.advance(TICK);
        request.end(outcome);
    }
    let windows = seen.lock().unwrap().clone();
    assert_eq!(windows.len(), 1);
    assert_eq!((windows[0].successes, windows[0].overloads, windows[0].in_flight), (2, 1, 4));
    assert_eq!((windows[0].mean, windows[0].min), (TICK * 7 / 2, TICK * 3));
    assert_eq!(windows[0].length, TICK * 3);
}

#[test]
fn what_never_began_is_not_counted() {
    let clock = ManualClock::new();
    let limiter = quick(&clock).build();
    limiter.try_acquire().unwrap().unused();
    let stats = limiter.stats();
    assert_eq!((stats.in_flight, stats.successes, stats.overloads, stats.ignored), (0, 0, 0, 0));
    limiter.release(limiter.try_acquire_at(clock.clock().now(), 0).unwrap(), Outcome::Success);
    assert_eq!(limiter.stats().successes, 0, "a cost of zero is nothing");
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    fn grows<A: LimitAlgorithm>(algorithm: A, at_once: usize) -> bool {
        let clock = ManualClock::new();
        let limiter = quick(&clock).initial_limit(20).algorithm(algorithm).build();
        for _ in 0..200 {
            let requests: Vec<_> = (0..at_once).map(|_| limiter.try_acquire().unwrap()).collect();
            clock.advance(TICK);
            requests.into_iter().for_each(InFlight::success);
        }
        assert!(limiter.stats().windows >= 100);
        limiter.limit() > 20
    }
    fn check<A: LimitAlgorithm>(algorithm: impl Fn() -> A) {
        assert!(!grows(algorithm(), 9));
        assert!(grows(algorithm(), 11));
    }
    check(|| Aimd::new(Duration::from_secs(1)));
    check(Vegas::new);
    check(Gradient2::new);
    check(Gradient2::as_published);
    check(CorrelatedVegas::new);
}

/// A quiet time does not leave a limit that lets the next flood in.
#[test]
fn the_default_stays_within_reach_of_what_is_in_flight() {
    let clock = ManualClock::new();
    let limiter = quick(&clock).initial_limit(500).build();
    for _ in 0..1_000 {
        let requests: Vec<_> = (0..4).map(|_| limiter.try_acquire().unwrap()).collect();
        clock.advance(TICK);
        requests.into_iter().for_each(InFlight::success);
    }
    assert_eq!(limiter.limit(), 20);
}

/// A handful of refusals among many is no overload of the default; more is, whatever the latency.
#[test]
fn the_default_shrinks_when_the_other_side_refuses() {
    for (every, smaller) in [(50, false), (10, true)] {
        let clock = ManualClock::new();
        let limiter = quick(&clock).window(TICK, 100).initial_limit(20).build();
        let _others: Vec<_> = (0..9).map(|_| limiter.try_acquire().unwrap()).collect();
        for turn in 0..2_000 {
            let Ok(request) = limiter.try_acquire() else { break };
            clock.advance(TICK / 10);
            if turn % every == 0 { request.overload() } else { request.success() }
        }
        assert_eq!(limiter.limit() < 10, smaller, "{limiter:?}");
    }
}

#[test]
fn a_new_limit_lets_those_go_who_wait() {
    let clock = ManualClock::new();
    let limiter = quick(&clock).initial_limit(2).algorithm(Aimd::new(Duration::from_secs(1))).build();
    let (one, two) = (limiter.try_acquire().unwrap(), limiter.try_acquire().unwrap());
    let mut waits = [(); 3].map(|()| Hand::new(limiter.acquire()));
    waits.iter_mut().for_each(|wait| assert!(wait.poll().is_pending()));
    one.success();
    clock.advance(TICK);
    two.success();
    assert_eq!(limiter.limit(), 3);
    waits.iter().for_each(|wait| assert_eq!(wait.wakes(), 1));
    let held: Vec<_> = waits.iter_mut().map(Hand::poll).collect();
    assert!(held.iter().all(|polled| matches!(polled, Poll::Ready(Ok(_)))));
    assert_eq!(limiter.stats().in_flight, 3);
}

#[test]
fn a_smaller_limit_drains() {
    let clock = ManualClock::new();
    let limiter = quick(&clock).initial_limit(4).algorithm(Rule(|_: &Window| 1.5)).build();
    let mut held: Vec<_> = (0..4).map(|_| limiter.try_acquire().unwrap()).collect();
    held.pop().unwrap().success();
    clock.advance(TICK);
    held.pop().unwrap().success();
    assert_eq!((limiter.limit(), limiter.stats().in_flight), (1, 2));
    assert!(limiter.try_acquire().is_err());
    held.clear();
    assert!(limiter.try_acquire().is_ok());
}

#[test]
fn the_limits_are_kept_whatever_the_algorithm_says() {
    for (said, limit) in
        [(1e300, 50), (f64::INFINITY, 50), (-1.0, 3), (0.0, 3), (f64::NEG_INFINITY, 3), (f64::NAN, 20)]
    {
        let clock = ManualClock::new();
        let limiter = quick(&clock).limits(3..=50).algorithm(Rule(move |_: &Window| said)).build();
        limiter.try_acquire().unwrap().success();
        let last = limiter.try_acquire().unwrap();
        clock.advance(TICK);
        last.success();
        assert_eq!((limiter.limit(), limiter.stats().windows), (limit, 1), "{said}");
    }
}

#[test]
fn an_algorithm_that_panics_loses_nothing() {
    let clock = ManualClock::new();
    let mut times = 0;
    let rule = Rule(move |window: &Window| {
        times += 1;
        assert!(times > 1, "the first time");
        window.limit + 1.0
    });
    let limiter = quick(&clock).initial_limit(1).algorithm(rule).build();
    limiter.try_acquire().unwrap().success();
    let last = limiter.try_acquire().unwrap();
    let mut waits = Hand::new(limiter.acquire());
    assert!(waits.poll().is_pending());
    clock.advance(TICK);
    assert!(catch_unwind(AssertUnwindSafe(|| last.success())).is_err());
    let Poll::Ready(Ok(request)) = waits.poll() else { panic!("its turn came") };
    request.success();
    let last = limiter.try_acquire().unwrap();
    clock.advance(TICK);
    last.success();
    assert_eq!((limiter.limit(), limiter.stats().in_flight), (2, 0));
}

/// The algorithm may use the limiter that it serves: no lock is held.
#[test]
fn an_algorithm_may_look_at_its_limiter() {
    type Shared = Arc<std::sync::OnceLock<Arc<AdaptiveLimiter<Box<dyn LimitAlgorithm>>>>>;
    let (clock, shared) = (ManualClock::new(), Shared::default());
    let rule: Box<dyn LimitAlgorithm> = {
        let shared = Arc::clone(&shared);
        Box::new(Rule(move |window: &Window| {
            let limiter = shared.get().unwrap();
            limiter.try_acquire().unwrap().success();
            limiter.stats().limit as f64 + window.chance.ceil()
        }))
    };
    let limiter = Arc::new(quick(&clock).initial_limit(5).algorithm(rule).build());
    shared.set(Arc::clone(&limiter)).unwrap();
    limiter.try_acquire().unwrap().success();
    let last = limiter.try_acquire().unwrap();
    clock.advance(TICK);
    last.success();
    assert_eq!(limiter.limit(), 6);
}

#[test]
fn a_window_that_is_never_full_is_begun_anew() {
    let at = |ticks: u32| Instant::from_nanos(0) + TICK * ticks;
    let mut windows = Windows::new(TICK, 3);
    windows.record(at(0), Outcome::Success, TICK, 9);
    windows.record(at(5), Outcome::Success, TICK, 9);
    assert!(!windows.is_full(at(5)));
    windows.record(at(500), Outcome::Success, TICK * 2, 1);
    assert!(!windows.is_full(at(500)));
    let window = windows.take(at(500), 4.0);
    assert_eq!((window.successes, window.in_flight, window.min), (1, 1, TICK * 2));
    let empty = windows.take(at(501), 4.0);
    assert_eq!((empty.successes, empty.mean, empty.min, empty.length), Default::default());
}

/// No sequence of windows, however odd, gives a limit that is no number or leaves its place by much.
#[test]
fn algorithms_stand_any_windows() {
    fn check<A: LimitAlgorithm>(algorithm: impl Fn() -> A) {
        for seed in 0..200 {
            let entropy = SeededEntropy::new(seed);
            let below = |bound: u64| entropy.next_u64() % bound;
            let (mut algorithm, mut limit) = (algorithm(), 20.0_f64);
            for _ in 0..200 {
                let mut window = Window::default();
                (window.limit, window.in_flight) = (limit, below(3 * limit as u64 + 2));
                (window.successes, window.overloads) = (below(3) * below(100), below(4) / 3 * below(9));
                if window.successes > 0 {
                    let latency = Duration::from_nanos(entropy.next_u64() >> below(64));
                    (window.mean, window.min, window.median, window.p90) =
                        (latency, latency / 2, latency, latency.saturating_mul(2));
                }
                window.length = Duration::from_nanos(entropy.next_u64() >> below(64));
                window.chance = 0.999 * below(2) as f64;
                let learned = algorithm.on_window(&window);
                assert!(learned.is_finite(), "{seed} {window:?}");
                assert!(learned <= limit + 6.0 * limit.log10().max(1.0), "{seed} {learned} {window:?}");
                assert!(window.is_used() || learned <= limit, "{seed} {learned} {window:?}");
                limit = learned.clamp(1.0, 1000.0);
            }
        }
    }
    check(|| Aimd::new(Duration::from_millis(1)));
    check(Vegas::new);
    check(Gradient2::new);
    check(Gradient2::as_published);
    check(CorrelatedVegas::new);
}

#[apply(runtime_test)]
async fn never_more_than_the_largest_limit(runtime: Runtime) {
    let limiter = Arc::new(
        AdaptiveLimiter::builder()
            .limits(1..=4)
            .initial_limit(2)
            .window(Duration::ZERO, 1)
            .algorithm(Aimd::new(Duration::from_secs(3600)))
            .clock(runtime.clock().clone())
            .build(),
    );
    let in_flight = weirs_testing::InFlight::new();
    let tasks: Vec<_> = (0..20_u64)
        .map(|number| {
            let (limiter, in_flight) = (Arc::clone(&limiter), in_flight.clone());
            runtime.spawn(async move {
                for round in 0..10 {
                    let request = acquire(Arc::clone(&limiter), 1).await.unwrap();
                    let guard = in_flight.enter();
                    yields(1).await;
                    drop(guard);
                    match (number + round) % 5 {
                        0 => request.overload(),
                        1 => drop(request),
                        _ => request.success(),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(in_flight.peak() <= 4);
    let stats = limiter.stats();
    assert_eq!((stats.in_flight, stats.waiting), (0, 0));
    assert_eq!((stats.successes, stats.overloads, stats.ignored), (120, 40, 40));
}

#[apply(runtime_test)]
async fn cancelled_at_every_poll(runtime: Runtime) {
    let limiter = Arc::new(AdaptiveLimiter::builder().initial_limit(1).limits(1..=1).build());
    let make = || {
        let (limiter, runtime) = (Arc::clone(&limiter), runtime.clone());
        async move {
            let held = acquire(Arc::clone(&limiter), 1).await.unwrap();
            let holder = runtime.spawn(async move {
                yields(2).await;
                held.success();
            });
            let request = limiter.acquire().await.unwrap();
            yields(1).await;
            request.success();
            holder.await.unwrap();
        }
    };
    let check = async |_| {
        limiter.acquire().await.unwrap().ignore();
        assert_eq!((limiter.stats().in_flight, limiter.stats().waiting), (0, 0));
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(sim_test)]
async fn a_wait_ends_at_its_deadline_and_is_no_latency(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let limiter = AdaptiveLimiter::builder().clock(clock.clone()).initial_limit(1).limits(1..=1).build();
    let held = limiter.try_acquire().unwrap();
    let start = clock.now();
    let denied = limiter.acquire().by(start + TICK).await.unwrap_err();
    assert_eq!((denied, clock.now() - start), (Denied::DeadlinePassed, TICK));
    let waits = async {
        let request = limiter.acquire().await.unwrap();
        assert_eq!(request.grant().note(), clock.now().as_nanos(), "it counts from its admission");
    };
    let ends = async {
        clock.sleep(TICK).await;
        held.success();
    };
    futures_lite::future::zip(waits, ends).await;
}

#[test]
fn closed_it_admits_nobody() {
    let limiter = AdaptiveLimiter::builder().initial_limit(1).max_waiters(1).build();
    let held = limiter.try_acquire().unwrap();
    let (mut waits, mut late) = (Hand::new(limiter.acquire()), Hand::new(limiter.acquire()));
    assert!(waits.poll().is_pending());
    assert!(matches!(late.poll(), Poll::Ready(Err(Denied::QueueFull { waiting: 1 }))));
    limiter.close();
    assert!(limiter.is_closed());
    assert!(matches!(waits.poll(), Poll::Ready(Err(Denied::Closed))));
    held.success();
    assert_eq!(limiter.try_acquire().unwrap_err(), Denied::Closed);
    assert!(format!("{limiter:?}").contains("AdaptiveLimiter"));
}

#[test]
#[should_panic(expected = "nothing is ever learned")]
fn a_limit_of_zero_is_an_error() {
    let _ = AdaptiveLimiter::builder().limits(0..=10);
}

#[test]
#[should_panic(expected = "there is no limit between 9 and 3")]
#[allow(clippy::reversed_empty_ranges, reason = "that is the bad input")]
fn limits_the_wrong_way_round_are_an_error() {
    let _ = AdaptiveLimiter::builder().limits(9..=3);
}
