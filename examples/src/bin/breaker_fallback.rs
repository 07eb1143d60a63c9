//! How do I give an older answer while a service is down, and leave it in peace?
//!
//! The usual `if errors.Is(err, ErrCircuitOpen) { return cachedResult() }`, without the usual faults of a
//! counter in a mutex: successes set the count back, so five failures in a year do not open the circuit; when
//! its time is over three calls try the service, and no more; and who goes away in the middle of such a call
//! keeps nobody out. In simulated time, so the thirty seconds take none.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::cell::Cell;
use std::fmt::Write;
use std::time::Duration;

use weirs_resilience::{Breaker, Error, Stack};
use weirs_runtime::{Clock, Instant};
use weirs_testing::sim::Sim;

fn main() {
    let run = Sim::new(1).run(|runtime| story(runtime.clock().clone()));
    print!("{}", run.expect("the end of the story").output);
}

async fn story(clock: Clock) -> String {
    let seconds = Duration::from_secs;
    let service = Service { clock: clock.clone(), ill_until: clock.now() + seconds(20), asked: Cell::new(0) };
    let breaker = Breaker::consecutive(5)
        .open_for(seconds(30))
        .probes(3)
        .pace(seconds(0))
        .clock(&clock)
        .build()
        .unwrap();
    let stack = Stack::builder()
        .clock(&clock)
        .fallback(|error: &Error<_>| error.is_circuit_open().then_some("yesterday's rate"))
        .breaker(&breaker)
        .timeout(seconds(1))
        .build_strict()
        .unwrap();

    let mut told = String::new();
    for call in 1..=8 {
        let answer = stack.call(async |_| service.rate().await).await;
        writeln!(told, "call {call}: {answer:?}").unwrap();
    }
    writeln!(
        told,
        "the service was asked {} times, the circuit is {:?}",
        service.asked.take(),
        breaker.state()
    )
    .unwrap();

    clock.sleep_until(breaker.ready_at().expect("it is no hand that keeps it open")).await;
    // Ten come at once: three of them try it, and the others are refused as before.
    let ten = futures::future::join_all((0..10).map(|_| stack.call(async |_| service.rate().await))).await;
    let fresh = ten.iter().filter(|answer| **answer == Ok("today's rate")).count();
    writeln!(told, "ten at once: {fresh} fresh, {} older", ten.len() - fresh).unwrap();
    writeln!(
        told,
        "the service was asked {} times, the circuit is {:?}",
        service.asked.take(),
        breaker.state()
    )
    .unwrap();
    told
}

struct Service {
    clock: Clock,
    ill_until: Instant,
    asked: Cell<u32>,
}

impl Service {
    async fn rate(&self) -> Result<&'static str, &'static str> {
        self.asked.set(self.asked.get() + 1);
        self.clock.sleep(Duration::from_millis(100)).await;
        if self.clock.now() < self.ill_until { Err("unreachable") } else { Ok("today's rate") }
    }
}
