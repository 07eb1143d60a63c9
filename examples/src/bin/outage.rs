//! What do my callers see while the other side is down, slow, or down again and again?
//!
//! An hour of simulated time, which takes a blink: sixteen callers, a whole stack of policies, and faults by
//! a script in place of the other side. A line tells of five minutes; the circuit is looked at every half
//! minute (`.` closed, `O` open). The same seed tells the same story: `outage 8` tells another.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_resilience::{
    Attempt, Breaker, Budget, Bulkhead, Chaos, Circuit, Ended, Error, Faults, Hedge, Latency, Rejection,
    Retry, Stack, from_hooks,
};
use weirs_runtime::Runtime;
use weirs_testing::sim::Sim;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let run = Sim::new(seed).step_limit(10_000_000).allow_leaks().run(hour);
    print!("{}", run.expect("an hour").output);
}

/// Ten minutes of health after each trouble.
fn script() -> Chaos<u32, &'static str> {
    let down = || Faults::new().hang(0.3).error(0.7, || "down");
    let slow = Faults::new().error(0.1, || "busy").latency(0.5, Latency::Exponential(SECOND * 3 / 10));
    let mut script = Chaos::script()
        .enabled(true)
        .phase(MINUTE * 10, Faults::new())
        .phase(MINUTE * 5, down())
        .phase(MINUTE * 10, Faults::new())
        .phase(MINUTE * 10, slow)
        .phase(MINUTE * 10, Faults::new());
    for _ in 0..15 {
        script = script.phase(SECOND * 20, down()).phase(SECOND * 20, Faults::new());
    }
    script
}

async fn hour(runtime: Runtime) -> String {
    let clock = runtime.clock().clone();
    static SEEN: Seen = Seen::new();
    let seen = &SEEN;
    let breaker = Breaker::failure_rate(0.5).window_of_time(SECOND * 10, 10).min_calls(20).probes(3);
    let breaker = breaker.open_for(SECOND * 5).slow_after(SECOND * 2 / 5).clock(&clock).build().unwrap();
    let budget = Budget::share(0.2).floor(0).clock(&clock).build().unwrap();
    let rate = RateLimiter::builder(Quota::new(Rate::per_second(50), 50).unwrap()).clock(clock.clone());
    let reached = |_: &Attempt| {
        seen.attempts.fetch_add(1, Ordering::Relaxed);
        Ok::<(), Rejection>(())
    };
    let stack = Stack::builder()
        .clock(&clock)
        .fallback(|error: &Error<_>| (*error != Error::Inner("busy")).then_some(0))
        .timeout(SECOND * 2)
        .retry(Retry::exponential(SECOND / 20).cap(SECOND / 2).retries(2).budget(&budget))
        .hedge(Hedge::after(SECOND / 5).budget(&budget))
        .rate_limit(rate.build())
        .breaker(&breaker)
        .bulkhead(Bulkhead::new(20).queue(20).wait_at_most(SECOND / 10))
        .policy(from_hooks(reached, |(), _: Ended<'_, u32, &'static str>| {}))
        .timeout(SECOND * 2 / 5)
        .chaos(script())
        .build_strict();
    let stack = Arc::new(stack.unwrap());

    for _ in 0..16 {
        let (stack, clock) = (Arc::clone(&stack), clock.clone());
        runtime
            .spawn(async move {
                loop {
                    clock.sleep(SECOND / 2 + Duration::from_millis(clock.random_below(1_000))).await;
                    let work = async |_| {
                        clock.sleep(Duration::from_millis(20 + clock.random_below(60))).await;
                        Ok(1)
                    };
                    seen.count(stack.call(work).await);
                }
            })
            .detach();
    }

    let mut told = String::from("minutes  answered  instead  failed  refused  attempts/call  circuit\n");
    for part in 0..12 {
        let refused = stack.stats().rejections();
        let mut circuit = String::new();
        for _ in 0..10 {
            clock.sleep(SECOND * 30).await;
            circuit.push(if breaker.state() == Circuit::Closed { '.' } else { 'O' });
        }
        let [answered, instead, failed, attempts] = seen.take();
        let refused = stack.stats().rejections() - refused;
        let each = attempts as f64 / (answered + instead + failed) as f64;
        let from = part * 5;
        writeln!(
            told,
            "{from:>2} - {:>2} {answered:>9} {instead:>8} {failed:>7} {refused:>8} {each:>14.2}  {circuit}",
            from + 5
        )
        .unwrap();
    }
    told
}

/// What the callers got, and how often the other side was asked.
struct Seen {
    answered: AtomicU64,
    instead: AtomicU64,
    failed: AtomicU64,
    attempts: AtomicU64,
}

impl Seen {
    const fn new() -> Self {
        Self {
            answered: AtomicU64::new(0),
            instead: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
        }
    }

    fn count(&self, result: Result<u32, Error<&str>>) {
        let counter = match result {
            Ok(1) => &self.answered,
            Ok(_) => &self.instead,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self) -> [u64; 4] {
        [&self.answered, &self.instead, &self.failed, &self.attempts]
            .map(|count| count.swap(0, Ordering::Relaxed))
    }
}
