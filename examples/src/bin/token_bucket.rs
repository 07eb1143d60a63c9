//! How do I send five requests a second, and no more?
//!
//! No task fills a bucket, so there is none to stop: what is free follows from the time. Five may go at once,
//! the others a fifth of a second apart, and whoever waits has one timer with all others.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use weirs_examples::story;
use weirs_limiters::{Denied, Quota, Rate, RateLimiter};

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let (clock, start) = (runtime.clock(), runtime.clock().now());
        let quota = Quota::new(Rate::per_second(5), 5).expect("a quota");
        let limiter = RateLimiter::builder(quota).clock(clock.clone()).build();
        for request in 0..20 {
            limiter.acquire(1).await.expect("it is open");
            println!("Request {request} sent");
        }
        let took = clock.now().saturating_since(start);
        println!("15 of them had to wait: {}", took >= Duration::from_secs(3));

        // `Allow`, and who has a deadline that is too soon.
        println!("one more now: {}", limiter.try_acquire(1).is_ok());
        let hopeless = limiter.acquire_by(1, clock.now() + Duration::from_millis(1)).await;
        println!("within a millisecond: {}", hopeless.is_err_and(|denied| denied != Denied::Closed));
    })
}
