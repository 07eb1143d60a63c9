//! What do I write for a pipeline of generator, square and filter, and how is it cancelled?
//!
//! Three goroutines and three channels are three lines: what only computes needs no task. The second one has
//! a limit of time, as with `context.WithTimeout`, and work that waits; when the time is over it tells what
//! was done and what was not.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::stream;
use weirs_examples::story;
use weirs_pipelines::{Left, Pipeline};

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let plan = Pipeline::source(stream::iter(1..=5)).map(|n| n * n).filter(|n| n % 2 == 0).for_each(show);
        plan.drive().unwrap().await.unwrap();

        let clock = runtime.clock().clone();
        let square = move |n: u32| {
            let slow = clock.sleep(Duration::from_millis(u64::from(n) * 100));
            async move {
                slow.await;
                Ok::<_, Infallible>(n * n)
            }
        };
        let running = Pipeline::source(stream::iter(1..=5)).stage("square", 1, square).keep().for_each(show);
        let running = running.run(&runtime).unwrap();
        runtime.clock().sleep(Duration::from_millis(800)).await;
        let mut summary = running.drain(Duration::ZERO).await.expect("no square fails");
        let done = summary.stats.stage("square").expect("a stage").given;
        let cut = summary.unprocessed.take::<u32>("square", Left::Interrupted);
        println!("out of time: {done} done, cut short: {cut:?}");
    })
}

async fn show(n: u32) {
    println!("{n}");
}
