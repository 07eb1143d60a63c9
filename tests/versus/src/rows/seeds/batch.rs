//! Pictures in a batch: 10 milliseconds each, by 1, 10 and 50 workers, `free` or `limited` to 1,500 a second.
//!
//! They are waited for, not computed: that is how 50 workers can do twenty times as much as one, as the
//! document says. One worker is a loop. The limit has a burst of ten; Go's has the arithmetic of its package
//! for rates, by hand, for it is not in Go's library. Only with 50 workers does the limit hold, so that row
//! is only reported: who is exact takes as long as the limit says, and who is faster breaks it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use weirs_limiters::{Quota, Rate, RateLimiter};
use weirs_pipelines::WorkerPool;
use weirs_runtime::Runtime;

use super::super::sides::words;
use super::{Line, List};
use crate::measure::Experiment;

const TIME: Duration = Duration::from_millis(10);
const PER_SECOND: u64 = 1_500;
const BURST: u64 = 10;

/// A line of the table.
#[derive(Clone, Copy)]
struct Batch {
    workers: usize,
    pictures: u64,
    is_limited: bool,
}

pub(super) fn experiments() -> Vec<Experiment> {
    let mut all = Vec::new();
    for is_limited in [false, true] {
        for (workers, pictures) in [(1, 3), (10, 50), (50, 150)] {
            all.extend(rows(Batch { workers, pictures, is_limited }));
        }
    }
    all
}

fn rows(batch: Batch) -> Vec<Experiment> {
    let Batch { workers, pictures, is_limited } = batch;
    let kind = if is_limited { "limited" } else { "free" };
    let holds = is_limited && workers == 50;
    let line = Line::new(format!("seeds/batch/{kind}-{workers}"), pictures, !holds);
    let ours = move |runtime| -> List { Box::pin(ours(runtime, batch)) };
    let mut all = line.beside_go(ours, move || {
        let rate = if is_limited { PER_SECOND } else { 0 };
        words("seed-batch", &[workers as u64, pictures, TIME.as_micros() as u64, rate])
    });
    all.push(line.beside_tokio(ours, move || Box::pin(by_hand(batch))));
    all
}

async fn ours(runtime: Runtime, batch: Batch) {
    let clock = runtime.clock().clone();
    let quota = Quota::new(Rate::per_second(PER_SECOND), BURST).expect("a quota");
    let limiter = RateLimiter::builder(quota).clock(clock.clone()).build();
    let resize = move |_: u64| {
        let wait = clock.sleep(TIME);
        async move {
            wait.await;
            Ok::<_, Infallible>(())
        }
    };
    if batch.workers == 1 {
        for picture in 0..batch.pictures {
            if batch.is_limited {
                limiter.acquire(1).await.expect("it is open");
            }
            assert!(resize(picture).await.is_ok());
        }
        return;
    }
    let builder = WorkerPool::builder(resize).workers(batch.workers).queue(batch.workers).discard_results();
    let pool = builder.build(&runtime).expect("it makes sense");
    for picture in 0..batch.pictures {
        if batch.is_limited {
            limiter.acquire(1).await.expect("it is open");
        }
        pool.submit(picture).await.expect("it is open");
    }
    assert_eq!(pool.close().await.done, batch.pictures);
}

async fn by_hand(batch: Batch) {
    let interval = Duration::from_secs(1) / PER_SECOND as u32;
    let mut full = Instant::now();
    let mut limit = async || {
        if batch.is_limited {
            full = full.max(Instant::now()) + interval;
            if let Some(at) = full.checked_sub(interval * BURST as u32) {
                tokio::time::sleep_until(at).await;
            }
        }
    };
    if batch.workers == 1 {
        for _ in 0..batch.pictures {
            limit().await;
            tokio::time::sleep(TIME).await;
        }
        return;
    }
    let (sender, receiver) = mpsc::channel::<u64>(batch.workers);
    let receiver = Arc::new(Mutex::new(receiver));
    let workers: Vec<_> = (0..batch.workers)
        .map(|_| {
            let receiver = Arc::clone(&receiver);
            tokio::spawn(async move {
                loop {
                    let picture = receiver.lock().await.recv().await;
                    if picture.is_none() {
                        return;
                    }
                    tokio::time::sleep(TIME).await;
                }
            })
        })
        .collect();
    for picture in 0..batch.pictures {
        limit().await;
        sender.send(picture).await.expect("it is read to the end");
    }
    drop(sender);
    for worker in workers {
        worker.await.expect("it does not panic");
    }
}
