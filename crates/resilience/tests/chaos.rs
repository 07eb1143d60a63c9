//! The promises of faults on purpose.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use weirs_resilience::{Attempt, Budget, Chaos, ChaosSwitch, Error, Faults, Hedge, Latency, Retry, Stack};
use weirs_runtime::{Clock, Runtime, block_on};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Script = Chaos<u32, &'static str>;

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let chaos = Script::always(Faults::new().error(1.0, || "on purpose"));
    let switch = chaos.switch();
    let stack = Stack::builder().clock(runtime.clock()).chaos(chaos).build().unwrap();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
    switch.enable();
    assert_eq!(stack.call(async |_| Ok(1)).await, Err(Error::Inner("on purpose")));
    assert_eq!(stack.call_once(async { Ok(1) }).await, Err(Error::Inner("on purpose")));
    switch.disable();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
    assert_eq!(switch.stats().errors, 2);
}

/// What becomes of a thousand attempts.
fn fates(seed: u64) -> Vec<Result<u32, Error<&'static str>>> {
    let faults = Faults::new()
        .error(0.1, || "error")
        .outcome(0.2, || Ok(7))
        .lost_answer(0.3, || "lost")
        .cancel(0.05, 0, || "cut");
    let stack = Stack::builder().chaos(Script::always(faults).seed(seed).enabled(true)).build().unwrap();
    (0..1_000).map(|_| block_on(stack.call(async |_| Ok(1)))).collect()
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    assert_eq!(fates(17), fates(17));
    assert_ne!(fates(17), fates(18));
}

#[test]
fn an_attempts_fault_does_not_hang_on_those_before_it() {
    let run = |first: Faults<u32, &'static str>| {
        let chaos = Script::script().phase(ms(10), first).phase(ms(10), Faults::new().error(0.5, || "error"));
        let time = weirs_testing::ManualClock::new();
        let stack = Stack::builder().clock(time.clock()).chaos(chaos.seed(3).enabled(true)).build().unwrap();
        let call = || block_on(stack.call(async |_| Ok(1)));
        (0..10).for_each(|_| drop(call()));
        time.advance(ms(10));
        (0..100).map(|_| call()).collect::<Vec<_>>()
    };
    assert_eq!(run(Faults::new()), run(Faults::new().error(0.3, || "other").outcome(0.2, || Ok(2))));
}

#[test]
fn shares_are_what_was_said() {
    // Five standard deviations: a right one fails for one seed in two million.
    let within = |count: usize, share: f64, of: usize| {
        let (of, count) = (of as f64, count as f64);
        (count - share * of).abs() <= 5.0 * (of * share * (1.0 - share)).sqrt()
    };
    for seed in 0..40 {
        let fates = fates(seed);
        let count = |fate: Result<u32, &'static str>| {
            fates.iter().filter(|got| **got == fate.map_err(Error::Inner)).count()
        };
        assert!(within(count(Err("error")), 0.1, 1_000), "{seed}");
        assert!(within(count(Ok(7)), 0.2, 1_000), "{seed}");
        assert!(within(count(Err("lost")), 0.3, 1_000), "{seed}");
        assert!(within(count(Err("cut")), 0.05, 1_000), "{seed}");
    }
    let always = Script::always(Faults::new().error(1.0, || "error")).enabled(true);
    let never = Script::always(Faults::new().error(0.0, || "error")).enabled(true);
    let (always, never) = (Stack::builder().chaos(always), Stack::builder().chaos(never));
    let (always, never) = (always.build().unwrap(), never.build().unwrap());
    for _ in 0..1_000 {
        assert!(block_on(always.call(async |_| Ok(1))).is_err());
        assert!(block_on(never.call(async |_| Ok(1))).is_ok());
    }
}

#[apply(sim_test)]
async fn a_script_goes_by_time(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let outage = || Faults::new().error(1.0, || "down");
    let brown_out = || Faults::new().latency(1.0, Latency::Fixed(ms(3)));
    let script =
        || Script::script().phase(ms(10), Faults::new()).phase(ms(20), outage()).phase(ms(30), brown_out());
    for repeats in [false, true] {
        let chaos = if repeats { script().repeated() } else { script() };
        let start = clock.now() + ms(1);
        let chaos = chaos.starting_at(start).enabled(true);
        let stack = Stack::builder().clock(&clock).chaos(chaos).build().unwrap();
        let at = async |millis: u64| {
            clock.sleep_until(start + ms(millis)).await;
            let result = stack.call(async |_| Ok(1)).await;
            (result.is_ok(), clock.now() - start - ms(millis))
        };
        assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
        assert_eq!(at(0).await, (true, ms(0)));
        assert_eq!(at(10).await, (false, ms(0)));
        assert_eq!(at(29).await, (false, ms(0)));
        assert_eq!(at(30).await, (true, ms(3)));
        assert_eq!(at(59).await, (true, ms(3)));
        assert_eq!(at(75).await, (!repeats, ms(0)));
    }
    // Without a start it begins with the first attempt, and anew when that is asked for.
    let switch = ChaosSwitch::new();
    let stack = Stack::builder().clock(&clock).chaos(script().switched_by(&switch)).build().unwrap();
    clock.sleep(ms(100)).await;
    switch.enable();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
    clock.sleep(ms(10)).await;
    assert!(stack.call(async |_| Ok(1)).await.is_err());
    switch.restart();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
}

#[apply(sim_test)]
async fn what_hangs_is_ended_by_a_timeout(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let chaos = Script::always(Faults::new().hang(1.0)).enabled(true);
    let switch = chaos.switch();
    let stack = Stack::builder().clock(&clock).timeout(ms(5)).chaos(chaos).build().unwrap();
    let start = clock.now();
    assert!(stack.call(async |_| Ok(1)).await.unwrap_err().is_timeout());
    assert_eq!((clock.now() - start, switch.stats().hangs), (ms(5), 1));
}

#[apply(runtime_test)]
async fn work_is_dropped_at_the_poll_that_was_said(runtime: Runtime) {
    let inside = InFlight::new();
    for polls in 0..4 {
        let chaos = Script::always(Faults::new().cancel(1.0, polls, || "cut")).enabled(true);
        let stack = Stack::builder().clock(runtime.clock()).chaos(chaos).build().unwrap();
        let passed = AtomicUsize::new(0);
        let result = stack
            .call(async |_| {
                let _inside = inside.enter();
                for _ in 0..2 {
                    passed.fetch_add(1, Ordering::Relaxed);
                    yields(1).await;
                }
                Ok(1)
            })
            .await;
        // Two polls are pending, the third is ready.
        assert_eq!(result, if polls <= 2 { Err(Error::Inner("cut")) } else { Ok(1) });
        assert_eq!((passed.load(Ordering::Relaxed), inside.now()), (polls.min(2) as usize, 0));
    }
}

#[apply(runtime_test)]
async fn panics_are_the_callers(runtime: Runtime) {
    let chaos = Script::always(Faults::new().panic(1.0));
    let switch = chaos.switch();
    let stack = Arc::new(Stack::builder().clock(runtime.clock()).chaos(chaos).build().unwrap());
    switch.enable();
    let task = runtime.spawn({
        let stack = stack.clone();
        async move { stack.call(async |_| Ok(1)).await }
    });
    assert!(task.await.is_err());
    switch.disable();
    assert_eq!(stack.call(async |_| Ok(1)).await, Ok(1));
    assert_eq!(switch.stats().panics, 1);
    // So are those of the closures.
    let chaos = Script::always(Faults::new().error(1.0, || panic!("expected by this test"))).enabled(true);
    let stack = Stack::builder().clock(&Clock::default()).chaos(chaos).build().unwrap();
    let call = AssertUnwindSafe(|| block_on(stack.call(async |_| Ok(1))).is_ok());
    assert!(catch_unwind(call).is_err());
}

#[apply(runtime_test)]
async fn only_those_that_were_chosen(runtime: Runtime) {
    let faults = Faults::new().error(1.0, || "on purpose");
    let chaos = Script::always(faults).only_if(|at: &Attempt| at.depth() == 1).enabled(true);
    let inner = Stack::builder().clock(runtime.clock()).chaos(chaos).build().unwrap();
    let outer = Stack::builder().clock(runtime.clock()).build().unwrap();
    assert_eq!(inner.call(async |_| Ok(1)).await, Ok(1));
    let nested = outer.call(async |at| inner.call(async |_| Ok(1)).under(at).await);
    assert_eq!(nested.await, Err(Error::Inner(Error::Inner("on purpose"))));
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_the_work_is_gone(runtime: Runtime) {
    let inside = InFlight::new();
    let faults = || {
        let late = Faults::new().latency(1.0, Latency::Uniform(Duration::ZERO, Duration::from_nanos(1)));
        late.lost_answer(0.5, || "lost").cancel(0.5, 2, || "cut")
    };
    for seed in 0..8 {
        let chaos = Script::always(faults()).seed(seed).enabled(true);
        let stack = Stack::builder().clock(runtime.clock()).chaos(chaos).build().unwrap();
        let make = || {
            stack.call(async |_| {
                let _inside = inside.enter();
                yields(3).await;
                Ok(1)
            })
        };
        cancel_at_every_poll(make, async |_| assert_eq!(inside.now(), 0)).await;
    }
}

#[test]
fn settings_that_make_no_sense_are_an_error_at_build() {
    let field = |chaos: Script| Stack::builder().chaos(chaos).build().unwrap_err().field();
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(field(Script::always(Faults::new().hang(share))), "chaos.share");
        let late = Faults::new().latency(share, Latency::Fixed(ms(1)));
        assert_eq!(field(Script::always(late)), "chaos.share");
    }
    assert_eq!(field(Script::always(Faults::new().hang(0.6).panic(0.5))), "chaos.share");
    assert_eq!(field(Script::script()), "chaos.phases");
    assert_eq!(field(Script::script().phase(Duration::ZERO, Faults::new())), "chaos.phase");
    let late = |latency| field(Script::always(Faults::new().latency(0.5, latency)));
    assert_eq!(late(Latency::Uniform(ms(2), ms(1))), "chaos.latency");
    let tail = |least, shape| late(Latency::LongTail { least, most: ms(5), shape });
    assert_eq!(tail(ms(0), 1.0), "chaos.latency");
    assert_eq!(tail(ms(6), 1.0), "chaos.latency");
    assert_eq!((tail(ms(1), 0.0), tail(ms(1), f64::NAN)), ("chaos.latency", "chaos.latency"));
    // Ten tenths are all.
    let tenths = (0..10).fold(Faults::new(), |faults, _| faults.error(0.1, || "error"));
    assert!(Stack::builder().chaos(Script::always(tenths)).build().is_ok());
}

#[test]
fn calls_through_chaos_are_send() {
    let stack = Stack::builder().chaos(Script::always(Faults::new().hang(0.5))).build().unwrap();
    let work = async move { stack.call(async |_| Ok(1)).await };
    assert_eq!(smol::block_on(smol::spawn(work)), Ok(1));
}

/// To a budget, a fault on purpose is an attempt as good as any: the far end would have seen it.
#[apply(runtime_test)]
async fn faults_on_purpose_cost_the_budget(runtime: Runtime) {
    let clock = runtime.clock();
    let budget = Budget::share(0.2).floor(0).time_to_live(ms(3_600_000)).clock(clock).build().unwrap();
    let chaos = || Chaos::always(Faults::new().error(1.0, || "down")).enabled(true);
    let policy = Retry::immediate().retries(3).budget(&budget);
    let stack = Stack::builder().clock(clock).retry(policy).chaos(chaos()).build().unwrap();
    for _ in 0..100 {
        stack.call(async |_| Ok(())).await.unwrap_err();
    }
    assert_eq!((stack.stats().retries, stack.stats().faults), (20, 120));
    // A hedge that is still held back by a delay has begun too.
    let late = Faults::new().latency(1.0, Latency::Fixed(ms(1)));
    let policy = Hedge::after(Duration::ZERO).budget(&budget);
    let chaos = Chaos::always(late).enabled(true);
    let stack = Stack::builder().clock(clock).hedge(policy).chaos(chaos).build().unwrap();
    for _ in 0..100 {
        stack.call(async |_| Ok::<_, &str>(())).await.unwrap();
    }
    assert_eq!(stack.stats().hedges, 20);
}
