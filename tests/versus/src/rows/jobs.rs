//! [`Jobs`]: what runs side by side on an executor, timed or counted.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hosts::{AsyncStdGlobal, Host, TokioMultiThread};
use super::{channel, pipelines, tee};
use crate::child;
use crate::measure::{Experiment, Pair, wall_and_cpu};
use crate::row::{Row, Samples, Unit};

/// Futures that run side by side, each in a task of its own, until all have ended.
pub type Jobs = Vec<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// A name, and the jobs that so many items make.
pub type Way = (&'static str, fn(u64) -> Jobs);

/// A job.
pub(super) fn job(future: impl Future<Output = ()> + Send + 'static) -> Jobs {
    vec![Box::pin(future)]
}

/// A row, and one beside it for the processor time: on tokio with two threads, and the same on async-std's
/// executor, which is smol's, with as many threads as cores. An operation of the sides is one item.
pub(super) fn on_two_hosts(
    row: impl Fn(&'static str) -> Row,
    ours: fn(u64) -> Jobs,
    peers: fn(u64) -> Jobs,
) -> Vec<Experiment> {
    vec![
        Experiment::pair(wall_and_processor(&row("tokio-mt")), move || {
            let host = TokioMultiThread::new();
            let other = host.clone();
            Pair::new(
                move |items| together(&host, items, ours(items)),
                move |items| together(&other, items, peers(items)),
            )
        }),
        Experiment::pair(wall_and_processor(&row("async-std")), move || {
            Pair::new(
                move |items| together(&AsyncStdGlobal, items, ours(items)),
                move |items| together(&AsyncStdGlobal, items, peers(items)),
            )
        }),
    ]
}

fn wall_and_processor(row: &Row) -> [Row; 2] {
    [row.clone(), row.beside("cpu")]
}

/// The wall time and the processor time of one item.
fn together<H: Host>(host: &H, items: u64, jobs: Jobs) -> [f64; 2] {
    wall_and_cpu(items, || run_all(host, jobs))
}

/// Runs them to their end.
pub(super) fn run_all<H: Host>(host: &H, jobs: Jobs) {
    let spawner = host.spawner();
    host.run(async move {
        let handles: Vec<_> = jobs.into_iter().map(|job| H::spawn(&spawner, job)).collect();
        for handle in handles {
            handle.await;
        }
    });
}

/// How often the tasks of a way are polled: once for each time that they are woken, and once more. On one
/// thread, so that it does not depend on who is faster.
pub fn polls(items: u64, way: fn(u64) -> Jobs) -> u64 {
    let polls = Arc::new(AtomicU64::new(0));
    let counted = way(items).into_iter().map(|mut job| {
        let polls = Arc::clone(&polls);
        poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            pin!(&mut job).poll(cx)
        })
    });
    let executor = smol::LocalExecutor::new();
    let tasks: Vec<_> = counted.map(|job| executor.spawn(job)).collect();
    smol::block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    polls.load(Ordering::Relaxed)
}

/// The ways that are counted.
pub fn ways() -> Vec<Way> {
    [channel::ways(), tee::ways(), pipelines::ways()].concat()
}

/// A row each for the wakes and for the allocations of two ways, for one item.
pub(super) fn counted(wakes: Row, allocations: Row, [ours, peers]: [Way; 2]) -> Vec<Experiment> {
    vec![
        Experiment::new([wakes.unit(Unit::Each)], move |_| {
            const ITEMS: u64 = 50_000;
            let count = |way| polls(ITEMS, way) as f64 / ITEMS as f64;
            Ok(vec![Samples::Pairs(vec![(count(ours.1), count(peers.1))])])
        }),
        Experiment::new([allocations.unit(Unit::Each)], move |_| {
            Ok(vec![Samples::Pairs(vec![(child::allocations(ours.0)?, child::allocations(peers.0)?)])])
        }),
    ]
}
