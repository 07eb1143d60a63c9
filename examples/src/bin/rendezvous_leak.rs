//! Who waits for ever to hand over a result that nobody takes any more?
//!
//! In Go the goroutine at `ch <- result`, when its reader has given up at a timeout: it leaks. Here the
//! reader that gives up drops its end, and the send gives the result back.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use weirs_channels_utils::rendezvous;
use weirs_examples::story;
use weirs_runtime::Clock;

fn main() -> ExitCode {
    story::tell("smol", |runtime| async move {
        let clock = runtime.clock().clone();
        let (sender, mut receiver) = rendezvous::channel();
        let worker = runtime.spawn(async move {
            let result = expensive_computation(&clock).await;
            match sender.send(result).await {
                Ok(()) => println!("worker: handed over"),
                Err(refused) => println!("worker: nobody takes {}, so I am done", refused.into_inner()),
            }
        });
        let answer = runtime.clock().timeout(Duration::from_millis(5), receiver.recv()).await;
        println!("reader: in time: {}", answer.is_ok());
        drop(receiver);
        worker.await.expect("it does not wait for ever");
        println!("nothing is left behind");
    })
}

async fn expensive_computation(clock: &Clock) -> u32 {
    clock.sleep(Duration::from_millis(100)).await;
    42
}
