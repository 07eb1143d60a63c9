//! How do I have every result and every error, in the order of the items?
//!
//! In Go each goroutine writes to its own place in a slice, and a `WaitGroup` says when that may be read.
//! Here each child borrows its own place, and the slice can be read when the scope is over: sooner does not
//! compile.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::time::Duration;

use weirs_examples::story;
use weirs_runtime::Clock;
use weirs_scopes::scope;

fn main() -> ExitCode {
    story::tell("smol", |runtime| async move {
        let items = [3, -1, 4, -1, 5];
        let mut results = items.map(|_| Err("not begun".to_owned()));
        scope(async |s| {
            for (item, result) in items.iter().zip(&mut results) {
                let clock = runtime.clock();
                s.spawn(async move { *result = process(*item, clock).await });
            }
        })
        .await;
        for (item, result) in items.iter().zip(&results) {
            match result {
                Ok(value) => println!("{item}: {value}"),
                Err(error) => println!("{item}: {error}"),
            }
        }
    })
}

async fn process(number: i32, clock: &Clock) -> Result<i32, String> {
    // The larger, the sooner.
    clock.sleep(Duration::from_millis((10 - number) as u64)).await;
    if number < 0 { Err("negative number".to_owned()) } else { Ok(number * 2) }
}
