//! How much do more workers bring?
//!
//! For jobs that wait, such as calls to a server that can stand it, as much as there are of them: here in
//! simulated time, where a millisecond is one. For jobs that compute, no more than there are cores; and
//! what the crates themselves cost is measured in `tests/versus`.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use weirs_examples::story;
use weirs_pipelines::WorkerPool;
use weirs_runtime::Runtime;

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        for workers in [1, 10, 100] {
            let took = run(&runtime, workers, 1000, Duration::from_millis(1)).await;
            println!("1000 jobs of 1ms, {workers} at a time: {took:?}");
        }
        for workers in [1, 4, 8] {
            let took = run(&runtime, workers, 100, Duration::from_micros(100)).await;
            println!("100 jobs of 100µs, {workers} at a time: {took:?}");
        }
    })
}

async fn run(runtime: &Runtime, workers: usize, jobs: u32, each: Duration) -> Duration {
    let (clock, start) = (runtime.clock().clone(), runtime.clock().now());
    let work = move |_| {
        let wait = clock.sleep(each);
        async move {
            wait.await;
            Ok::<_, Infallible>(())
        }
    };
    let pool =
        WorkerPool::builder(work).workers(workers).queue(1000).discard_results().build(runtime).unwrap();
    pool.submit_many(0..jobs).await.unwrap();
    pool.close().await;
    runtime.clock().now().saturating_since(start)
}
