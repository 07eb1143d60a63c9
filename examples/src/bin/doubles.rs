//! How do five workers, each with a number of its own, take ten jobs from one queue?
//!
//! A worker is a value: what it has to itself, here its number, needs no lock. The results end by themselves
//! when the pool is closed: no `WaitGroup`, and no `close` that can be forgotten.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::StreamExt;
use weirs_examples::story;
use weirs_pipelines::{Worker, WorkerPool};
use weirs_runtime::Clock;

struct Doubler {
    number: usize,
    clock: Clock,
}

impl Worker for Doubler {
    type Job = u32;
    type Output = u32;
    type Error = Infallible;

    async fn work(&mut self, job: u32) -> Result<u32, Infallible> {
        println!("Worker {} processing job {job}", self.number);
        self.clock.sleep(Duration::from_secs(1)).await;
        Ok(job * 2)
    }
}

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let clock = runtime.clock().clone();
        let worker = move |number| Ok::<_, Infallible>(Doubler { number, clock: clock.clone() });
        let pool = WorkerPool::with_workers(worker).workers(5).queue(100).build(&runtime).unwrap();
        pool.submit_many(1..=10).await.unwrap();
        let mut results = pool.results();
        drop(pool.close());
        while let Some(completion) = results.next().await {
            println!("Result: {}", completion.result.unwrap());
        }
    })
}
