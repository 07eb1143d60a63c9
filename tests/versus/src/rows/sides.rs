//! [`Ours`] and [`Peers`]: the sides of rows that run on an executor, or beside it.

use std::future::Future;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use weirs_runtime::Runtime;

use super::hosts::{AsyncStdGlobal, Host, TokioCurrentThread, TokioMultiThread};
use super::jobs::{Jobs, run_all};
use crate::go::{Module, Program};
use crate::measure::{Experiment, Pair, cpu, wall_and_cpu};
use crate::row::Row;

/// What so many items make on a runtime.
pub(super) type Ours = fn(u64, &Runtime) -> Jobs;

/// Whom we stand beside.
#[derive(Clone, Copy)]
pub(super) enum Peers {
    /// On the same executor.
    Jobs(Ours),
    /// In Go: the words that name a program.
    Go(Module, fn() -> Vec<String>),
    /// Without an executor; does so many items.
    Threads(fn(u64)),
}

/// A row, and one beside it for the processor time: on tokio with two threads, and the same on async-std's
/// executor, which is smol's, with as many threads as cores. An operation of the sides is one item.
pub(super) fn on_both(row: impl Fn(&'static str) -> Row, ours: Ours, peers: Peers) -> Vec<Experiment> {
    many_on_both(1, row, ours, peers)
}

/// The same, and a round has so many items at least: where it takes long to begin.
pub(super) fn many_on_both(
    least: u64,
    row: impl Fn(&'static str) -> Row,
    ours: Ours,
    peers: Peers,
) -> Vec<Experiment> {
    vec![
        on(least, row("tokio-mt"), TokioMultiThread::new, ours, peers),
        on(least, row("async-std"), || AsyncStdGlobal, ours, peers),
    ]
}

pub(super) fn on_tokio(row: Row, ours: Ours, peers: Peers) -> Experiment {
    on(1, row, TokioMultiThread::new, ours, peers)
}

pub(super) fn on_async_std(row: Row, ours: Ours, peers: Peers) -> Experiment {
    on(1, row, || AsyncStdGlobal, ours, peers)
}

fn on<H: Host>(least: u64, row: Row, host: fn() -> H, ours: Ours, peers: Peers) -> Experiment {
    let rows = [row.clone(), row.beside("cpu")];
    Experiment::new(rows, move |effort| {
        let host = host();
        let mut ours = on_host(host.clone(), ours);
        let ours = move |times| ours(times * least);
        let mut pair = match peers {
            Peers::Jobs(jobs) => {
                let mut peers = on_host(host, jobs);
                Pair::new(ours, move |times| peers(times * least))
            }
            Peers::Go(module, words) => {
                let mut program = Program::start(module, &words())?;
                // Its processor time is not this process's.
                Pair::new(ours, move |times| program.run(times * least)).waits()
            }
            Peers::Threads(does) => Pair::new(ours, move |times| {
                let items = times * least;
                wall_and_cpu(items, || does(items))
            }),
        };
        Ok(pair.take_turns(effort).to_vec())
    })
}

/// So many items at once, again and again, on tokio with one thread; the processor time of one item.
pub(super) fn on_one_thread<O, P>(
    count: usize,
    ours: impl Fn(Runtime) -> O + Clone + Send + 'static,
    peers: impl Fn() -> P + Clone + Send + 'static,
) -> Pair
where
    O: Future<Output = ()> + Send + 'static,
    P: Future<Output = ()> + Send + 'static,
{
    let (host, beside) = (TokioCurrentThread::new(), TokioCurrentThread::new());
    let runtime = host.runtime();
    Pair::new(
        move |times| {
            let (ours, runtime) = (ours.clone(), runtime.clone());
            let work = async move {
                for _ in 0..times {
                    ours(runtime.clone()).await;
                }
            };
            cpu(times * count as u64, || host.run(work))
        },
        move |times| {
            let peers = peers.clone();
            let work = async move {
                for _ in 0..times {
                    peers().await;
                }
            };
            cpu(times * count as u64, || beside.run(work))
        },
    )
}

fn on_host<H: Host>(host: H, jobs: Ours) -> impl FnMut(u64) -> [f64; 2] + 'static {
    let runtime = host.runtime();
    move |items| {
        let jobs = jobs(items, &runtime);
        wall_and_cpu(items, || run_all(&host, jobs))
    }
}

/// The words `name 1 2`.
pub(super) fn words(name: &str, numbers: &[u64]) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(numbers.iter().map(u64::to_string)).collect()
}

/// Computes for so many rounds; each needs the one before it, and no compiler makes one of several. Go does
/// the same.
#[inline(never)]
pub(super) fn spin(rounds: u64) -> u64 {
    let mut x = black_box(rounds);
    for _ in 0..rounds {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    black_box(x)
}

/// How many rounds take so long on this machine.
pub(super) fn rounds(time: Duration) -> u64 {
    static NANOSECONDS: LazyLock<f64> = LazyLock::new(|| {
        const ROUNDS: u64 = 100_000;
        let once = |_| {
            let start = Instant::now();
            spin(ROUNDS);
            start.elapsed().as_nanos() as f64 / ROUNDS as f64
        };
        // The best: whatever comes between makes it slower.
        (0..50).map(once).fold(f64::INFINITY, f64::min)
    });
    ((time.as_nanos() as f64 / *NANOSECONDS) as u64).max(1)
}

/// So many items on two threads without anything else, half each: as fast as it can be done on two cores.
pub(super) fn on_two_threads(items: u64, work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        let half = |items: u64| {
            let work = &work;
            move || (0..items).for_each(|_| work())
        };
        scope.spawn(half(items / 2));
        half(items - items / 2)();
    });
}
