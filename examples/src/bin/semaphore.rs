//! How do ten tasks run three at a time?
//!
//! A permit is a value: it goes back however the task ends, by a panic or a cancel too. There is no `Release`
//! to forget.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use weirs_examples::story;
use weirs_limiters::Semaphore;
use weirs_scopes::scope;

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let (clock, semaphore) = (runtime.clock(), Semaphore::new(3));
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        scope(async |s| {
            for id in 0..10 {
                let (semaphore, running, most) = (&semaphore, &running, &most);
                s.spawn(async move {
                    let _permit = semaphore.acquire(1).await.expect("it is open");
                    most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    println!("Task {id} running");
                    clock.sleep(Duration::from_secs(1)).await;
                    println!("Task {id} done");
                    running.fetch_sub(1, Ordering::Relaxed);
                });
            }
        })
        .await;
        println!("at most {} at once", most.into_inner());
    })
}
