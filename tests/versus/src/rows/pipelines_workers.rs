//! How many workers, and when a pool: what the page of the pool says about it.
//!
//! `workers/spin-20us`: jobs that compute, over two threads that do half of them each;
//! `workers/wait-1ms`: jobs that wait, over Go's pool of as many. `crossover`: a pool of two workers over
//! a task for each job, of which a semaphore lets 64 be there, for jobs of growing length. `rayon`: the
//! same beside its two threads.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::StreamExt;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use weirs_pipelines::WorkerPool;
use weirs_runtime::Runtime;

use super::hosts::{AsyncStdGlobal, Host};
use super::jobs::{Jobs, job};
use super::sides::{
    Ours, Peers, many_on_both, on_async_std, on_both, on_tokio, on_two_threads, rounds, spin, words,
};
use crate::go::{self, Module};
use crate::measure::Experiment;
use crate::peers::{peer, peer_in};
use crate::row::Row;

/// Places for jobs and for results.
const PLACES: usize = 64;

pub(super) fn experiments() -> Vec<Experiment> {
    let mut all = Vec::new();
    all.extend(computing::<1>());
    all.extend(computing::<2>());
    all.extend(computing::<4>());
    all.extend(computing::<16>());
    all.extend(computing::<100>());
    all.extend(computing::<1000>());
    all.extend(waiting::<1>());
    all.extend(waiting::<10>());
    all.extend(waiting::<100>());
    all.extend(waiting::<1000>());
    all.extend(crossover::<100>("100ns"));
    all.extend(crossover::<1_000>("1us"));
    all.extend(crossover::<10_000>("10us"));
    all.extend(crossover::<100_000>("100us"));
    all.extend(crossover::<1_000_000>("1ms"));
    all.extend(crossover::<10_000_000>("10ms"));
    all.extend(rayon::<1_000>("1us"));
    all.extend(rayon::<10_000>("10us"));
    all.extend(rayon::<100_000>("100us"));
    all
}

fn computing<const WORKERS: usize>() -> Vec<Experiment> {
    let row = |host: &str| Row::new(format!("workers/spin-20us/{WORKERS}/{host}"), "two threads, half each");
    let ideal = Peers::Threads(|n| {
        on_two_threads(n, || {
            spin(rounds(Duration::from_micros(20)));
        });
    });
    many_on_both(1_000, row, spins::<WORKERS, 20_000>, ideal)
}

fn waiting<const WORKERS: usize>() -> Vec<Experiment> {
    let row = |host: &str| Row::new(format!("workers/wait-1ms/{WORKERS}/{host}"), go::peer()).goal(1.0);
    let peers = || words("pool-sleep", &[WORKERS as u64, PLACES as u64, 1_000]);
    many_on_both(20 * WORKERS as u64, row, sleeps::<WORKERS>, Peers::Go(Module::Plain, peers))
}

fn crossover<const NANOSECONDS: u64>(length: &str) -> [Experiment; 2] {
    let row = |host: &str, peer: String| Row::new(format!("crossover/{length}/{host}/semaphore"), peer);
    let ours: Ours = spins::<2, NANOSECONDS>;
    [
        on_tokio(
            row("tokio-mt", peer_in("tokio", "spawn and Semaphore")),
            ours,
            Peers::Jobs(tokio_spawns::<NANOSECONDS>),
        ),
        on_async_std(
            row("async-std", peer_in("async-std", "spawn, async-lock's Semaphore")),
            ours,
            Peers::Jobs(spawns::<AsyncStdGlobal, NANOSECONDS>),
        ),
    ]
}

fn rayon<const NANOSECONDS: u64>(length: &str) -> Vec<Experiment> {
    let row = |host: &str| Row::new(format!("computing/{length}/{host}/rayon"), peer("rayon"));
    let peers = Peers::Threads(|n| {
        let rounds = rounds(Duration::from_nanos(NANOSECONDS));
        (0..n).into_par_iter().for_each(|_| {
            spin(rounds);
        });
    });
    on_both(row, spins::<2, NANOSECONDS>, peers)
}

fn spins<const WORKERS: usize, const NANOSECONDS: u64>(items: u64, runtime: &Runtime) -> Jobs {
    let rounds = rounds(Duration::from_nanos(NANOSECONDS));
    pool_of(WORKERS, items, runtime, move |item| async move { item.wrapping_add(spin(rounds)) })
}

fn sleeps<const WORKERS: usize>(items: u64, runtime: &Runtime) -> Jobs {
    let clock = runtime.clock().clone();
    pool_of(WORKERS, items, runtime, move |item| {
        let sleep = clock.sleep(Duration::from_millis(1));
        async move {
            sleep.await;
            item
        }
    })
}

fn pool_of<F, Fut>(workers: usize, items: u64, runtime: &Runtime, work: F) -> Jobs
where
    F: Fn(u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = u64> + Send + 'static,
{
    let runtime = runtime.clone();
    job(async move {
        let work = move |item| {
            let work = work(item);
            async move { Ok::<_, Infallible>(work.await) }
        };
        let builder = WorkerPool::builder(work).workers(workers).queue(PLACES).unread(PLACES);
        let pool = builder.build(&runtime).expect("it makes sense");
        let intake = pool.intake();
        let feeder = runtime.spawn(async move { intake.submit_many(0..items).await.is_ok() });
        assert_eq!(pool.into_results().count().await as u64, items);
        assert!(feeder.await.expect("it is not cancelled"));
    })
}

fn tokio_spawns<const NANOSECONDS: u64>(items: u64, _: &Runtime) -> Jobs {
    let rounds = rounds(Duration::from_nanos(NANOSECONDS));
    job(async move {
        let places = Arc::new(tokio::sync::Semaphore::new(PLACES));
        for _ in 0..items {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is open");
            tokio::spawn(async move {
                spin(rounds);
                drop(place);
            });
        }
        let _ = places.acquire_many(PLACES as u32).await;
    })
}

fn spawns<H: Host<Spawner = ()>, const NANOSECONDS: u64>(items: u64, _: &Runtime) -> Jobs {
    let rounds = rounds(Duration::from_nanos(NANOSECONDS));
    job(async move {
        let places = Arc::new(async_lock::Semaphore::new(PLACES));
        for _ in 0..items {
            let place = places.acquire_arc().await;
            // async-std's tasks go on when their handle is dropped.
            drop(H::spawn(&(), async move {
                spin(rounds);
                drop(place);
            }));
        }
        for _ in 0..PLACES {
            places.acquire().await.forget();
        }
    })
}
