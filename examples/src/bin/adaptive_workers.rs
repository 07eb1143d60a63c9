//! How does a pool find out how many workers it needs?
//!
//! More when jobs wait for a worker, and fewer when workers wait for jobs. A rule by the time that a job
//! takes would add workers when the server behind them is too busy, and make that worse. Twenty jobs a
//! second come for ten seconds, then two hundred, then twenty again; each takes about 50 milliseconds.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::future::or;
use weirs_examples::story;
use weirs_pipelines::{QueueWait, WorkerPool};

fn main() -> ExitCode {
    story::tell("sim", |runtime| async move {
        let clock = runtime.clock().clone();
        let job = move |number: u32| {
            let work = clock.sleep(Duration::from_millis(u64::from(30 + number * 7 % 41)));
            async move {
                work.await;
                Ok::<_, Infallible>(())
            }
        };
        let controller = QueueWait::new(Duration::from_millis(20));
        let pool = WorkerPool::builder(job).adaptive(1..=64, controller).queue(1000).discard_results();
        let pool = pool.build(&runtime).unwrap();

        let clock = runtime.clock();
        let feed = async {
            for rate in [20, 200, 20] {
                for job in 0..rate * 10 {
                    pool.submit(job).await.unwrap();
                    clock.sleep(Duration::from_secs(1) / rate).await;
                }
            }
        };
        let watch = async {
            println!("second  workers  waiting");
            for second in 0.. {
                let stats = pool.stats();
                if second % 3 == 0 {
                    println!("{second:6}  {:7}  {:7}", stats.busy().0, stats.queued);
                }
                clock.sleep(Duration::from_secs(1)).await;
            }
        };
        or(feed, watch).await;
        println!("{} done", pool.close().await.done);
    })
}
