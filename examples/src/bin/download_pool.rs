//! How does a pool fetch ten pages with three workers, when the seventh fails?
//!
//! A failure is a result like others: it costs nobody else anything. What the workers say comes in the order
//! in which they begin, and the results in the order of submission.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::StreamExt;
use weirs_examples::story;
use weirs_pipelines::{JobError, Worker, WorkerPool};
use weirs_runtime::Clock;

struct Job {
    id: u64,
    url: String,
}

struct Fetcher {
    number: usize,
    clock: Clock,
}

impl Worker for Fetcher {
    type Job = Job;
    type Output = String;
    type Error = String;

    async fn work(&mut self, Job { id, url }: Job) -> Result<String, String> {
        println!("Worker {}: processing job {id} ({url})", self.number + 1);
        let took = Duration::from_millis(id * 17 % 100);
        self.clock.sleep(took).await;
        if id.is_multiple_of(7) {
            Err(format!("failed to fetch {url}"))
        } else {
            Ok(format!("Content of {url} ({took:?})"))
        }
    }
}

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let clock = runtime.clock().clone();
        let fetcher = move |number| Ok::<_, Infallible>(Fetcher { number, clock: clock.clone() });
        let pool = WorkerPool::with_workers(fetcher).workers(3).queue(10).ordered().build(&runtime).unwrap();
        let jobs = (1..=10).map(|id| Job { id, url: format!("https://example.com/{id}") });
        pool.submit_many(jobs).await.unwrap();
        let settled = pool.close().await;
        let mut results = pool.into_results();
        while let Some(completion) = results.next().await {
            let job = completion.id.number() + 1;
            match completion.result {
                Ok(content) => println!("  OK:   job {job} - {content}"),
                Err(JobError::Failed(error)) => println!("  FAIL: job {job} - {error}"),
                Err(other) => println!("  ALAS: job {job} - {other}"),
            }
        }
        println!("\nDone: {} succeeded, {} failed", settled.done, settled.failed);
    })
}
