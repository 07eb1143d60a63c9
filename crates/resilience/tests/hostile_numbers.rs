//! Numbers without sense: nothing, everything, no number at all. Each is an error where it was set, or has
//! the meaning that one would guess; none is a panic, an overflow or a hang.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use weirs_limiters::Semaphore;
use weirs_resilience::{
    Attempt, Backoff, Breaker, Breakers, Budget, Bulkhead, Cache, CacheSlot, CacheTerms, Chaos, Circuit,
    Class, Error, Faults, Hedge, Invalid, Jitter, Latency, Limited, OpenFor, Reason, Recorded, Retry, Stack,
    hedge, retry, timeout,
};
use weirs_runtime::{Instant, Runtime};
use weirs_testing::{ManualClock, apply, runtime_test, sim_test, yields};

const NUMBERS: [f64; 9] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, f64::MIN_POSITIVE, 1.0 + 1e-9, 1e300, f64::MAX];
const TIMES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_secs(1),
    Duration::from_secs(u64::MAX / 4),
    Duration::MAX,
];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn field<T>(result: Result<T, Invalid>) -> &'static str {
    result.err().expect("it makes no sense").field()
}

#[apply(runtime_test)]
async fn limits_of_no_time_and_of_all_time(_: Runtime) {
    for limit in [Duration::MAX, Duration::from_secs(u64::MAX)] {
        let stack = Stack::builder().timeout(limit).deadline().timeout(Duration::MAX).build().unwrap();
        let call = stack.call(async |at| {
            yields(3).await;
            Ok::<_, ()>(at.remaining())
        });
        assert!(call.await.unwrap().is_none_or(|left| left > Duration::from_secs(1 << 32)));
    }
    // No time at all is a mistake, not a way to say "only if it is ready".
    assert_eq!(field(Stack::builder().timeout(Duration::ZERO).build()), "timeout.after");
    let refused = timeout(Duration::ZERO).call(async |_| Ok::<_, ()>(1)).await.unwrap_err();
    assert_eq!(refused.rejected(), Some(Reason::Invalid));
    let late =
        timeout(Duration::from_nanos(1)).call(async |_| std::future::pending::<Result<(), ()>>().await).await;
    assert!(late.unwrap_err().is_timeout());
}

#[apply(sim_test)]
async fn pauses_of_all_time_fit_no_deadline(runtime: Runtime) {
    let clock = runtime.clock();
    let huge = Retry::exponential(Duration::MAX).retries(u32::MAX);
    let stack = Stack::builder().clock(clock).timeout(Duration::from_secs(5)).retry(huge).build().unwrap();
    let report = stack.call_reported(async |_| {
        yields(1).await;
        Err::<(), _>("broken")
    });
    let report = report.await;
    assert_eq!((report.result, report.attempts), (Err(Error::Inner("broken")), 1));
    assert_eq!(report.elapsed, Duration::ZERO);
}

#[apply(runtime_test)]
async fn four_billion_retries_end_when_it_goes_well(_: Runtime) {
    let tries = AtomicU32::new(0);
    let stack = retry(Retry::immediate().retries(u32::MAX));
    let call = stack
        .call(async |_| if tries.fetch_add(1, Ordering::Relaxed) < 100_000 { Err("broken") } else { Ok(()) });
    assert_eq!(call.await, Ok(()));
    assert_eq!(tries.into_inner(), 100_001);
}

/// Whatever the settings, the pauses are there, and none is over the cap.
#[apply(runtime_test)]
async fn backoffs_of_odd_numbers(runtime: Runtime) {
    let clock = runtime.clock();
    let mut made = 0;
    for base in TIMES {
        for cap in TIMES {
            for number in NUMBERS {
                let jitters = [
                    Jitter::None,
                    Jitter::Full,
                    Jitter::Equal,
                    Jitter::Proportional(number),
                    Jitter::Decorrelated,
                    Jitter::Smooth,
                ];
                for jitter in jitters {
                    for backoff in [
                        Backoff::constant(base).cap(cap).jitter(jitter),
                        Backoff::linear(base).step(cap).cap(cap).jitter(jitter),
                        Backoff::exponential(base).factor(number).cap(cap).jitter(jitter),
                        Backoff::decorrelated(base).factor(number).cap(cap),
                    ] {
                        let _ = backoff.to_string();
                        if backoff.check().is_err() {
                            continue;
                        }
                        made += 1;
                        let longest = Duration::from_nanos(u64::MAX);
                        assert!(cap.min(longest) >= base.min(longest), "{backoff:?}");
                        for delay in backoff.delays(clock).take(70) {
                            assert!(delay <= cap, "{backoff:?} gave {delay:?}");
                        }
                    }
                }
            }
        }
    }
    assert!(made > 100);
}

#[apply(runtime_test)]
async fn no_number_is_an_error_where_it_was_set(_: Runtime) {
    let ms_1 = ms(1);
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1.5, 1e300] {
        assert!(field(Breaker::failure_rate(number).build()).starts_with("breaker."), "{number}");
        assert!(field(Breaker::builder().slow_rate(number).build()).starts_with("breaker."), "{number}");
        let open = OpenFor::exponential(ms_1).jitter(number);
        assert!(field(Breaker::consecutive(1).open_for(open).build()).starts_with("breaker."), "{number}");
        let faults = Faults::<(), ()>::new().hang(number);
        assert!(Stack::builder().chaos(Chaos::always(faults)).build().is_err(), "{number}");
        let faults = Faults::<(), ()>::new().latency(number, Latency::Fixed(ms_1));
        assert!(Stack::builder().chaos(Chaos::always(faults)).build().is_err(), "{number}");
        let hedge = Hedge::after(ms_1).percentile(number, 10);
        assert!(Stack::builder().hedge(hedge).build().is_err(), "{number}");
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
        Budget::share(number).build().unwrap_err();
        Budget::in_flight(number).build().unwrap_err();
        Budget::throttling(10, number).build().unwrap_err();
    }
    for number in [f64::NAN, f64::INFINITY, 0.0, -1.0, 0.999] {
        let open = OpenFor::exponential(ms_1).factor(number);
        assert!(Breaker::consecutive(1).open_for(open).build().is_err(), "{number}");
    }
    for shape in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        let latency = Latency::LongTail { least: ms_1, most: ms(5), shape };
        let chaos = Chaos::always(Faults::<(), ()>::new().latency(0.5, latency));
        assert!(Stack::builder().chaos(chaos).build().is_err(), "{shape}");
    }
    let turned = Latency::LongTail { least: ms(5), most: ms_1, shape: 1.0 };
    for latency in [turned, Latency::Uniform(ms(5), ms_1)] {
        let chaos = Chaos::always(Faults::<(), ()>::new().latency(0.5, latency));
        assert!(Stack::builder().chaos(chaos).build().is_err());
    }
}

#[apply(runtime_test)]
async fn nothing_of_what_has_to_be_something(_: Runtime) {
    let zero = Duration::ZERO;
    assert!(Breaker::builder().build().is_err(), "no rule");
    assert!(Breaker::consecutive(0).build().is_err());
    assert!(Breaker::failure_rate(0.0).build().is_err());
    assert!(Breaker::failure_rate(0.5).window_of_calls(0).build().is_err());
    assert!(Breaker::failure_rate(0.5).window_of_time(zero, 1).build().is_err());
    assert!(Breaker::failure_rate(0.5).window_of_time(ms(1), 0).build().is_err());
    assert!(Breaker::builder().failures(0).build().is_err());
    assert!(Breaker::consecutive(1).probes(0).build().is_err());
    assert!(Breaker::consecutive(1).probes(256).build().is_err());
    assert!(Breaker::consecutive(1).probes(2).successes_needed(3).build().is_err());
    assert!(Breaker::consecutive(1).successes_needed(0).build().is_err());
    assert!(Budget::tokens(0).build().is_err());
    assert!(Budget::throttling(0, 0.1).build().is_err());
    assert!(Budget::share(0.1).time_to_live(zero).build().is_err());
    assert!(Cache::<u8, u8, ()>::new(0, CacheTerms::ttl(ms(1))).is_err());
    assert!(Cache::<u8, u8, ()>::new(1, CacheTerms::ttl(zero)).is_err());
    assert!(CacheSlot::<u8, ()>::new(CacheTerms::ttl(zero)).is_err());
    let none = Bulkhead::new(0);
    assert!(Stack::builder().bulkhead(&none).build().is_err());
    assert_eq!(none.try_enter().unwrap_err().reason(), Reason::BulkheadFull);
}

/// A window of four billion calls, or of as many buckets, is refused or costs no more than it is worth.
#[apply(runtime_test)]
async fn windows_of_everything(_: Runtime) {
    let time = ManualClock::new();
    let all = || Breaker::failure_rate(0.5).min_calls(1).clock(time.clock());
    for settings in [
        all().window_of_calls(u32::MAX),
        all().window_of_time(Duration::MAX, u32::MAX),
        all().window_of_time(Duration::MAX, 1),
        all().window_of_time(Duration::from_nanos(1), u32::MAX),
        all().window_of_time(Duration::from_nanos(1), 1),
        all().window_of_calls(1).min_calls(u32::MAX),
        all().open_for(Duration::MAX).lease(Duration::MAX).pace(Duration::MAX).slow_after(Duration::MAX),
        all().open_for(OpenFor::exponential(Duration::MAX).factor(f64::MAX).cap(Duration::MAX).jitter(1.0)),
        all().open_for(Duration::ZERO),
        all().lease(Duration::ZERO).pace(Duration::ZERO).slow_after(Duration::ZERO),
    ] {
        let Ok(breaker) = settings.build() else { continue };
        for _ in 0..5 {
            if let Ok(permit) = breaker.try_acquire() {
                permit.failure();
            }
            let _ = (breaker.ready_at(), breaker.stats(), breaker.snapshot());
            time.advance(Duration::from_secs(1));
        }
        breaker.reset();
        assert_eq!(breaker.state(), Circuit::Closed);
    }
}

#[apply(runtime_test)]
async fn a_circuit_that_is_open_for_ever_says_so(_: Runtime) {
    let time = ManualClock::new();
    let breaker = Breaker::consecutive(1).open_for(Duration::MAX).clock(time.clock()).build().unwrap();
    breaker.try_acquire().unwrap().failure();
    time.advance(Duration::from_secs(60 * 60 * 24 * 365 * 100));
    let refused = breaker.try_acquire().unwrap_err();
    assert_eq!(refused.reason(), Reason::CircuitOpen);
    assert!(refused.retry_after().is_none_or(|after| after > Duration::from_secs(60 * 60 * 24 * 365)));
}

/// The other side says to come again in ten thousand years.
#[apply(sim_test)]
async fn a_retry_after_of_centuries(runtime: Runtime) {
    let clock = runtime.clock();
    let centuries = Duration::from_secs(60 * 60 * 24 * 365 * 10_000);
    for asked in [centuries, Duration::MAX] {
        let judge = move |result: &Result<(), Error<&str>>| match result {
            Ok(()) => Class::Success,
            Err(_) => Class::After(asked),
        };
        // With a cap it is the cap; with a deadline it is not worth it; a breaker has a cap of its own.
        let capped = Retry::exponential(ms(1)).cap(ms(20)).retries(1).classify(judge);
        let stack = Stack::builder().clock(clock).retry(capped).build().unwrap();
        let began = clock.now();
        stack.call(async |_| Err::<(), _>("later")).await.unwrap_err();
        assert_eq!(clock.now() - began, ms(20));

        let patient = Retry::exponential(ms(1)).retries(1).classify(judge);
        let stack = Stack::builder().clock(clock).timeout(ms(100)).retry(patient).build().unwrap();
        let report = stack.call_reported(async |_| Err::<(), _>("later")).await;
        assert_eq!((report.result, report.attempts), (Err(Error::Inner("later")), 1));

        let breaker = Breaker::consecutive(1).open_for(ms(5)).heed_retry_after(ms(50)).clock(clock).build();
        let breaker = breaker.unwrap();
        let stack = Stack::builder().clock(clock).breaker(breaker.judging(judge)).build().unwrap();
        stack.call(async |_| Err::<(), _>("later")).await.unwrap_err();
        assert_eq!(breaker.ready_at(), Some(clock.now() + ms(50)));

        let hedged = Hedge::after(ms(1)).judging(judge);
        let stack = Stack::builder().clock(clock).timeout(ms(100)).hedge(hedged).build().unwrap();
        let result = stack.call(async |_| {
            yields(1).await;
            Err::<(), _>("later")
        });
        assert!(result.await.is_err());
    }
}

#[apply(sim_test)]
async fn hedges_of_odd_numbers(runtime: Runtime) {
    let clock = runtime.clock();
    for delay in TIMES {
        for most in [1, 2, u16::MAX] {
            let hedge = Hedge::after(delay).max(most).needs(Duration::MAX).period(Duration::from_nanos(1));
            let Ok(stack) = Stack::builder().clock(clock).timeout(ms(10)).hedge(hedge).build() else {
                continue;
            };
            let call = stack.call(async |_| {
                clock.sleep(ms(5)).await;
                Ok::<_, ()>(())
            });
            assert_eq!(call.await, Ok(()));
        }
    }
    // All at once, and all of them fail: four errors, of which the first counts.
    let begun = AtomicU32::new(0);
    let at_once = hedge(Hedge::after(Duration::ZERO).max(3));
    let all = at_once.call(async |at| {
        begun.fetch_add(1, Ordering::Relaxed);
        yields(2).await;
        Err::<(), _>(at.hedge())
    });
    assert_eq!(all.await, Err(Error::Inner(0)));
    assert_eq!(begun.into_inner(), 4);
    assert!(Stack::builder().hedge(Hedge::after(ms(1)).max(0)).build().is_err());
}

/// Numbers in a budget that are as large as they can be.
#[apply(runtime_test)]
async fn budgets_of_everything(_: Runtime) {
    let time = ManualClock::new();
    let budgets = [
        Budget::share(1_000.0).floor(u32::MAX).clock(time.clock()).build(),
        Budget::share(1_000.0).time_to_live(Duration::MAX).clock(time.clock()).build(),
        Budget::share(1_000.0).time_to_live(Duration::from_nanos(1)).clock(time.clock()).build(),
        Budget::share(0.0).floor(0).clock(time.clock()).build(),
        Budget::tokens(u32::MAX).reward(u32::MAX).build(),
        Budget::tokens(u32::MAX).cost(u32::MAX).timeout_cost(u32::MAX).build(),
        Budget::throttling(u32::MAX, 1_000.0).build(),
        Budget::throttling(1, f64::MIN_POSITIVE).build(),
        Budget::in_flight(1_000.0).at_least(u32::MAX).build(),
        Budget::in_flight(0.0).at_least(0).build(),
    ];
    for budget in budgets.into_iter().flatten() {
        for _ in 0..1_000 {
            budget.deposit();
            budget.failed();
            drop(budget.try_withdraw());
            if let Some(withdrawal) = budget.try_withdraw() {
                withdrawal.spend();
            }
            time.advance(Duration::from_secs(1_000_000));
            let _ = budget.stats();
        }
    }
}

#[apply(runtime_test)]
async fn answers_that_are_good_for_ever(_: Runtime) {
    let time = ManualClock::new();
    let terms = CacheTerms::ttl(Duration::MAX).stale_for(Duration::MAX).clock(time.clock());
    let cache = Cache::<u8, u8, ()>::new(usize::MAX, terms).unwrap();
    assert_eq!(cache.get(&1, async || Ok(7)).await, Ok(7));
    time.advance(Duration::from_secs(u32::MAX.into()));
    assert_eq!(cache.get(&1, async || Ok(8)).await, Ok(7));
    assert_eq!(cache.peek(&1), Some(7));
}

/// A clock that goes back, and one that is already at the end of time.
#[apply(runtime_test)]
async fn clocks_that_jump(_: Runtime) {
    let time = ManualClock::new();
    let start = time.clock().now();
    let later = start + Duration::from_secs(1_000);
    let breaker = Breaker::failure_rate(0.5)
        .window_of_time(ms(100), 10)
        .min_calls(1)
        .open_for(ms(100))
        .clock(time.clock())
        .build()
        .unwrap();
    let budget = Budget::share(0.5).clock(time.clock()).build().unwrap();
    let cache = Cache::<u8, Instant, ()>::new(4, CacheTerms::ttl(ms(10)).clock(time.clock())).unwrap();
    let retry = Retry::constant(ms(10)).retries(2).budget(&budget);
    let stack = Stack::builder().clock(time.clock()).timeout(ms(50)).retry(retry).breaker(&breaker).build();
    let stack = stack.unwrap();
    for at in [later, start, later, start] {
        time.set(at);
        let _ = breaker.stats();
        let permit = breaker.try_acquire();
        time.set(start);
        let _ = permit.map(|permit| permit.failure());
        let _ = (breaker.ready_at(), breaker.stats(), breaker.snapshot(), budget.stats(), stack.stats());
        cache.insert(1, at);
        let _ = (cache.peek(&1), cache.stats());
        let _ = stack.call(async |_| Ok::<_, ()>(())).await;
    }
    time.set(later + Duration::from_secs(1_000));
    assert_eq!(stack.call(async |_| Ok::<_, ()>(())).await, Ok(()));
}

/// What was kept over a restart was kept by somebody else: any numbers may be in it.
#[apply(runtime_test)]
async fn snapshots_of_odd_numbers(_: Runtime) {
    let time = ManualClock::new();
    let all = || Breaker::failure_rate(0.5).min_calls(2).clock(time.clock()).open_for(ms(10));
    for settings in [all(), all().window_of_calls(3).min_calls(1), all().window_of_time(ms(10), 3)] {
        for circuit in [
            Circuit::Closed,
            Circuit::Open,
            Circuit::HalfOpen,
            Circuit::ForcedOpen,
            Circuit::Disabled,
            Circuit::MetricsOnly,
        ] {
            for number in [0, 1, u32::MAX] {
                let breaker = settings.clone().build().unwrap();
                let mut kept = breaker.snapshot();
                kept.circuit = circuit;
                kept.opens_in = (number != 1).then_some(Duration::from_nanos(number.into()));
                kept.trips = number;
                kept.openings = if number == u32::MAX { u64::MAX } else { number.into() };
                kept.consecutive_failures = number;
                kept.counts.calls = number.into();
                kept.counts.failures = u64::MAX;
                kept.counts.slow = u64::MAX - 1;
                breaker.restore(&kept);
                let counts = breaker.stats().counts;
                assert!(counts.failures <= counts.calls && counts.slow <= counts.calls, "{counts:?}");
                // Nobody knows what became of the probes: the next call is one.
                let is_half = circuit == Circuit::HalfOpen;
                assert_eq!(breaker.state(), if is_half { Circuit::Open } else { circuit });
                for _ in 0..5 {
                    let _ = breaker.try_acquire().map(|permit| permit.failure());
                    time.advance(ms(11));
                }
                let _ = (breaker.snapshot(), breaker.stats(), breaker.ready_at());
                breaker.reset();
                assert_eq!(breaker.try_acquire().unwrap().success(), Recorded::Counted);
            }
        }
    }
}

#[apply(runtime_test)]
async fn scripts_of_odd_phases(_: Runtime) {
    let time = ManualClock::new();
    let faults = || Faults::<u8, u8>::new().error(1.0, || 7);
    let script = Chaos::<u8, u8>::script;
    for chaos in [
        script(),
        script().repeated(),
        script().phase(Duration::ZERO, faults()),
        script().phase(Duration::ZERO, faults()).repeated(),
        script().phase(Duration::MAX, faults()).phase(Duration::MAX, faults()),
        script().phase(Duration::MAX, faults()).phase(Duration::MAX, faults()).repeated(),
        script().phase(Duration::from_nanos(1), faults()).repeated(),
        script().phase(ms(1), faults()).starting_at(time.clock().now() + Duration::from_secs(9)),
        Chaos::always(Faults::new().cancel(1.0, u32::MAX, || 7)),
        Chaos::always(Faults::new().latency(1.0, Latency::Exponential(Duration::ZERO))),
        Chaos::always(Faults::new().latency(1.0, Latency::Uniform(Duration::ZERO, Duration::ZERO))),
    ] {
        let stack = Stack::builder().clock(time.clock()).chaos(chaos.enabled(true)).build();
        let Ok(stack) = stack else { continue };
        for _ in 0..3 {
            let ended = stack.call(async |_| Ok(1)).now_or_never();
            assert!(matches!(ended, None | Some(Ok(1) | Err(Error::Inner(7)))));
            time.advance(Duration::from_secs(1_000_000_000));
        }
    }
}

#[apply(runtime_test)]
async fn places_costs_and_keys_of_odd_numbers(_: Runtime) {
    let huge = Bulkhead::new(u64::MAX).queue(usize::MAX).wait_at_most(Duration::MAX);
    let stack = Stack::builder().bulkhead(&huge).build().unwrap();
    assert_eq!(stack.call(async |_| Ok::<_, ()>(1)).await, Ok(1));
    for places in [0, 1, u64::MAX, 0] {
        huge.set_places(places);
        assert_eq!(huge.try_enter().is_ok(), places > 0);
        assert_eq!(huge.stats().taken, 0);
    }
    let none = Bulkhead::new(1).queue(4).wait_at_most(Duration::ZERO);
    if let Ok(stack) = Stack::builder().bulkhead(&none).build() {
        let held = none.try_enter().unwrap();
        assert!(stack.call(async |_| Ok::<_, ()>(1)).await.is_err());
        drop(held);
        assert_eq!((none.stats().taken, none.stats().waiting), (0, 0));
    }
    let semaphore = Semaphore::new(3);
    for cost in [0, 1, 4, u64::MAX] {
        let Ok(stack) = Stack::builder().policy(Limited::new(&semaphore).cost(cost)).build() else {
            continue;
        };
        let ended = stack.call(async |_| Ok::<_, ()>(1)).await;
        match cost {
            0 | 1 => assert_eq!(ended, Ok(1)),
            _ => assert_eq!(ended.unwrap_err().rejected(), Some(Reason::TooLarge)),
        }
        assert_eq!(semaphore.available(), 3);
    }
    let settings = || Breaker::consecutive(1).clock(ManualClock::new().clock());
    assert!(Breakers::<u8>::builder(settings()).max_keys(0).build().is_err());
    assert!(Breakers::<u8>::builder(Breaker::consecutive(0)).build().is_err());
    for idle in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let Ok(breakers) = Breakers::<u8>::builder(settings()).max_keys(usize::MAX).idle_for(idle).build()
        else {
            continue;
        };
        for key in 0..100 {
            breakers.get(&key);
            breakers.sweep();
        }
        assert!(breakers.stats().keys <= 100);
    }
}

/// How a retry waits for an answer that it is asked to wait for, and the attempt's own numbers at their ends.
#[apply(runtime_test)]
async fn attempts_of_odd_numbers(runtime: Runtime) {
    let clock = runtime.clock();
    let attempt = Attempt::first().within(Duration::MAX).within(ms(1)).numbered(u32::MAX).numbered(u32::MAX);
    assert!(attempt.remaining().is_some_and(|left| left <= ms(1)));
    assert!(attempt.deadline(clock).is_some());
    assert_eq!(attempt.amplification(), u32::MAX);
    assert!(attempt.within(Duration::ZERO).remaining().is_some_and(|left| left.is_zero()));
    let past = Attempt::first().by(Instant::from_nanos(0));
    assert_eq!(past.deadline(clock), Some(Instant::from_nanos(0)));
    let _ = (Attempt::first().numbered(0).amplification(), format!("{attempt:?}"));
    let stack = Stack::builder().clock(clock).deadline().retry(Retry::immediate()).build().unwrap();
    let late = stack.call(async |_| Ok::<_, ()>(1)).by(Instant::from_nanos(0)).await;
    assert!(late.is_err() || clock.now() == Instant::from_nanos(0));
    let once = Stack::builder().clock(clock).deadline().build().unwrap();
    let late = once.call_once(async { Ok::<_, ()>(1) }).by(Instant::from_nanos(0)).await;
    assert!(late.is_err() || clock.now() == Instant::from_nanos(0));
}
