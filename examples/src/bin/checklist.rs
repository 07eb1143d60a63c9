//! Is my pipeline fit for production? Twelve lines, each shown on one that runs.
//!
//! Two hundred orders a second come for six seconds; the shop behind hangs from the third second to the
//! fourth, and refuses some orders for good. Each line of the list tells what was seen of it in these
//! seconds.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{StreamExt, stream};
use weirs_channels_utils::StreamUtil;
use weirs_examples::story;
use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_pipelines::{DeadLetterRing, ResilientEvent, ResilientPipeline};
use weirs_resilience::{Breaker, Class, Error, Stack};
use weirs_runtime::{Clock, Instant, Runtime};
use weirs_scopes::CancelToken;

const SECOND: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    story::tell("sim", list)
}

async fn list(runtime: Runtime) {
    let (clock, start) = (runtime.clock().clone(), runtime.clock().now());
    let quota = Quota::new(Rate::per_second(100), 10).expect("a quota");
    let limiter = Arc::new(RateLimiter::builder(quota).clock(clock.clone()).counted(true).build());
    let breaker = Breaker::consecutive(5).open_for(SECOND / 2).clock(&clock).build().expect("a breaker");
    let letters = DeadLetterRing::new(NonZeroUsize::new(100).expect("not zero"));
    let shop = Arc::new(Shop { clock: clock.clone(), start, latencies: Mutex::default() });
    let limited = Arc::new(AtomicU32::new(0));
    let order = {
        let shop = Arc::clone(&shop);
        move |number| Arc::clone(&shop).order(number)
    };
    let pipeline = ResilientPipeline::builder(order)
        .workers(8)
        .queue(50)
        .limit(Arc::clone(&limiter))
        .breaker(&breaker)
        .timeout(LATEST)
        .classify(|result: &Result<u32, Error<&str>>| match result {
            Err(Error::Inner("sold out")) => Class::Permanent,
            Err(_) => Class::Failure,
            Ok(_) => Class::Success,
        })
        .fallback(|order, error| matches!(error, Some(Error::Timeout(_))).then_some(*order))
        .dead_letters(letters.clone())
        .on_event({
            let limited = Arc::clone(&limited);
            move |event: &ResilientEvent<'_>| {
                if matches!(event, ResilientEvent::Limited) {
                    limited.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
        .build(&runtime)
        .expect("it makes sense");
    // Nobody reads the ends here; the counts are enough.
    drop(pipeline.results());

    let stop = CancelToken::new();
    let ticks = stream::iter(1..).then(|number| {
        let tick = clock.sleep(SECOND / 200);
        async move {
            tick.await;
            number
        }
    });
    let mut orders = std::pin::pin!(ticks.or_done(stop.cancelled()));
    let (mut refused, mut deepest, mut states) = (0, 0, Vec::new());
    while let Some(number) = orders.next().await {
        refused += u32::from(pipeline.try_submit(number).is_err());
        let seen = pipeline.stats();
        deepest = deepest.max(seen.queued);
        let state = format!("{:?}", seen.circuit.expect("there is a breaker"));
        if states.last() != Some(&state) {
            states.push(state);
        }
        if clock.now() >= start + SECOND * 6 {
            stop.cancel("the list is full");
        }
    }
    let counts = pipeline.drain(SECOND).await.counts;

    println!("Patterns applied");
    show("or-done", &format!("the orders end because {}", stop.reason().expect("it is cancelled")));
    let counted = limiter.stats().counted.expect("it counts");
    let most = 10 + 100 * clock.now().saturating_since(start).as_secs() + 100;
    show(
        "rate limit",
        &format!("{} calls, within the quota: {}", counted.admitted, counted.admitted <= most),
    );
    show("back-pressure", &format!("a queue of 50, {refused} orders turned away, {} taken", counts.taken));
    show("circuit breaker", &format!("it opened {} times", breaker.stats().openings));
    println!("Resilience");
    show("timeouts", &format!("no call took longer than {LATEST:?}: {}", shop.longest() <= LATEST));
    show("fallbacks", &format!("{} orders had another answer", counts.fallback));
    show("a plan for bad days", "written by the policies themselves");
    for line in plan(&breaker).lines().filter(|line| line.starts_with("when") || line.contains("=>")) {
        println!("      {line}");
    }
    show("dead letters", &format!("{}, each with its reason: {}", letters.len(), reason(&letters)));
    println!("Monitoring");
    show("queue depth", &format!("at most {deepest}"));
    show("refusals of the limit", &format!("{} calls had to wait", limited.load(Ordering::Relaxed)));
    show("state of the circuit", &states.join(", "));
    show("latency", &shop.percentiles());
}

fn show(line: &str, seen: &str) {
    println!("  [x] {line}: {seen}");
}

/// What happens to a caller when the other side is ill, in words, from the policies themselves.
fn plan(breaker: &Arc<Breaker>) -> String {
    let stack = Stack::builder()
        .fallback(|error: &Error<&str>| error.is_circuit_open().then_some(0))
        .timeout(LATEST)
        .breaker(breaker)
        .build()
        .expect("a stack");
    stack.describe().to_string()
}

fn reason(letters: &DeadLetterRing<u32, Error<&'static str>>) -> String {
    letters.take().first().map_or_else(String::new, |letter| letter.reason.to_string())
}

struct Shop {
    clock: Clock,
    start: Instant,
    latencies: Mutex<Vec<Duration>>,
}

impl Shop {
    async fn order(self: Arc<Self>, number: u32) -> Result<u32, &'static str> {
        let begun = self.clock.now();
        if (SECOND * 3..SECOND * 4).contains(&begun.saturating_since(self.start)) {
            std::future::pending::<()>().await;
        }
        self.clock.sleep(Duration::from_millis(10 + u64::from(number % 50))).await;
        self.latencies.lock().expect("whole").push(self.clock.now().saturating_since(begun));
        if number.is_multiple_of(97) { Err("sold out") } else { Ok(number) }
    }

    fn longest(&self) -> Duration {
        self.latencies.lock().expect("whole").iter().max().copied().unwrap_or_default()
    }

    fn percentiles(&self) -> String {
        let mut latencies = self.latencies.lock().expect("whole").clone();
        latencies.sort_unstable();
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
        format!("p50 {:?}, p95 {:?}, p99 {:?}", at(50), at(95), at(99))
    }
}
