//! How do workers get over an outage of the service behind them, without losing what is queued?
//!
//! Three workers, a bounded queue, and for each event a rate limit, a circuit breaker and five seconds for
//! the call. When the service is down, the usual worker hands its event to an error handler and takes the
//! next: with an open circuit that empties the queue in a moment. Here a worker waits until the circuit lets
//! it through; the queue fills up, and who submits hears of it. In simulated time.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::time::Duration;

use weirs_channels_utils::{SendError, StreamUtil, bounded};
use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_resilience::{Attempt, Breaker, Error, Retry, Stack};
use weirs_runtime::Clock;
use weirs_testing::sim::Sim;

const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let run = Sim::new(1).run(|runtime| pipeline(runtime.clock().clone()));
    print!("{}", run.expect("the end of the pipeline").output);
}

async fn pipeline(clock: Clock) -> String {
    let start = clock.now();
    let breaker = Breaker::consecutive(5).open_for(SECOND * 30).probes(3).clock(&clock).build().unwrap();
    let rate =
        RateLimiter::builder(Quota::new(Rate::per_second(10), 5).unwrap()).clock(clock.clone()).build();
    let stack = Stack::builder()
        .clock(&clock)
        .retry(Retry::exponential(SECOND).cap(SECOND * 5).retries(8).wait_for_ready())
        .rate_limit(&rate)
        .breaker(&breaker)
        .timeout(SECOND * 5)
        .build_strict()
        .unwrap();

    let (queue, events) = bounded(NonZeroUsize::new(20).expect("not zero"));
    let (done, lost, asked) = (Cell::new(0), Cell::new(0), Cell::new(0));
    // Down for a minute: half of the calls fail at once, and half get no answer.
    let down = start + SECOND * 30..start + SECOND * 90;
    let process = async |event: u32, _: Attempt| {
        if down.contains(&clock.now()) {
            asked.set(asked.get() + 1);
            if event.is_multiple_of(2) {
                std::future::pending::<()>().await;
            }
            return Err("unreachable");
        }
        clock.sleep(SECOND / 5).await;
        Ok(event)
    };
    let worker = async |event| match stack.call(async |at| process(event, at).await).await {
        Ok(_) => done.set(done.get() + 1),
        Err(Error::Inner(_) | Error::Timeout(_)) => lost.set(lost.get() + 1),
        Err(refused) => unreachable!("it waits when it is refused: {refused}"),
    };

    let (mut taken, mut full) = (0, 0);
    let submit = async {
        for event in 0..180 {
            match queue.try_send(event) {
                Ok(_) => taken += 1,
                Err(SendError::Full(_)) => full += 1,
                Err(SendError::Closed(_)) => break,
            }
            clock.sleep(SECOND).await;
        }
        drop(queue);
    };
    let workers = events.run_concurrent(NonZeroUsize::new(3).expect("not zero"), worker);
    futures::future::join(submit, workers).await;

    let stats = breaker.stats();
    format!(
        "submitted: {taken}, refused because the queue was full: {full}\n\
         processed: {}, lost: {}\n\
         asked while it was down: {}, the circuit opened {} times and is {:?}\n",
        done.get(),
        lost.get(),
        asked.get(),
        stats.openings,
        stats.circuit
    )
}
