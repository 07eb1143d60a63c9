//! Out to several workers and in again: 100 jobs of 100 microseconds, that wait, and that compute.
//!
//! `1` is a loop, as in the table. Ours is a stage with so many workers, whose results are read as they come.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use futures_lite::stream;
use weirs_pipelines::Pipeline;
use weirs_runtime::Runtime;

use super::super::sides::{rounds, spin, words};
use super::{Line, List, tokio_workers};
use crate::measure::Experiment;

const JOBS: u64 = 100;
const TIME: Duration = Duration::from_micros(100);

pub(super) fn experiments() -> Vec<Experiment> {
    let mut all = Vec::new();
    for workers in [1, 4, 8] {
        all.extend(waiting(workers));
    }
    for workers in [1, 4, 8] {
        all.extend(computing(workers));
    }
    all
}

fn waiting(workers: usize) -> Vec<Experiment> {
    let line = Line::new(format!("seeds/fan-out/{workers}"), JOBS, true);
    let ours = move |runtime| -> List { Box::pin(waits(runtime, workers)) };
    let mut all = line.beside_go(ours, move || match workers {
        1 => words("seed-loop", &[JOBS, 100, 0]),
        _ => words("seed-fan-out", &[workers as u64, JOBS, 100, 0]),
    });
    all.push(line.beside_tokio(ours, move || {
        Box::pin(async move {
            let work = |job: u64| async move {
                tokio::time::sleep(TIME).await;
                job * job
            };
            match workers {
                1 => {
                    for job in 0..JOBS {
                        black_box(work(job).await);
                    }
                }
                _ => tokio_workers(workers, JOBS, work).await,
            }
        })
    }));
    all
}

fn computing(workers: usize) -> Vec<Experiment> {
    // One worker is a loop, and so is Go's: the compilers are what is compared.
    let line = Line::new(format!("seeds/fan-out-cpu/{workers}"), JOBS, workers > 1);
    let ours = move |runtime| -> List { Box::pin(computes(runtime, workers)) };
    let mut all = line.beside_go(ours, move || match workers {
        1 => words("seed-loop", &[JOBS, 0, rounds(TIME)]),
        _ => words("seed-fan-out", &[workers as u64, JOBS, 0, rounds(TIME)]),
    });
    all.push(line.beside_tokio(ours, move || {
        Box::pin(async move {
            let rounds = rounds(TIME);
            match workers {
                1 => in_a_loop(rounds),
                _ => {
                    tokio_workers(workers, JOBS, move |job| async move { job.wrapping_add(spin(rounds)) })
                        .await
                }
            }
        })
    }));
    all
}

async fn waits(runtime: Runtime, workers: usize) {
    let clock = runtime.clock().clone();
    let work = move |job: u64| {
        let wait = clock.sleep(TIME);
        async move {
            wait.await;
            Ok::<_, Infallible>(job * job)
        }
    };
    if workers == 1 {
        for job in 0..JOBS {
            black_box(work(job).await.unwrap_or_default());
        }
        return;
    }
    let plan = Pipeline::source(stream::iter(0..JOBS))
        .stage("work", workers, work)
        .unordered()
        .unread(JOBS as usize)
        .fold(0, |sum, square| *sum += square);
    black_box(plan.run(&runtime).expect("it makes sense").await.expect("nothing fails").output);
}

async fn computes(runtime: Runtime, workers: usize) {
    let rounds = rounds(TIME);
    if workers == 1 {
        return in_a_loop(rounds);
    }
    let work = move |job: u64| async move { Ok::<_, Infallible>(job.wrapping_add(spin(rounds))) };
    let plan = Pipeline::source(stream::iter(0..JOBS))
        .stage("work", workers, work)
        .unordered()
        .unread(JOBS as usize)
        .fold(0, |sum: &mut u64, result| *sum = sum.wrapping_add(result));
    black_box(plan.run(&runtime).expect("it makes sense").await.expect("nothing fails").output);
}

fn in_a_loop(rounds: u64) {
    black_box((0..JOBS).fold(0, |sum: u64, job| sum.wrapping_add(job).wrapping_add(spin(rounds))));
}
