//! How do I tell three workers to stop, and know that they have?
//!
//! As with `context.WithCancel` and a `WaitGroup`: the token says why, `run` is the `select` with it, and the
//! scope is over when its workers are: nobody waits for five seconds and hopes.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use weirs_examples::story;
use weirs_runtime::Clock;
use weirs_scopes::{CancelToken, scope};

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let (clock, token) = (runtime.clock(), CancelToken::new());
        scope(async |s| {
            for id in 0..3 {
                s.spawn(work(id, &token, clock));
            }
            clock.sleep(Duration::from_millis(1900)).await;
            println!("Main: Canceling all workers via context...");
            token.cancel("context canceled");
            println!("Main: Waiting for workers to shut down...");
        })
        .await;
        println!("Main: All workers shut down. Exiting.");
    })
}

async fn work(id: u32, token: &CancelToken, clock: &Clock) {
    println!("ContextualWorker {id} starting");
    loop {
        println!("ContextualWorker {id} working...");
        if let Err(cancelled) = token.run(clock.sleep(Duration::from_millis(500))).await {
            let why = cancelled.into_reason();
            println!("ContextualWorker {id} canceled: {why}. Shutting down...");
            println!("ContextualWorker {id} finished cleanup.");
            return;
        }
    }
}
