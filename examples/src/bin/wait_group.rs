//! What do I write for a `sync.WaitGroup`?
//!
//! A counter that must not be forgotten is not needed where the end of a block waits: a scope has ended when
//! its children have. They borrow, so there is nothing to share; `try_scope` stops at the first error, and
//! `join` is for a handful of futures whose values are wanted.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::time::Duration;

use weirs_runtime::{Clock, block_on};
use weirs_scopes::{join, scope, try_scope};

fn main() {
    let clock = Clock::default();
    let workers = ["north", "east", "south"];
    let mut measured = [0; 3];

    // wg.Add(1); go func() { defer wg.Done(); ... }(); wg.Wait()
    block_on(scope(async |s| {
        for (worker, slot) in workers.iter().zip(&mut measured) {
            let clock = &clock;
            s.spawn(async move {
                clock.sleep(Duration::from_millis(worker.len() as u64)).await;
                *slot = worker.len();
            });
        }
    }));
    println!("all have ended: {measured:?}");

    // errgroup: the first error cancels the others.
    let result: Result<(), String> = block_on(try_scope(async |s| {
        s.spawn(std::future::pending::<Result<(), String>>());
        s.spawn(async { Err::<(), _>("the east gauge is broken".to_owned()) });
        Ok(())
    }));
    println!("the first error: {}", result.unwrap_err());

    let (one, other) = block_on(join((async { 3 }, async { "metres" })));
    println!("both values: {one} {other}");
}
