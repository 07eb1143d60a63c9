//! How do my workers survive an outage of what they call, without giving up a job?
//!
//! A queue, four workers, a limit of twenty calls a second, a breaker, a timeout, retries, a fallback, dead
//! letters. The service hangs from the first second to the fourth. Meanwhile the workers wait and the queue
//! fills; only what can never work is a dead letter.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::num::NonZeroUsize;
use std::time::Duration;

use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_pipelines::{DeadLetterRing, ResilientPipeline};
use weirs_resilience::{Backoff, Breaker, Class, Error};
use weirs_runtime::{Clock, Instant};
use weirs_testing::sim::Sim;

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Sim::new(7).run(|runtime| async move {
        let clock = runtime.clock().clone();
        let start = clock.now();
        let quota = Quota::new(Rate::per_second(20), 1).unwrap();
        let breaker = Breaker::consecutive(3).open_for(SECOND).clock(&clock).build().unwrap();
        let letters = DeadLetterRing::new(NonZeroUsize::new(100).unwrap());
        let service = {
            let clock = clock.clone();
            move |order| service(order, clock.clone(), start)
        };
        let judge = |result: &Result<u32, Error<&str>>| match result {
            Ok(_) => Class::Success,
            Err(Error::Inner("no such thing")) => Class::Permanent,
            Err(_) => Class::Failure,
        };
        let pipeline = ResilientPipeline::builder(service)
            .workers(4)
            .queue(100)
            .limit(RateLimiter::builder(quota).clock(clock.clone()).build())
            .breaker(&breaker)
            .timeout(Duration::from_millis(200))
            .retry(2, Backoff::constant(Duration::from_millis(50)))
            .classify(judge)
            .fallback(|order, _| (*order == 13).then_some(0))
            .dead_letters(letters.clone())
            .build(&runtime)
            .unwrap();

        for order in 1..=60 {
            pipeline.submit(order).await.unwrap();
        }
        let close = pipeline.close();
        println!("second  circuit    queued  waiting workers  done");
        let watch = async {
            loop {
                let stats = pipeline.stats();
                let second = clock.now().saturating_since(start).as_secs();
                let circuit = format!("{:?}", breaker.state());
                println!(
                    "{second:6}  {circuit:9}  {:6}  {:15}  {:4}",
                    stats.queued, stats.paused, stats.counts.done
                );
                clock.sleep(SECOND).await;
            }
        };
        let counts = futures_lite::future::or(close, watch).await;
        println!(
            "{} taken: {} done, {} by fallback, {} dead; {} calls",
            counts.taken, counts.done, counts.fallback, counts.dead_lettered, counts.attempts
        );
        for letter in letters.take() {
            println!("dead letter {}: {} ({:?})", letter.job, letter.reason, letter.error);
        }
    })?;
    Ok(())
}

async fn service(order: u32, clock: Clock, start: Instant) -> Result<u32, &'static str> {
    let second = clock.now().saturating_since(start).as_secs();
    if (1..4).contains(&second) {
        std::future::pending::<()>().await;
    }
    match order % 13 {
        0 => Err("no such thing"),
        _ => Ok(order),
    }
}
