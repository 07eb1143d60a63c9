//! Worker pools, over Go's and over loops by hand.
//!
//! Two workers, as there are two processors, with places for 128 jobs and 128 results. `typed`: numbers
//! in, numbers out, handed in as an iterator; `one-by-one`: each with an await of its own. `closures`:
//! boxed functions without results. `tasks`: futures of any type, each with its handle; the peer has a
//! semaphore and a task for each. `spin-2us`: jobs that compute for two microseconds, over two threads
//! that do half of them each and nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::StreamExt;
use weirs_pipelines::{TaskPool, WorkerPool};
use weirs_runtime::Runtime;

use super::channel::PLACES;
use super::hosts::{AsyncStdGlobal, Host};
use super::jobs::{Jobs, job};
use super::peer_channels::{AsyncChannel, Channel, Crossfire, Kanal};
use super::sides::{Peers, on_async_std, on_both, on_tokio, on_two_threads, rounds, spin, words};
use crate::go::{self, Module};
use crate::measure::Experiment;
use crate::peers::{peer, peer_in};
use crate::row::Row;

const WORKERS: usize = 2;
const WORK: Duration = Duration::from_micros(2);

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |shape: &'static str, name: &'static str, peer: String, goal: f64| {
        move |host: &'static str| {
            let row = Row::new(format!("pool/{shape}/{host}/{name}"), peer.clone());
            if goal > 0.0 { row.goal(goal) } else { row }
        }
    };
    let mut all = Vec::new();
    let mut add = |row: &dyn Fn(&'static str) -> Row, ours, peers| all.extend(on_both(row, ours, peers));
    let in_go = |words| Peers::Go(Module::Plain, words);
    add(&row("typed", "go", go::peer(), 0.5), typed, in_go(|| words("pool", &[2, PLACES as u64])));
    add(
        &row("typed", "async-channel", peer("async-channel"), 0.34),
        typed,
        Peers::Jobs(|n, _| pool_by_hand::<AsyncChannel>(WORKERS, n)),
    );
    add(
        &row("typed", "kanal", peer("kanal"), 1.0),
        typed,
        Peers::Jobs(|n, _| pool_by_hand::<Kanal>(WORKERS, n)),
    );
    add(
        &row("typed", "crossfire", peer("crossfire"), 0.0),
        typed,
        Peers::Jobs(|n, _| pool_by_hand::<Crossfire>(WORKERS, n)),
    );
    add(
        &row("one-by-one", "async-channel", peer("async-channel"), 0.0),
        one_by_one,
        Peers::Jobs(|n, _| pool_by_hand::<AsyncChannel>(WORKERS, n)),
    );
    add(&row("closures", "go", go::peer(), 2.5), closures, in_go(|| words("closures", &[2, PLACES as u64])));
    add(
        &row("closures", "async-channel", peer("async-channel"), 0.56),
        closures,
        Peers::Jobs(|n, _| closures_by_hand(n)),
    );
    add(
        &row("spin-2us", "ideal", "two threads, half each".to_owned(), 1.18),
        spin_2us,
        Peers::Threads(|n| {
            on_two_threads(n, || {
                spin(rounds(WORK));
            })
        }),
    );
    add(
        &row("spin-2us", "go", go::peer(), 1.0),
        spin_2us,
        in_go(|| words("pool-spin", &[2, PLACES as u64, rounds(WORK)])),
    );
    let tasks = row("tasks", "semaphore", peer_in("tokio", "spawn and Semaphore"), 0.0);
    all.push(on_tokio(tasks("tokio-mt"), tasks_of_ours, Peers::Jobs(tokio_spawns)));
    let tasks = row("tasks", "semaphore", peer_in("async-std", "spawn, async-lock's Semaphore"), 0.0);
    all.push(on_async_std(tasks("async-std"), tasks_of_ours, Peers::Jobs(spawns::<AsyncStdGlobal>)));
    all
}

async fn plus_one(item: u64) -> Result<u64, Infallible> {
    Ok(item + 1)
}

fn typed(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let builder = WorkerPool::builder(plus_one).workers(WORKERS).queue(PLACES).unread(PLACES);
        let pool = builder.build(&runtime).expect("it makes sense");
        let intake = pool.intake();
        let feeder = runtime.spawn(async move { intake.submit_many(0..items).await.is_ok() });
        let sum = pool.into_results().fold(0, |sum, end| sum + end.result.unwrap_or_default()).await;
        assert_eq!(sum, items * (items + 1) / 2);
        assert!(feeder.await.expect("it is not cancelled"));
    })
}

fn one_by_one(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let builder = WorkerPool::builder(plus_one).workers(WORKERS).queue(PLACES).unread(PLACES);
        let pool = builder.build(&runtime).expect("it makes sense");
        let intake = pool.intake();
        let feeder = runtime.spawn(async move {
            for item in 0..items {
                intake.submit(item).await.expect("it is open");
            }
        });
        let sum = pool.into_results().fold(0, |sum, end| sum + end.result.unwrap_or_default()).await;
        assert_eq!(sum, items * (items + 1) / 2);
        feeder.await.expect("it is not cancelled");
    })
}

fn spin_2us(items: u64, runtime: &Runtime) -> Jobs {
    let (runtime, rounds) = (runtime.clone(), rounds(WORK));
    job(async move {
        let work = move |item: u64| async move { Ok::<_, Infallible>(item.wrapping_add(spin(rounds))) };
        let builder = WorkerPool::builder(work).workers(WORKERS).queue(PLACES).unread(PLACES);
        let pool = builder.build(&runtime).expect("it makes sense");
        let intake = pool.intake();
        let feeder = runtime.spawn(async move { intake.submit_many(0..items).await.is_ok() });
        assert_eq!(pool.into_results().count().await as u64, items);
        assert!(feeder.await.expect("it is not cancelled"));
    })
}

type Boxed = Box<dyn FnOnce() + Send>;

/// Where closures put their number, so that the compiler keeps them; Go's do the same.
static SINK: AtomicU64 = AtomicU64::new(0);

fn boxed(item: u64) -> Boxed {
    Box::new(move || SINK.store(item, Ordering::SeqCst))
}

fn closures(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let call = |job: Boxed| {
            job();
            std::future::ready(Ok::<_, Infallible>(()))
        };
        let builder = WorkerPool::builder(call).workers(WORKERS).queue(PLACES).discard_results();
        let pool = builder.build(&runtime).expect("it makes sense");
        assert!(pool.submit_many((0..items).map(boxed)).await.is_ok());
        assert_eq!(pool.close().await.done, items);
    })
}

fn closures_by_hand(items: u64) -> Jobs {
    let (sender, receiver) = async_channel::bounded::<Boxed>(PLACES);
    let mut jobs = Jobs::new();
    for _ in 0..WORKERS {
        let receiver = receiver.clone();
        jobs.extend(job(async move {
            while let Ok(job) = receiver.recv().await {
                job();
            }
        }));
    }
    jobs.extend(job(async move {
        for item in 0..items {
            sender.send(boxed(item)).await.expect("it is read to the end");
        }
    }));
    jobs
}

/// Workers on a channel of jobs, and a channel for their results.
pub(super) fn pool_by_hand<C: Channel<Receiver: Clone>>(workers: usize, items: u64) -> Jobs {
    let (sender, receiver) = C::bounded(PLACES);
    let (results, mut finished) = C::bounded(PLACES);
    let mut jobs = Jobs::new();
    for _ in 0..workers {
        let (mut receiver, results) = (receiver.clone(), results.clone());
        jobs.extend(job(async move {
            while let Some(item) = C::recv(&mut receiver).await {
                C::send(&results, item + 1).await;
            }
        }));
    }
    drop((receiver, results));
    jobs.extend(job(async move {
        for item in 0..items {
            C::send(&sender, item).await;
        }
    }));
    jobs.extend(job(async move {
        let mut sum = 0;
        while let Some(item) = C::recv(&mut finished).await {
            sum += item;
        }
        assert_eq!(sum, items * (items + 1) / 2);
    }));
    jobs
}

fn tasks_of_ours(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let pool = TaskPool::new(&runtime, WORKERS, PLACES).expect("it makes sense");
        for item in 0..items {
            let task = pool.run(async move { SINK.store(item, Ordering::SeqCst) }).await;
            task.expect("it is open").detach();
        }
        assert_eq!(pool.close().await.done, items);
    })
}

fn tokio_spawns(items: u64, _: &Runtime) -> Jobs {
    job(async move {
        let places = Arc::new(tokio::sync::Semaphore::new(PLACES));
        for item in 0..items {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is open");
            tokio::spawn(async move {
                SINK.store(item, Ordering::SeqCst);
                drop(place);
            });
        }
        let _ = places.acquire_many(PLACES as u32).await;
    })
}

fn spawns<H: Host<Spawner = ()>>(items: u64, _: &Runtime) -> Jobs {
    job(async move {
        let places = Arc::new(async_lock::Semaphore::new(PLACES));
        for item in 0..items {
            let place = places.acquire_arc().await;
            drop(H::spawn(&(), async move {
                SINK.store(item, Ordering::SeqCst);
                drop(place);
            }));
        }
        for _ in 0..PLACES {
            places.acquire().await.forget();
        }
    })
}
