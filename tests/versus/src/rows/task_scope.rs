//! Parallel scopes, over tokio's `JoinSet` and over an executor's own spawn and join.
//!
//! A row `task-scope/join-set/HOST` is a thousand children that do nothing, spawned and joined: in a scope
//! that waits for them, and in a `JoinSet` that is emptied with `join_next`. With `handles` in its name,
//! ours awaits the handle of each, as `join_next` gives each result. `task-scope/spawn/EXECUTOR` awaits
//! handles on both sides. `task-scope/cancel/HOST` cancels and joins 100,000 children that wait for
//! something, against `JoinSet::shutdown`; it is the time from the cancel to the end of the last, for each.

use std::future::{Future, pending};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;
use weirs_runtime::Runtime;
use weirs_scopes::{Reason, TaskScope, task_scope};

use super::hosts::{AsyncStdGlobal, Host, SmolGlobal, TokioCurrentThread, TokioMultiThread};
use crate::measure::{Experiment, Pair, wall_and_cpu};
use crate::peers::{peer, peer_in};
use crate::row::Row;

const BATCH: usize = 1_000;
/// Children that are cancelled.
const MANY: usize = 100_000;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, peer: String, goal: f64| Row::new(format!("task-scope/{name}"), peer).goal(goal);
    let one = || peer_in("tokio", "JoinSet, current-thread");
    let two = || peer_in("tokio", "JoinSet, multi-thread");
    let (ct, mt) = (TokioCurrentThread::new, TokioMultiThread::new);
    vec![
        join_set(row("join-set/tokio-ct", one(), 1.2), ct, false),
        join_set(row("join-set/tokio-mt", two(), 1.0), mt, false),
        join_set(row("join-set/handles/tokio-ct", one(), 1.2), ct, true),
        join_set(row("join-set/handles/tokio-mt", two(), 1.0), mt, true),
        spawn(row("spawn/tokio-ct", peer_in("tokio", "current-thread"), 1.5), ct),
        spawn(row("spawn/tokio-mt", peer_in("tokio", "multi-thread"), 1.5), mt),
        spawn(row("spawn/smol", peer("smol"), 1.7), || SmolGlobal),
        spawn(row("spawn/async-std", peer("async-std"), 1.8), || AsyncStdGlobal),
        cancel(row("cancel/tokio-ct", one(), 0.6), ct),
        cancel(row("cancel/tokio-mt", two(), 0.6), mt),
    ]
}

fn with_cpu(row: Row) -> [Row; 2] {
    let cpu = row.beside("cpu");
    [row, cpu]
}

async fn in_scopes(runtime: Runtime, batches: u64, with_handles: bool) {
    let mut handles = Vec::with_capacity(BATCH);
    for _ in 0..batches {
        task_scope(&runtime, async |s| {
            if !with_handles {
                return (0..BATCH).for_each(|_| drop(s.spawn(async {})));
            }
            handles.extend((0..BATCH).map(|_| s.spawn(async {})));
            for handle in handles.drain(..) {
                black_box(handle.await).expect("an empty child ends well");
            }
        })
        .await;
    }
}

fn join_set<H: Host>(row: Row, host: impl Fn() -> H + 'static, with_handles: bool) -> Experiment {
    Experiment::pair(with_cpu(row), move || {
        let (ours, peer) = (host(), host());
        let runtime = ours.runtime();
        Pair::new(
            move |batches| {
                let work = in_scopes(runtime.clone(), batches, with_handles);
                wall_and_cpu(batches * BATCH as u64, || ours.run(work))
            },
            move |batches| {
                let work = async move {
                    for _ in 0..batches {
                        let mut set = JoinSet::new();
                        (0..BATCH).for_each(|_| drop(set.spawn(async {})));
                        while let Some(joined) = set.join_next().await {
                            black_box(joined).expect("an empty task ends well");
                        }
                    }
                };
                wall_and_cpu(batches * BATCH as u64, || peer.run(work))
            },
        )
    })
}

fn spawn<H: Host>(row: Row, host: impl Fn() -> H + 'static) -> Experiment {
    Experiment::pair(with_cpu(row), move || {
        let (ours, peer) = (host(), host());
        let runtime = ours.runtime();
        Pair::new(
            move |batches| {
                let work = in_scopes(runtime.clone(), batches, true);
                wall_and_cpu(batches * BATCH as u64, || ours.run(work))
            },
            move |batches| {
                let spawner = peer.spawner();
                let work = async move {
                    let mut handles = Vec::with_capacity(BATCH);
                    for _ in 0..batches {
                        handles.extend((0..BATCH).map(|_| H::spawn(&spawner, async {})));
                        for handle in handles.drain(..) {
                            black_box(handle.await);
                        }
                    }
                };
                wall_and_cpu(batches * BATCH as u64, || peer.run(work))
            },
        )
    })
}

/// Waits for ever, and tells of its first poll.
fn parked(polled: &Arc<AtomicUsize>) -> impl Future<Output = ()> + Send + 'static {
    let polled = Arc::clone(polled);
    async move {
        polled.fetch_add(1, Ordering::Relaxed);
        pending::<()>().await;
    }
}

async fn all_parked(polled: &AtomicUsize) {
    while polled.load(Ordering::Relaxed) < MANY {
        tokio::task::yield_now().await;
    }
}

fn cancel<H: Host>(row: Row, host: impl Fn() -> H + 'static) -> Experiment {
    Experiment::long_pair([row], move || {
        let (ours, peer) = (host(), host());
        let runtime = ours.runtime();
        Pair::new(
            move |rounds| {
                let runtime = runtime.clone();
                [ours.run(async move {
                    let mut taken = 0.0;
                    for _ in 0..rounds {
                        let mut start = None;
                        let scope = TaskScope::builder().run_on(&runtime, async |s| {
                            let polled = Arc::new(AtomicUsize::new(0));
                            (0..MANY).for_each(|_| drop(s.spawn(parked(&polled))));
                            all_parked(&polled).await;
                            start = Some(Instant::now());
                            s.cancel(Reason::Requested);
                        });
                        drop(black_box(scope.await));
                        taken += start.expect("the body ran").elapsed().as_nanos() as f64;
                    }
                    taken / (rounds as f64 * MANY as f64)
                })]
            },
            move |rounds| {
                [peer.run(async move {
                    let mut taken = 0.0;
                    for _ in 0..rounds {
                        let polled = Arc::new(AtomicUsize::new(0));
                        let mut set = JoinSet::new();
                        (0..MANY).for_each(|_| drop(set.spawn(parked(&polled))));
                        all_parked(&polled).await;
                        let start = Instant::now();
                        set.shutdown().await;
                        taken += start.elapsed().as_nanos() as f64;
                    }
                    taken / (rounds as f64 * MANY as f64)
                })]
            },
        )
    })
}
