//! One stream for two and for eight readers, over async-broadcast and tokio's `broadcast`.
//!
//! What is taken is the time of one item, to all readers. tokio's `broadcast` does not wait for slow readers:
//! there the time is that of one delivery, and a row says how many of a hundred it lost meanwhile.
//! async-broadcast has no batches.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_lite::{StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;
use weirs_channels_utils::{StreamUtil, broadcast};

use super::channel::{PLACES, places};
use super::hosts::{AsyncStdGlobal, Host, TokioMultiThread};
use super::jobs::{Jobs, Way, counted, job, on_two_hosts, run_all};
use super::sides::{Peers, on_both, words};
use crate::go::{self, Module};
use crate::measure::{Experiment, Pair, wall};
use crate::peers::{peer, peer_in};
use crate::row::{Row, Samples, Unit};

const BATCH: usize = 64;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |shape: &'static str| {
        move |host: &'static str| {
            Row::new(format!("tee/{shape}/{host}/async-broadcast"), peer("async-broadcast"))
        }
    };
    let with = |shape, goal: f64| {
        let row = row(shape);
        move |host| row(host).goal(goal)
    };
    let mut all = Vec::new();
    all.extend(on_two_hosts(row("broadcast-2"), |n| ours(2, n), |n| peers(2, n)));
    all.extend(on_two_hosts(row("broadcast-8"), |n| ours(8, n), |n| peers(8, n)));
    all.extend(on_two_hosts(with("batches-2", 0.25), |n| our_batches(2, n), |n| peers(2, n)));
    all.extend(on_two_hosts(with("batches-8", 0.25), |n| our_batches(8, n), |n| peers(8, n)));
    all.extend(on_two_hosts(with("tee-2", 0.1), tee::<2>, |n| peers(2, n)));
    all.extend(on_two_hosts(with("tee-8", 0.1), tee::<8>, |n| peers(8, n)));
    all.extend(on_both(
        |host| Row::new(format!("tee/tee-2/{host}/go"), go::peer()).goal(0.5),
        |n, _| tee::<2>(n),
        Peers::Go(Module::Plain, || words("tee", &[2, PLACES as u64])),
    ));
    all.extend(on_both(
        |host| Row::new(format!("tee/tee-8/{host}/go"), go::peer()).goal(0.5),
        |n, _| tee::<8>(n),
        Peers::Go(Module::Plain, || words("tee", &[8, PLACES as u64])),
    ));
    for (readers, name) in [(2, "tokio-2"), (8, "tokio-8")] {
        let row = |host: &str| {
            Row::new(format!("tee/{name}/{host}"), peer_in("tokio", "broadcast, of what it delivered"))
        };
        all.push(lossy(&row("tokio-mt"), readers, TokioMultiThread::new));
        all.push(lossy(&row("async-std"), readers, || AsyncStdGlobal));
    }
    all.extend(counted(
        Row::new("tee/wakes-8/async-broadcast", peer("async-broadcast")).goal(1.0),
        Row::new("tee/allocations-8/async-broadcast", peer("async-broadcast")).goal(0.05),
        [("tee/ours", tee::<8>), ("tee/async-broadcast", |n| peers(8, n))],
    ));
    all
}

/// What is counted.
pub(super) fn ways() -> Vec<Way> {
    vec![("tee/ours", tee::<8>), ("tee/async-broadcast", |n| peers(8, n))]
}

fn ours(readers: usize, items: u64) -> Jobs {
    let (sender, first) = broadcast::channel(places(PLACES));
    let mut jobs = Jobs::new();
    for mut receiver in subscribed(first, readers) {
        jobs.extend(job(async move { while receiver.recv().await.is_some() {} }));
    }
    jobs.extend(job(async move {
        for item in 0..items {
            sender.send(item).await.expect("it is read to the end");
        }
    }));
    jobs
}

fn our_batches(readers: usize, items: u64) -> Jobs {
    let (sender, first) = broadcast::channel(places(PLACES));
    let mut jobs = Jobs::new();
    for receiver in subscribed(first, readers) {
        let mut batches = receiver.batches(places(BATCH));
        jobs.extend(job(async move { while batches.next().await.is_some() {} }));
    }
    jobs.extend(job(async move {
        let mut batch = VecDeque::with_capacity(BATCH);
        let mut items = 0..items;
        loop {
            batch.extend(items.by_ref().take(BATCH));
            if batch.is_empty() {
                break;
            }
            sender.send_all(&mut batch).await.expect("it is read to the end");
        }
    }));
    jobs
}

fn subscribed(first: broadcast::Receiver<u64>, readers: usize) -> Vec<broadcast::Receiver<u64>> {
    let mut receivers: Vec<_> = (1..readers).map(|_| first.subscribe()).collect();
    receivers.push(first);
    receivers
}

fn tee<const READERS: usize>(items: u64) -> Jobs {
    let readers = stream::iter(0..items).tee::<READERS>(places(PLACES));
    readers
        .into_iter()
        .flat_map(|mut reader| job(async move { while reader.next().await.is_some() {} }))
        .collect()
}

fn peers(readers: usize, items: u64) -> Jobs {
    let (sender, first) = async_broadcast::broadcast(PLACES);
    let mut jobs = Jobs::new();
    for mut receiver in (0..readers).map(|_| first.clone()) {
        jobs.extend(job(async move { while receiver.recv().await.is_ok() {} }));
    }
    drop(first);
    jobs.extend(job(async move {
        for item in 0..items {
            sender.broadcast(item).await.expect("it is read to the end");
        }
    }));
    jobs
}

/// The time of a delivery, and how many of a hundred the peer lost.
fn lossy<H: Host>(row: &Row, readers: usize, host: fn() -> H) -> Experiment {
    let lost = Row { peer: None, ..row.beside("lost-by-tokio").unit(Unit::Percent) };
    Experiment::new([row.clone(), lost], move |effort| {
        let (host, other) = (host(), host());
        let lost: Vec<f64> = (0..3)
            .map(|_| {
                const ITEMS: u64 = 100_000;
                let due = (ITEMS * readers as u64) as f64;
                100.0 * (due - tokio_delivers(&host, readers, ITEMS).1 as f64) / due
            })
            .collect();
        let [times] = Pair::new(
            move |items| {
                let deliveries = items * readers as u64;
                wall(deliveries, || run_all(&host, ours(readers, items)))
            },
            move |items| {
                let (time, delivered) = tokio_delivers(&other, readers, items);
                [time.as_nanos() as f64 / delivered.max(1) as f64]
            },
        )
        .take_turns(effort);
        Ok(vec![times, Samples::Alone(lost)])
    })
}

/// How long it took, and how much came.
fn tokio_delivers<H: Host>(host: &H, readers: usize, items: u64) -> (Duration, u64) {
    let (sender, first) = tokio::sync::broadcast::channel(PLACES);
    let delivered = Arc::new(AtomicU64::new(0));
    let mut jobs = Jobs::new();
    for _ in 0..readers {
        let (mut receiver, delivered) = (first.resubscribe(), Arc::clone(&delivered));
        jobs.extend(job(async move {
            let mut seen = 0;
            loop {
                match receiver.recv().await {
                    Ok(_) => seen += 1,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                }
            }
            delivered.fetch_add(seen, Ordering::Relaxed);
        }));
    }
    drop(first);
    jobs.extend(job(async move {
        for item in 0..items {
            // It never waits. Without this the readers, on one thread, would see nothing but the last.
            if item % PLACES as u64 == 0 {
                futures_lite::future::yield_now().await;
            }
            let _ = sender.send(item);
        }
    }));
    let start = Instant::now();
    run_all(host, jobs);
    (start.elapsed(), delivered.load(Ordering::Relaxed))
}
