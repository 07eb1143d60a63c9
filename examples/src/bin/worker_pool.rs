//! What do I write for a worker pool with jobs that fail?
//!
//! Three workers fetch fourteen pages; each seventh fails, and one panics. Every job has its end in the
//! results, here in the order of submission; no job costs another one anything.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::time::Duration;

use futures_lite::StreamExt;
use weirs_pipelines::{JobError, WorkerPool};
use weirs_runtime::Clock;
use weirs_testing::sim::Sim;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Sim::new(7).run(|runtime| async move {
        let clock = runtime.clock().clone();
        let fetch = move |job: u64| fetch(job, clock.clone());
        let pool = WorkerPool::builder(fetch).workers(3).queue(4).ordered().build(&runtime).unwrap();
        let mut results = pool.results();
        let feed = async {
            for job in 1..=14 {
                pool.submit(job).await.unwrap();
            }
            pool.close().await
        };
        let read = async {
            while let Some(completion) = results.next().await {
                let job = completion.id.number() + 1;
                match completion.result {
                    Ok(content) => println!("OK:    job {job} - {content}"),
                    Err(JobError::Failed(error)) => println!("FAIL:  job {job} - {error}"),
                    Err(other) => println!("ALAS:  job {job} - {other}"),
                }
            }
        };
        let (settled, ()) = futures_lite::future::zip(feed, read).await;
        println!(
            "{} jobs: {} done, {} failed, {} panicked",
            settled.taken, settled.done, settled.failed, settled.panicked
        );
    })?;
    Ok(())
}

async fn fetch(job: u64, clock: Clock) -> Result<String, String> {
    let took = Duration::from_millis(job * 17 % 100);
    clock.sleep(took).await;
    assert!(job != 10, "page 10 is too long");
    match job % 7 {
        0 => Err(format!("failed to fetch https://example.com/{job}")),
        _ => Ok(format!("Content of https://example.com/{job} ({took:?})")),
    }
}
