//! A pool: 1,000 jobs that wait for a millisecond, by 10 and by 100 workers.
//!
//! All jobs are handed in and then all results are read, since there is room for all of both. `serial` is a
//! loop of 20 jobs.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use futures_lite::StreamExt;
use weirs_pipelines::WorkerPool;
use weirs_runtime::Runtime;

use super::super::sides::words;
use super::{Line, List, tokio_workers};
use crate::measure::Experiment;

const WAIT: Duration = Duration::from_millis(1);
const JOBS: u64 = 1_000;
const IN_A_ROW: u64 = 20;

pub(super) fn experiments() -> Vec<Experiment> {
    let serial = Line::new("seeds/pool/serial", IN_A_ROW, true);
    let mut all = serial
        .beside_go(|runtime| Box::pin(one_by_one(runtime)), || words("seed-loop", &[IN_A_ROW, 1_000, 0]));
    all.push(serial.beside_tokio(
        |runtime| Box::pin(one_by_one(runtime)),
        || {
            Box::pin(async {
                for _ in 0..IN_A_ROW {
                    tokio::time::sleep(WAIT).await;
                }
            })
        },
    ));
    for workers in [10, 100] {
        let line = Line::new(format!("seeds/pool/{workers}"), JOBS, true);
        let ours = move |runtime| -> List { Box::pin(pool(runtime, workers)) };
        all.extend(line.beside_go(ours, move || words("seed-pool", &[workers as u64, JOBS, 1_000])));
        all.push(line.beside_tokio(ours, move || {
            let work = |job| async move {
                tokio::time::sleep(WAIT).await;
                job * 2
            };
            Box::pin(tokio_workers(workers, JOBS, work))
        }));
    }
    all
}

async fn one_by_one(runtime: Runtime) {
    let clock = runtime.clock();
    let mut sum = 0;
    for job in 0..IN_A_ROW {
        clock.sleep(WAIT).await;
        sum += job * 2;
    }
    black_box(sum);
}

async fn pool(runtime: Runtime, workers: usize) {
    let clock = runtime.clock().clone();
    let work = move |job: u64| {
        let wait = clock.sleep(WAIT);
        async move {
            wait.await;
            Ok::<_, Infallible>(job * 2)
        }
    };
    let all = JOBS as usize;
    let builder = WorkerPool::builder(work).workers(workers).queue(all).unread(all);
    let pool = builder.build(&runtime).expect("it makes sense");
    assert!(pool.submit_many(0..JOBS).await.is_ok());
    let sum = pool.into_results().fold(0, |sum, end| sum + end.result.unwrap_or_default()).await;
    assert_eq!(sum, JOBS * (JOBS - 1));
}
