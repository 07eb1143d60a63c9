//! Values that many share, used as nobody should: all at once, by several runtimes and clocks, changed while
//! calls run.

use std::collections::HashSet;
use std::future::{pending, ready};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use std::task::{Poll, ready};
use weirs_limiters::{Quota, Rate, RateLimiter, Semaphore};
use weirs_resilience::{
    Attempt, Breaker, Budget, Bulkhead, Cache, CacheSlot, CacheTerms, Chaos, Circuit, Error, Faults, Hedge,
    Inner, Latency, Part, Plan, Policy, Reason, Recorded, Retry, Role, Scene, Stack, Turn, from_async,
};
use weirs_runtime::{Clock, Runtime, block_on};
use weirs_testing::{ManualClock, apply, runtime_test, sim_test, yields};

const MANY: usize = 100_000;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_hundred_thousand_at_once_through_one_bulkhead() {
    let bulkhead = Bulkhead::new(100).queue(MANY);
    let stack = Stack::builder().counted().bulkhead(&bulkhead).build().unwrap();
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let calls = (0..MANY).map(|_| {
        stack.call(async |_| {
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            yields(1).await;
            running.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, ()>(())
        })
    });
    assert!(block_on(join_all(calls)).iter().all(Result::is_ok));
    assert_eq!((most.into_inner(), bulkhead.stats().taken, bulkhead.stats().waiting), (100, 0, 0));
    // Dropped while they wait.
    let full: Vec<_> = (0..100).map(|_| bulkhead.try_enter().unwrap()).collect();
    let mut calls: Vec<_> = (0..MANY).map(|_| Box::pin(stack.call(async |_| Ok::<_, ()>(())))).collect();
    assert!(calls.iter_mut().all(|call| call.now_or_never().is_none()));
    assert_eq!(bulkhead.stats().waiting, MANY);
    drop(calls);
    drop(full);
    assert_eq!((bulkhead.stats().taken, bulkhead.stats().waiting), (0, 0));
}

#[test]
fn a_hundred_thousand_at_once_for_one_key() {
    let cache = Cache::<u8, u8, u8>::new(10, CacheTerms::ttl(Duration::from_secs(9)).share_errors()).unwrap();
    let calls = AtomicUsize::new(0);
    let get = |result: Result<u8, u8>| {
        let calls = &calls;
        cache.get(&1, move || async move {
            calls.fetch_add(1, Ordering::Relaxed);
            yields(2).await;
            result.map_err(Error::Inner)
        })
    };
    let failed = block_on(join_all((0..MANY).map(|_| get(Err(3)))));
    assert!(failed.iter().all(|end| *end == Err(Error::Inner(3))));
    let well = block_on(join_all((0..MANY).map(|_| get(Ok(4)))));
    assert!(well.iter().all(|end| *end == Ok(4)));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let stats = cache.stats();
    assert_eq!((stats.misses + stats.hits + stats.coalesced) as usize, 2 * MANY, "{stats:?}");
}

#[test]
fn a_hundred_thousand_at_once_through_one_breaker() {
    let time = ManualClock::new();
    let breaker = Breaker::consecutive(50).open_for(ms(10)).probes(7).clock(time.clock()).build().unwrap();
    let begun = AtomicUsize::new(0);
    let all = |ends: bool| {
        begun.store(0, Ordering::Relaxed);
        let (breaker, begun) = (&breaker, &begun);
        let calls = (0..MANY).map(|_| {
            breaker.call(async move {
                begun.fetch_add(1, Ordering::Relaxed);
                yields(1).await;
                if ends { Ok(()) } else { Err(()) }
            })
        });
        block_on(join_all(calls)).iter().filter(|end| matches!(end, Err(Error::Rejected(_)))).count()
    };
    assert_eq!(all(false), 0);
    let stats = breaker.stats();
    assert_eq!((stats.circuit, stats.openings, stats.stale as usize), (Circuit::Open, 1, MANY - 50));
    time.advance(ms(10));
    assert_eq!((all(false), begun.load(Ordering::Relaxed)), (MANY - 7, 7));
    time.advance(ms(10));
    assert_eq!((all(true), begun.load(Ordering::Relaxed)), (MANY - 7, 7));
    assert_eq!((breaker.state(), all(true)), (Circuit::Closed, 0));
}

/// Two runtimes in two threads, each with its own clock, share everything that can be shared.
#[test]
fn two_runtimes_share_a_breaker_a_cache_and_a_bulkhead() {
    let breaker = Breaker::consecutive(1_000_000).build().unwrap();
    let slot = CacheSlot::<usize, &str>::new(CacheTerms::ttl(Duration::from_nanos(1))).unwrap();
    let bulkhead = Bulkhead::new(3).queue(1_000);
    let budget = Budget::in_flight(0.5).build().unwrap();
    let running = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let clock = Clock::default();
                let stack = Stack::builder()
                    .clock(&clock)
                    .cache(&slot)
                    .retry(Retry::immediate().retries(2).budget(&budget))
                    .hedge(Hedge::after(ms(1)).budget(&budget))
                    .breaker(&breaker)
                    .bulkhead(&bulkhead)
                    .build()
                    .unwrap();
                for round in 0..300 {
                    let calls = (0..4).map(|_| {
                        stack.call(async |_| {
                            assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                            yields(1 + round % 3).await;
                            running.fetch_sub(1, Ordering::SeqCst);
                            if round % 5 == 0 { Err("broken") } else { Ok(round) }
                        })
                    });
                    let _ = block_on(join_all(calls));
                }
            });
        }
    });
    assert_eq!((bulkhead.stats().taken, budget.stats().running), (0, 0));
    assert_eq!(breaker.state(), Circuit::Closed);
}

/// A stack's clock is far ahead of the breaker's; neither sees the other's time.
#[apply(runtime_test)]
async fn a_breaker_among_stacks_of_other_clocks(_: Runtime) {
    let (own, ahead) = (ManualClock::new(), ManualClock::new());
    ahead.advance(Duration::from_secs(1_000_000));
    let breaker = Breaker::consecutive(1).open_for(ms(10)).clock(own.clock()).build().unwrap();
    let retry = Retry::immediate().wait_for_ready();
    let here = Stack::builder().clock(own.clock()).breaker(&breaker).build().unwrap();
    let there = Stack::builder().clock(ahead.clock()).retry(retry).breaker(&breaker).build().unwrap();
    here.call(async |_| Err::<(), _>(())).await.unwrap_err();
    assert_eq!(here.call(async |_| Ok::<_, ()>(())).await.unwrap_err().retry_after(), Some(ms(10)));
    ahead.advance(Duration::from_secs(1_000));
    assert!(breaker.try_acquire().is_err());
    own.advance(ms(10));
    assert_eq!(there.call(async |_| Ok::<_, ()>(())).await, Ok(()));
}

#[apply(runtime_test)]
async fn forced_restored_and_configured_while_calls_run(_: Runtime) {
    let time = ManualClock::new();
    let settings = || Breaker::failure_rate(0.5).min_calls(2).open_for(ms(10)).probes(2).clock(time.clock());
    let changes: [fn(&Breaker); 7] = [
        |breaker| breaker.force_open("by hand"),
        Breaker::disable,
        Breaker::metrics_only,
        Breaker::reset,
        |breaker| breaker.restore(&breaker.snapshot()),
        |breaker| breaker.reconfigure(Breaker::consecutive(3).probes(1)).unwrap(),
        |breaker| assert!(breaker.reconfigure(Breaker::consecutive(0)).is_err()),
    ];
    for change in changes {
        for half_open in [false, true] {
            let breaker = settings().build().unwrap();
            if half_open {
                for _ in 0..2 {
                    breaker.try_acquire().unwrap().failure();
                }
                time.advance(ms(10));
            }
            let running: Vec<_> = (0..2).map(|_| breaker.try_acquire_owned().unwrap()).collect();
            assert_eq!(running[0].is_probe(), half_open);
            change(&breaker);
            let mut running = running.into_iter();
            running.next().unwrap().failure();
            drop(running);
            // Whatever was done: by hand it closes, and goes on counting from nothing.
            breaker.reset();
            assert_eq!(breaker.stats().counts.calls, 0);
            assert_eq!(breaker.try_acquire().unwrap().success(), Recorded::Counted);
            assert_eq!(breaker.state(), Circuit::Closed);
        }
    }
}

/// A snapshot that is restored gives the same snapshot, in each state.
#[apply(runtime_test)]
async fn a_snapshot_goes_round(_: Runtime) {
    let time = ManualClock::new();
    let settings = || Breaker::failure_rate(0.5).min_calls(4).open_for(ms(10)).clock(time.clock());
    let steps: [fn(&Breaker, &ManualClock); 6] = [
        |breaker, _| assert_eq!(breaker.try_acquire().unwrap().failure(), Recorded::Counted),
        |breaker, _| {
            while breaker.state() == Circuit::Closed {
                breaker.try_acquire().unwrap().failure();
            }
        },
        |_, time| time.advance(ms(4)),
        |breaker, _| breaker.force_open("the weather"),
        |breaker, _| breaker.disable(),
        |breaker, _| breaker.metrics_only(),
    ];
    let breaker = settings().build().unwrap();
    for step in steps {
        step(&breaker, &time);
        let kept = breaker.snapshot();
        let other = settings().build().unwrap();
        other.restore(&kept);
        assert_eq!(other.snapshot(), kept);
        assert_eq!(other.state(), breaker.state());
        assert_eq!(other.forced_because(), breaker.forced_because());
        assert_eq!(other.ready_at(), breaker.ready_at());
    }
}

/// Probes that are slow, dropped, forgotten and refused further in, in any order: there are never more than
/// allowed at once, and in the end the circuit closes.
#[apply(sim_test)]
async fn probes_of_all_kinds(runtime: Runtime) {
    let clock = runtime.clock();
    let most = 1 + clock.random_below(4) as usize;
    let breaker = Breaker::consecutive(1)
        .open_for(ms(10))
        .probes(most as u32)
        .slow_after(ms(3))
        .slow_rate(0.5)
        .lease(ms(20))
        .clock(clock)
        .build()
        .unwrap();
    breaker.try_acquire().unwrap().failure();
    let mut held: Vec<(u64, u32, _)> = Vec::new();
    for _ in 0..300 {
        clock.sleep(ms(clock.random_below(4))).await;
        let now = clock.now().as_nanos();
        if let Ok(permit) = breaker.try_acquire() {
            held.push((now, permit.generation(), permit));
        }
        let generation = breaker.stats().generation;
        let probes = held.iter().filter(|(_, of, permit)| permit.is_probe() && *of == generation).count();
        assert!(breaker.state() != Circuit::HalfOpen || probes <= most);
        if clock.random_below(2) == 0 && !held.is_empty() {
            let (_, _, permit) = held.swap_remove(clock.random_below(held.len() as u64) as usize);
            match clock.random_below(6) {
                0 => drop(permit.failure()),
                1 => drop(permit.success()),
                2 => drop(permit.ignore()),
                3 => drop(permit),
                4 => std::mem::forget(permit),
                _ => drop(permit.record(weirs_resilience::Class::Success, ms(4))),
            }
        }
    }
    drop(held);
    for _ in 0..20 {
        clock.sleep(ms(700)).await;
        if let Ok(permit) = breaker.try_acquire() {
            permit.success();
        }
    }
    assert_eq!(breaker.state(), Circuit::Closed);
}

/// Retries and hedges of several stacks never begin more attempts than their budget has, in any order.
#[apply(sim_test)]
async fn a_budget_that_all_share_is_never_overdrawn(runtime: Runtime) {
    let clock = runtime.clock();
    let time = ManualClock::new();
    let percent = clock.random_below(100);
    let floor = clock.random_below(4);
    let budget =
        Budget::share(percent as f64 / 100.0).floor(floor as u32).clock(time.clock()).build().unwrap();
    let at_most = 1 + clock.random_below(3) as u32;
    let in_flight = Budget::in_flight(0.0).at_least(at_most).build().unwrap();
    let extra = AtomicU64::new(0);
    let (beside, beside_most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let calls = 40;
    let retries = |budget: &Budget| Retry::constant(ms(2)).retries(3).budget(budget);
    let hedges = |budget: &Budget| Hedge::after(ms(1)).max(3).budget(budget);
    let shared = |budget: &Budget| {
        let both =
            Stack::builder().clock(clock).retry(retries(budget)).hedge(hedges(budget)).build().unwrap();
        let other =
            Stack::builder().clock(clock).hedge(hedges(budget)).retry(retries(budget)).build().unwrap();
        (both, other)
    };
    let run = async |budget: &Budget| {
        let (both, other) = shared(budget);
        let work = async |at: Attempt| {
            let is_first = at.number() == 1 && at.hedge() == 0;
            if !is_first {
                extra.fetch_add(1, Ordering::Relaxed);
                beside_most.fetch_max(beside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
            let _guard = scopeguard(|| {
                if !is_first {
                    beside.fetch_sub(1, Ordering::Relaxed);
                }
            });
            clock.sleep(ms(clock.random_below(5))).await;
            if clock.random_below(2) == 0 { Ok(()) } else { Err(()) }
        };
        let calls = (0..calls).map(|number| {
            let (both, other, work) = (&both, &other, &work);
            async move {
                clock.sleep(ms(clock.random_below(20))).await;
                // Some are dropped in the middle.
                let limit = ms(1 + clock.random_below(30));
                let _ = match number % 2 {
                    0 => clock.timeout(limit, both.call(work)).await.is_ok(),
                    _ => clock.timeout(limit, other.call(work)).await.is_ok(),
                };
            }
        });
        join_all(calls).await;
    };
    run(&budget).await;
    let allowed = (calls * percent).div_ceil(100) + floor;
    assert!(extra.load(Ordering::Relaxed) <= allowed, "{extra:?} of {allowed}, {percent} percent");
    beside_most.store(0, Ordering::Relaxed);
    run(&in_flight).await;
    assert!(beside_most.into_inner() <= at_most as usize);
    assert_eq!(in_flight.stats().running, 0);
}

struct Guard<F: FnMut()>(F);

impl<F: FnMut()> Drop for Guard<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn scopeguard<F: FnMut()>(end: F) -> Guard<F> {
    Guard(end)
}

#[apply(runtime_test)]
async fn limiters_that_are_closed_in_the_middle(_: Runtime) {
    let semaphore = Arc::new(Semaphore::new(1));
    let rate = Arc::new(RateLimiter::new(Quota::new(Rate::per_second(1), 1).unwrap()));
    let bulkhead = Arc::new(Bulkhead::new(1).queue(5));
    let stack = Stack::builder().rate_limit(&rate).limit(&semaphore).bulkhead(&bulkhead).build().unwrap();
    let mut first = Box::pin(stack.call(async |_| {
        yields(1).await;
        Ok::<_, ()>(1)
    }));
    assert!(first.as_mut().now_or_never().is_none());
    let alone = Stack::builder().bulkhead(&bulkhead).build().unwrap();
    let mut second = Box::pin(alone.call(async |_| Ok::<_, ()>(2)));
    assert!(second.as_mut().now_or_never().is_none());
    rate.close();
    semaphore.close();
    bulkhead.close();
    // Who runs may end; who waits or comes is told.
    assert_eq!(first.await, Ok(1));
    assert_eq!(second.await.unwrap_err().rejected(), Some(Reason::Closed));
    let late = stack.call(async |_| Ok::<_, ()>(3)).await;
    assert_eq!(late.unwrap_err().rejected(), Some(Reason::Closed));
    assert_eq!(bulkhead.stats().taken, 0);
}

/// Leaders that are dropped, panic and fail, with followers that are dropped too: every one who is left has
/// an answer or an error of their own, and no two call at the same time.
#[apply(sim_test)]
async fn leaders_of_all_kinds(runtime: Runtime) {
    let clock = runtime.clock();
    let time = ManualClock::new();
    let cache = Cache::<u64, u64, u64>::new(2, CacheTerms::ttl(ms(3)).clock(time.clock())).unwrap();
    let running = Mutex::new(HashSet::new());
    let calls = (0..40).map(|number| {
        let (cache, running, time) = (&cache, &running, &time);
        let key = clock.random_below(3);
        async move {
            clock.sleep(ms(clock.random_below(10))).await;
            time.advance(ms(clock.random_below(2)));
            let get = cache.get(&key, || async move {
                assert!(running.lock().unwrap().insert(key), "two call for {key} at the same time");
                let _guard = scopeguard(|| {
                    running.lock().unwrap().remove(&key);
                });
                clock.sleep(ms(clock.random_below(5))).await;
                match clock.random_below(4) {
                    0 => Err(Error::Inner(number)),
                    1 => panic!("a leader"),
                    2 => pending().await,
                    _ => Ok(key),
                }
            });
            let ended = AssertUnwindSafe(clock.timeout(ms(1 + clock.random_below(12)), get)).catch_unwind();
            match ended.await {
                Ok(Ok(Ok(value))) => assert_eq!(value, key),
                Ok(Ok(Err(error))) => assert_eq!(error, Error::Inner(number), "an error of somebody else"),
                Ok(Err(_)) | Err(_) => {}
            }
        }
    });
    join_all(calls).await;
    for key in 0..3 {
        time.advance(ms(5));
        assert_eq!(cache.get(&key, || ready(Ok(key + 7))).now_or_never(), Some(Ok(key + 7)));
    }
}

/// Chaos with all faults at once under all policies at once; nothing stays taken.
#[apply(sim_test)]
async fn everything_goes_wrong_at_once(runtime: Runtime) {
    let clock = runtime.clock();
    let faults = Faults::new()
        .latency(0.2, Latency::Exponential(ms(3)))
        .error(0.1, || "down")
        .hang(0.05)
        .panic(0.05)
        .cancel(0.1, 1, || "cancelled")
        .lost_answer(0.1, || "lost")
        .outcome(0.05, || Ok(7));
    let chaos = Chaos::always(faults).seed(clock.random_u64()).enabled(true);
    let switch = chaos.switch();
    let breaker = Breaker::failure_rate(0.9).open_for(ms(5)).slow_after(ms(50)).clock(clock).build().unwrap();
    let bulkhead = Bulkhead::new(5).queue(10).wait_at_most(ms(10));
    let budget = Budget::in_flight(1.0).build().unwrap();
    let semaphore = Semaphore::new(6);
    let slot = CacheSlot::new(CacheTerms::ttl(Duration::from_nanos(1)).clock(clock)).unwrap();
    let stack = Stack::builder()
        .clock(clock)
        .counted()
        .fallback(|error: &Error<&str>| error.is_timeout().then_some(0))
        .cache(&slot)
        .timeout(ms(60))
        .retry(Retry::exponential(ms(1)).retries(2).budget(&budget))
        .hedge(Hedge::after(ms(8)).budget(&budget))
        .limit(&semaphore)
        .breaker(&breaker)
        .bulkhead(&bulkhead)
        .timeout(ms(20))
        .policy(from_async(async |mut next, at| next.run(at).await))
        .chaos(chaos)
        .build()
        .unwrap();
    let calls = (0..500).map(|_| {
        let stack = &stack;
        async move {
            clock.sleep(ms(clock.random_below(300))).await;
            let call = stack.call(async |_| {
                clock.sleep(ms(clock.random_below(10))).await;
                Ok(1)
            });
            let call = AssertUnwindSafe(clock.timeout(ms(1 + clock.random_below(100)), call)).catch_unwind();
            let _ = call.await;
        }
    });
    join_all(calls).await;
    let calls = stack.stats().calls.unwrap();
    assert_eq!(calls.begun, calls.succeeded + calls.failed + calls.dropped);
    assert_eq!((calls.begun, calls.in_flight()), (500, 0));
    assert_eq!((bulkhead.stats().taken, bulkhead.stats().waiting), (0, 0));
    assert_eq!((budget.stats().running, semaphore.available()), (0, 6));
    let (made, told) = (switch.stats(), stack.stats());
    let made =
        made.delays + made.errors + made.outcomes + made.hangs + made.panics + made.cancelled + made.lost;
    assert_eq!(told.faults, made);
    assert_eq!(told.hedges_won.min(told.hedges), told.hedges_won);
    switch.disable();
    breaker.reset();
    clock.sleep(ms(1)).await;
    assert_eq!(stack.call(async |_| Ok(9)).await, Ok(9));
}

/// A policy that breaks every rule: it polls inside after it was ready, never cancels, holds on, and begins
/// lanes that it forgets. Whatever stands further out loses nothing by it.
#[apply(runtime_test)]
async fn a_policy_that_breaks_the_rules(_: Runtime) {
    struct Rude;
    impl Part for Rude {
        fn explain(&self, plan: &mut Plan) {
            plan.part(Role::Other, "rude");
        }
    }
    impl Policy<u32, &'static str> for Rude {
        type State = u32;
        fn begin(&self) -> u32 {
            0
        }
        fn poll_call<I: Inner<u32, &'static str> + ?Sized>(
            &self,
            state: &mut u32,
            turn: &mut Turn<'_, '_>,
            at: Attempt,
            inner: &mut I,
        ) -> Poll<Result<u32, Error<&'static str>>> {
            *state += 1;
            inner.cancel(turn.scene(), at.lane());
            for hedge in 1..4 {
                let lane = turn.new_lane();
                let _ = inner.poll(turn, at.hedged(hedge, lane));
            }
            let _ = inner.poll(turn, at.numbered(*state));
            let result = ready!(inner.poll(turn, at));
            let _ = inner.poll(turn, at);
            Poll::Ready(result)
        }
        fn abandon(&self, _: &mut u32, _: Scene<'_>) {}
    }
    let outer = Arc::new(Bulkhead::new(2));
    let inner = Arc::new(Bulkhead::new(8));
    let breaker = Breaker::consecutive(1_000).build().unwrap();
    let typed = Stack::builder().bulkhead(&outer).policy(Rude).breaker(&breaker).bulkhead(&inner).build();
    let typed = typed.unwrap();
    let dynamic = Stack::dynamic().layer(|stack| stack.bulkhead(outer.clone())).policy(Rude);
    let dynamic = dynamic.layer(|stack| stack.breaker(&breaker).bulkhead(inner.clone())).build().unwrap();
    for waits in 0..3 {
        let work = async |_| {
            yields(waits).await;
            Ok(waits as u32)
        };
        let (first, second) = (typed.call(work), dynamic.call(work));
        let (mut first, mut second) = (Box::pin(first), Box::pin(second));
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| first.as_mut().now_or_never()));
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| second.as_mut().now_or_never()));
        drop((first, second));
        assert_eq!(outer.stats().taken, 0, "{waits}");
    }
}
