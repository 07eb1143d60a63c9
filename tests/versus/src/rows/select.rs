//! Races and joins, over those of tokio and futures.
//!
//! `select/race` is one race of two channels' `recv`, of which one has a message: the same channels and the
//! same messages on both sides, in this order by name and fairly. `join/tasks` awaits the handles of tokio
//! tasks that are over already, so that it measures the joining and nothing else. `join/growth` is the cost
//! for one of 100,000 such handles as a multiple of that for one of 1,000, both ours: under tokio's
//! cooperative budget a set that polls all it knows to be woken grows with the square. What
//! `FuturesUnordered` does there stands beside it, reported as it is, and the growth of a plain loop that
//! awaits one handle after the other (`in-turn`): so much of it is the machine's, whose cache is too small,
//! and not the set's. `join/yields` joins futures that are woken once.

use std::future::{Future, pending, ready};
use std::hint::black_box;
use std::time::Instant;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::task::{JoinHandle, yield_now};
use weirs_runtime::{Clock, Task, block_on};
use weirs_scopes::{OneOf2, Select, join, race, race_biased};

use super::hosts::{Host, TokioCurrentThread};
use crate::measure::{Experiment, Pair, SCALE, cpu, wall};
use crate::peers::{peer, peer_in};
use crate::row::Row;

const MANY: usize = 100_000;
const SOME: usize = 1_000;

pub(super) fn experiments() -> Vec<Experiment> {
    let futures = |way| peer_in("futures", way);
    let itself = || peer_in("weirs-scopes", "1,000");
    vec![
        Experiment::pair([Row::new("select/race/biased/tokio", peer("tokio")).goal(1.2)], biased),
        Experiment::pair([Row::new("select/race/fair/tokio", peer("tokio")).goal(1.2)], fair),
        Experiment::pair([Row::new("select/loop/tokio", peer("tokio")).goal(1.2)], rounds),
        Experiment::pair([Row::new("select/ready/tokio", peer("tokio"))], ready_at_once),
        Experiment::rising(&Row::new("join/yields/futures", futures("join_all")), SCALE, join_of_futures),
        Experiment::long_pair([Row::new("join/tasks/1000/futures", futures("join_all")).goal(1.2)], || {
            Pair::new(|_| [median_of(|| ours(SOME))], |_| [median_of(|| tokio_with(SOME, join_all))])
        }),
        Experiment::longest_pair(
            [Row::new("join/tasks/100000/futures", futures("join_all")).goal(0.2)],
            || Pair::new(|_| [ours(MANY)], |_| [tokio_with(MANY, join_all)]),
        ),
        Experiment::long_pair([Row::new("join/growth/tokio-handles", itself()).goal(1.5)], || {
            Pair::new(|_| [ours(MANY)], |_| [median_of(|| ours(SOME))])
        }),
        Experiment::long_pair([Row::new("join/growth/weirs-tasks", itself()).goal(1.5)], || {
            Pair::new(|_| [ours_of_ours(MANY)], |_| [median_of(|| ours_of_ours(SOME))])
        }),
        Experiment::long_pair([Row::new("join/growth/in-turn", peer_in("tokio", "1,000"))], || {
            Pair::new(|_| [tokio_with(MANY, in_turn)], |_| [median_of(|| tokio_with(SOME, in_turn))])
        }),
        Experiment::longest_pair(
            [Row::new("join/tasks/100000/unordered", futures("FuturesUnordered"))],
            || Pair::new(|_| [ours(MANY)], |_| [tokio_with(MANY, unordered)]),
        ),
    ]
}

fn biased() -> Pair {
    Pair::new(
        |count| {
            one_of_two(count, async |a, b| match race_biased((a.recv(), b.recv())).await {
                OneOf2::First(value) | OneOf2::Second(value) => value.is_ok(),
            })
        },
        |count| {
            one_of_two(count, async |a, b| {
                tokio::select! {
                    biased;
                    value = a.recv() => value.is_ok(),
                    value = b.recv() => value.is_ok(),
                }
            })
        },
    )
}

fn fair() -> Pair {
    let clock = Clock::default();
    Pair::new(
        move |count| {
            one_of_two(count, async |a, b| match race(&clock, (a.recv(), b.recv())).await {
                OneOf2::First(value) | OneOf2::Second(value) => value.is_ok(),
            })
        },
        with_tokio,
    )
}

fn rounds() -> Pair {
    Pair::new(
        |count| {
            let mut select = Select::new();
            one_of_two(count, async |a, b| match select.next((a.recv(), b.recv())).await {
                OneOf2::First(value) | OneOf2::Second(value) => value.is_ok(),
            })
        },
        with_tokio,
    )
}

fn with_tokio(count: u64) -> [f64; 1] {
    one_of_two(count, async |a, b| {
        tokio::select! { value = a.recv() => value.is_ok(), value = b.recv() => value.is_ok() }
    })
}

type Receiver = async_channel::Receiver<u64>;

/// So many races of two channels of which one, now this and now that, has a message.
fn one_of_two(count: u64, mut race: impl AsyncFnMut(&Receiver, &Receiver) -> bool) -> [f64; 1] {
    let [a, b] = [(); 2].map(|()| async_channel::bounded(1));
    let work = async {
        for number in 0..count {
            let sender = if number % 2 == 0 { &a.0 } else { &b.0 };
            sender.try_send(number).expect("the last was taken");
            assert!(race(&a.1, &b.1).await);
        }
    };
    wall(count, || block_on(work))
}

/// Nothing but the race itself: the first branch is ready at once.
fn ready_at_once() -> Pair {
    Pair::new(
        |count| {
            let work = async {
                let mut select = Select::new();
                for number in 0..count {
                    black_box(select.next((ready(black_box(number)), pending::<()>())).await);
                }
            };
            wall(count, || block_on(work))
        },
        |count| {
            let work = async {
                for number in 0..count {
                    tokio::select! {
                        value = ready(black_box(number)) => { black_box(value); }
                        () = pending() => {}
                    }
                }
            };
            wall(count, || block_on(work))
        },
    )
}

fn join_of_futures(futures: usize) -> Pair {
    async fn once(number: usize) -> usize {
        futures_lite::future::yield_now().await;
        number
    }
    let per_future = move |count: u64| count * futures as u64;
    Pair::new(
        move |count| {
            let work = async {
                for _ in 0..count {
                    black_box(join((0..futures).map(once).collect::<Vec<_>>()).await);
                }
            };
            cpu(per_future(count), || block_on(work))
        },
        move |count| {
            let work = async {
                for _ in 0..count {
                    black_box(join_all((0..futures).map(once)).await);
                }
            };
            cpu(per_future(count), || block_on(work))
        },
    )
}

/// Our join over tokio's handles, for each of so many.
fn ours(handles: usize) -> f64 {
    tokio_with(handles, join)
}

/// A join over tokio's handles of tasks that are over.
fn tokio_with<F: Future<Output: Send> + Send>(
    handles: usize,
    join: impl FnOnce(Vec<JoinHandle<()>>) -> F + Send + 'static,
) -> f64 {
    TokioCurrentThread::new().run(async move {
        let tasks: Vec<_> = (0..handles).map(|_| tokio::spawn(async {})).collect();
        timed(handles, tasks, JoinHandle::is_finished, join).await
    })
}

/// Our join over our handles, on tokio.
fn ours_of_ours(handles: usize) -> f64 {
    let tokio = TokioCurrentThread::new();
    let runtime = tokio.runtime();
    tokio.run(async move {
        let tasks: Vec<_> = (0..handles).map(|_| runtime.spawn(async {})).collect();
        timed(handles, tasks, Task::is_finished, join).await
    })
}

/// Joins when all are over: nanoseconds for each.
async fn timed<H, F: Future>(
    handles: usize,
    tasks: Vec<H>,
    is_over: impl Fn(&H) -> bool,
    join: impl FnOnce(Vec<H>) -> F,
) -> f64 {
    while !tasks.iter().all(&is_over) {
        yield_now().await;
    }
    let start = Instant::now();
    black_box(join(tasks).await);
    start.elapsed().as_nanos() as f64 / handles as f64
}

async fn unordered(handles: Vec<JoinHandle<()>>) -> usize {
    handles.into_iter().collect::<FuturesUnordered<_>>().count().await
}

/// No set at all: what it costs to come by so many tasks that have left the cache.
async fn in_turn(handles: Vec<JoinHandle<()>>) {
    for handle in handles {
        black_box(handle.await).expect("an empty task ends well");
    }
}

/// A short measurement, repeated until it says something.
fn median_of(measure: impl Fn() -> f64) -> f64 {
    crate::statistics::median((0..25).map(|_| measure()))
}
