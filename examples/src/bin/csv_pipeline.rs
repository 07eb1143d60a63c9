//! How do several parsers share the lines of a file, and the values still come in order?
//!
//! Two parsers, or as many as `--parsers` says. The first line takes longest, and yet it is printed first.
//! What is no number is left out, and counted. Nothing is ahead of the reader by more than the parsers hold.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use futures_lite::stream;
use weirs_examples::story;
use weirs_pipelines::Pipeline;

fn main() -> ExitCode {
    story::tell("smol", |runtime| async move {
        let lines = ["42.5", "17.3", "invalid", "99.1", "0.7"];
        let clock = runtime.clock().clone();
        let parse = move |(number, line): (usize, &'static str)| {
            // The later ones are quicker.
            let slow = clock.sleep(Duration::from_millis(5 * (6 - number as u64)));
            async move {
                slow.await;
                line.parse::<f64>().map(|value| (number, value))
            }
        };
        let summary = Pipeline::source(stream::iter((1..).zip(lines)))
            .stage("parse", story::argument("--parsers", 2), parse)
            .skip_failures()
            .fold(0.0, |sum, (number, value)| {
                println!("Line {number}: value = {value:.1}");
                *sum += value;
            })
            .run(&runtime)
            .expect("there are parsers")
            .await
            .expect("failures are left out");
        println!("Total: {:.1}", summary.output);
        let skipped = summary.stats.stage("parse").expect("a stage").skipped;
        assert_eq!(skipped, 1);
    })
}
