//! Spawning and joining tasks that do nothing, over the executor's own spawn and join.
//!
//! A row `spawn/EXECUTOR` is a thousand tasks spawned and then joined, in wall time for each: what a program
//! notices that spawns much. The processor time of all threads stands beside it. `spawn/single/EXECUTOR`
//! spawns one, joins it and spawns the next: with more than one thread in play that is mostly the price of
//! waking a thread, which is the same on both sides and hides our own. The code that spawns runs on the
//! executor, as a server's does, but in `spawn/smol-from-outside`.

use std::hint::black_box;

use super::hosts::{
    AsyncStdGlobal, Host, SmolFromOutside, SmolGlobal, SmolOwn, TokioCurrentThread, TokioMultiThread,
};
use crate::measure::{Experiment, Pair, wall_and_cpu};
use crate::peers::{peer, peer_in};
use crate::row::Row;

/// A batch is large enough to make waking threads cheap, small enough to stay in the cache.
const BATCH: usize = 1_000;

pub(super) fn experiments() -> Vec<Experiment> {
    let tokio_one = || peer_in("tokio", "current-thread");
    let tokio_two = || peer_in("tokio", "multi-thread");
    let own = || peer_in("async-executor", "own executor");
    vec![
        batch(Row::new("spawn/tokio-ct", tokio_one()).goal(1.6), TokioCurrentThread::new),
        batch(Row::new("spawn/smol", peer("smol")).goal(1.7), || SmolGlobal),
        batch(Row::new("spawn/async-std", peer("async-std")).goal(1.6), || AsyncStdGlobal),
        batch(Row::new("spawn/tokio-mt", tokio_two()), TokioMultiThread::new),
        batch(Row::new("spawn/smol-own", own()), SmolOwn::new),
        batch(Row::new("spawn/smol-from-outside", peer("smol")), || SmolFromOutside),
        single(Row::new("spawn/single/tokio-ct", tokio_one()), TokioCurrentThread::new),
        single(Row::new("spawn/single/smol", peer("smol")), || SmolGlobal),
        single(Row::new("spawn/single/async-std", peer("async-std")), || AsyncStdGlobal),
        single(Row::new("spawn/single/tokio-mt", tokio_two()), TokioMultiThread::new),
        single(Row::new("spawn/single/smol-own", own()), SmolOwn::new),
        scale(&Row::new("spawn/scale/tokio-ct", tokio_one()), TokioCurrentThread::new),
        scale(&Row::new("spawn/scale/smol", peer("smol")), || SmolGlobal),
    ]
}

fn batch<H: Host>(row: Row, host: impl Fn() -> H + 'static) -> Experiment {
    Experiment::pair(with_cpu(row), move || spawn_and_join(&host(), BATCH))
}

fn single<H: Host>(row: Row, host: impl Fn() -> H + 'static) -> Experiment {
    Experiment::pair(with_cpu(row), move || spawn_and_join(&host(), 1))
}

fn scale<H: Host>(row: &Row, host: impl Fn() -> H + 'static) -> Experiment {
    Experiment::scale(row, move |tasks| spawn_and_join(&host(), tasks).last())
}

fn with_cpu(row: Row) -> [Row; 2] {
    let cpu = row.beside("cpu");
    [row, cpu]
}

/// Batches of so many tasks.
fn spawn_and_join<H: Host>(host: &H, tasks: usize) -> Pair<2> {
    let (ours, peer, runtime) = (host.clone(), host.clone(), host.runtime());
    let ours = move |batches| {
        let runtime = runtime.clone();
        let work = async move {
            let mut handles = Vec::with_capacity(tasks);
            for _ in 0..batches {
                handles.extend((0..tasks).map(|_| runtime.spawn(async {})));
                for handle in handles.drain(..) {
                    black_box(handle.await).expect("an empty task ends well");
                }
            }
        };
        wall_and_cpu(batches * tasks as u64, || ours.run(work))
    };
    let peer = move |batches| {
        let spawner = peer.spawner();
        let work = async move {
            let mut handles = Vec::with_capacity(tasks);
            for _ in 0..batches {
                handles.extend((0..tasks).map(|_| H::spawn(&spawner, async {})));
                for handle in handles.drain(..) {
                    black_box(handle.await);
                }
            }
        };
        wall_and_cpu(batches * tasks as u64, || peer.run(work))
    };
    Pair::new(ours, peer)
}
