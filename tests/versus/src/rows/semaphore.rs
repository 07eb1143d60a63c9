//! The semaphore, over those of tokio and async-lock.
//!
//! An uncontended wait is one that is ready at its first poll, and its permit given back at once; with two
//! threads both do so, and no permit is ever missing. Under contention a thousand tasks share eight permits,
//! and each holds its own over one yield, a hundred times. There tokio, which is fair, is held against the
//! fair mode, and async-lock, which is not and knows no bound, against the barging mode without a bound.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_lite::future::yield_now;
use weirs_limiters::{Mode, Semaphore};

use super::hosts::{AsyncStdGlobal, Host, SmolOwn, TokioCurrentThread, TokioMultiThread};
use super::jobs::{Jobs, job, run_all};
use super::work::on_two_threads;
use crate::measure::{Experiment, Pair, repeat, wall};
use crate::peers::peer;
use crate::row::Row;

const PERMITS: usize = 8;
const TASKS: u64 = 1_000;
/// How often each task has a permit.
const TURNS: u64 = 100;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, package: &str, goal: f64| {
        Row::new(format!("semaphore/{name}/{package}"), peer(package)).goal(goal)
    };
    let mut all = vec![
        Experiment::pair([row("await", "tokio", 0.65)], || pair(ours(), tokios())),
        Experiment::pair([row("await", "async-lock", 0.65)], || pair(ours(), async_locks())),
        Experiment::pair([row("two-threads", "tokio", 0.8)], || pair_on_two_threads(ours(), tokios())),
        Experiment::pair([row("two-threads", "async-lock", 0.3)], || {
            pair_on_two_threads(ours(), async_locks())
        }),
    ];
    all.extend(on_all_hosts(
        |host| row(&format!("contention-fair/{host}"), "tokio", 1.1),
        || jobs_of_ours(Mode::Fair),
        jobs_of_tokio,
    ));
    all.extend(on_all_hosts(
        |host| row(&format!("contention-barging/{host}"), "async-lock", 1.1),
        || jobs_of_ours(Mode::Barging { max_bypass: u32::MAX }),
        jobs_of_async_lock,
    ));
    all
}

fn pair(ours: impl Fn() + 'static, peer: impl Fn() + 'static) -> Pair {
    Pair::new(
        move |count| wall(count, || repeat(count, &ours)),
        move |count| wall(count, || repeat(count, &peer)),
    )
}

fn pair_on_two_threads(ours: impl Fn() + Sync + 'static, peer: impl Fn() + Sync + 'static) -> Pair {
    Pair::new(
        move |count| on_two_threads(count, || repeat(count, &ours)),
        move |count| on_two_threads(count, || repeat(count, &peer)),
    )
}

fn ours() -> impl Fn() + Sync {
    let semaphore = Semaphore::new(PERMITS as u64);
    move || drop(ready(semaphore.acquire(1)).expect("it is open"))
}

fn tokios() -> impl Fn() + Sync {
    let semaphore = tokio::sync::Semaphore::new(PERMITS);
    move || drop(ready(semaphore.acquire()).expect("it is open"))
}

fn async_locks() -> impl Fn() + Sync {
    let semaphore = async_lock::Semaphore::new(PERMITS);
    move || drop(ready(semaphore.acquire()))
}

/// What a future that does not wait gives.
#[inline]
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("permits are free"),
    }
}

fn on_all_hosts(
    row: impl Fn(&'static str) -> Row,
    ours: fn() -> Jobs,
    peers: fn() -> Jobs,
) -> [Experiment; 4] {
    [
        on(row("tokio-ct"), TokioCurrentThread::new, ours, peers),
        on(row("tokio-mt"), TokioMultiThread::new, ours, peers),
        on(row("smol-own"), SmolOwn::new, ours, peers),
        on(row("async-std"), || AsyncStdGlobal, ours, peers),
    ]
}

fn on<H: Host>(row: Row, host: fn() -> H, ours: fn() -> Jobs, peers: fn() -> Jobs) -> Experiment {
    Experiment::pair([row], move || {
        let (host, other) = (host(), host());
        Pair::new(
            move |count| wall(count * TASKS * TURNS, || (0..count).for_each(|_| run_all(&host, ours()))),
            move |count| wall(count * TASKS * TURNS, || (0..count).for_each(|_| run_all(&other, peers()))),
        )
    })
}

fn jobs_of_ours(mode: Mode) -> Jobs {
    let semaphore = Arc::new(Semaphore::builder(PERMITS as u64).mode(mode).build());
    let turns = |semaphore: Arc<Semaphore>| async move {
        for _ in 0..TURNS {
            let _permit = semaphore.acquire(1).await.expect("all may wait");
            yield_now().await;
        }
    };
    (0..TASKS).flat_map(|_| job(turns(Arc::clone(&semaphore)))).collect()
}

fn jobs_of_tokio() -> Jobs {
    let semaphore = Arc::new(tokio::sync::Semaphore::new(PERMITS));
    let turns = |semaphore: Arc<tokio::sync::Semaphore>| async move {
        for _ in 0..TURNS {
            let _permit = semaphore.acquire().await.expect("it is open");
            yield_now().await;
        }
    };
    (0..TASKS).flat_map(|_| job(turns(Arc::clone(&semaphore)))).collect()
}

fn jobs_of_async_lock() -> Jobs {
    let semaphore = Arc::new(async_lock::Semaphore::new(PERMITS));
    let turns = |semaphore: Arc<async_lock::Semaphore>| async move {
        for _ in 0..TURNS {
            let _permit = semaphore.acquire().await;
            yield_now().await;
        }
    };
    (0..TASKS).flat_map(|_| job(turns(Arc::clone(&semaphore)))).collect()
}
