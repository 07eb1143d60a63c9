//! What do I write for a `done` channel?
//!
//! Closing a channel that nobody sends on tells any number of workers to stop. It works here too, but a token
//! is made for it: it says why, it has children and deadlines, and `run` is the `select` with it. And the end
//! of the workers is waited for, not hoped for.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::time::Duration;

use weirs_runtime::{Clock, block_on};
use weirs_scopes::{CancelToken, OneOf2, Select, scope};

fn main() {
    let clock = Clock::default();
    block_on(with_a_channel(&clock));
    block_on(with_a_token(&clock));
}

/// As in Go: `select { case <-done: return; case <-tick: ... }`, and `close(done)`.
async fn with_a_channel(clock: &Clock) {
    let (done, is_done) = async_channel::bounded::<()>(1);
    scope(async |s| {
        for worker in 1..=3 {
            let is_done = is_done.clone();
            s.spawn(async move {
                let (mut select, mut ticks) = (Select::new(), 0_u32);
                let tick = || clock.sleep(Duration::from_millis(1));
                while let OneOf2::Second(()) = select.next((is_done.recv(), tick())).await {
                    ticks += 1;
                }
                println!("channel: worker {worker} has stopped after some ticks: {}", ticks > 0);
            });
        }
        clock.sleep(Duration::from_millis(100)).await;
        done.close();
    })
    .await;
    println!("channel: all have stopped");
}

async fn with_a_token(clock: &Clock) {
    let token = CancelToken::new();
    scope(async |s| {
        for worker in 1..=3 {
            let token = &token;
            s.spawn(async move {
                while token.run(clock.sleep(Duration::from_millis(1))).await.is_ok() {}
                println!("token: worker {worker} has stopped: {}", token.reason().expect("it is cancelled"));
            });
        }
        clock.sleep(Duration::from_millis(10)).await;
        token.cancel("the shift is over");
    })
    .await;
    println!("token: all have stopped");
}
