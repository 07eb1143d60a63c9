//! `par_map` with sixteen jobs at once, over a task for each with `buffered`, and over `buffered` alone.
//!
//! `trivial`: the jobs add one. `spin-2us`: they compute for two microseconds, and more than one processor is
//! worth having; ours has two workers then.

use std::future::{Future, ready};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use weirs_pipelines::ParMap;
use weirs_runtime::Runtime;

use super::channel::places;
use super::hosts::{AsyncStdGlobal, Host, TokioMultiThread};
use super::jobs::{Jobs, job};
use super::sides::{Ours, Peers, on_async_std, on_both, on_tokio, on_two_threads, rounds, spin, words};
use crate::go::{self, Module};
use crate::measure::Experiment;
use crate::peers::peer_in;
use crate::row::Row;

const WIDTH: usize = 16;
const WORK: Duration = Duration::from_micros(2);

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |shape: &'static str, name: &'static str, peer: String, goal: f64| {
        move |host: &'static str| {
            let row = Row::new(format!("par-map/{shape}/{host}/{name}"), peer.clone());
            if goal > 0.0 { row.goal(goal) } else { row }
        }
    };
    let mut all = Vec::new();
    let spawned = row("trivial", "spawn-buffered", peer_in("futures", "buffered, a task each"), 0.34);
    all.push(on_tokio(spawned("tokio-mt"), trivial, Peers::Jobs(spawn_buffered::<TokioMultiThread>)));
    all.push(on_async_std(spawned("async-std"), trivial, Peers::Jobs(spawn_buffered::<AsyncStdGlobal>)));
    let spawned =
        row("unordered", "spawn-buffer-unordered", peer_in("futures", "buffer_unordered, a task each"), 0.34);
    all.push(on_tokio(spawned("tokio-mt"), unordered, Peers::Jobs(spawn_unordered::<TokioMultiThread>)));
    all.push(on_async_std(spawned("async-std"), unordered, Peers::Jobs(spawn_unordered::<AsyncStdGlobal>)));
    let rill = || format!("rill OrderedMap, {}", go::peer());
    let in_rill = Peers::Go(Module::Rill, || words("ordered-map", &[WIDTH as u64]));
    all.extend(on_both(row("trivial", "rill", rill(), 0.5), trivial, in_rill));
    all.extend(on_both(
        row("trivial", "buffered", peer_in("futures", "buffered, one task"), 0.0),
        trivial,
        Peers::Jobs(buffered),
    ));
    let spun = row("spin-2us", "spawn-buffered", peer_in("futures", "buffered, a task each"), 0.8);
    let spawn_spinning: [Ours; 2] = [spawn_spinning::<TokioMultiThread>, spawn_spinning::<AsyncStdGlobal>];
    all.push(on_tokio(spun("tokio-mt"), spinning, Peers::Jobs(spawn_spinning[0])));
    all.push(on_async_std(spun("async-std"), spinning, Peers::Jobs(spawn_spinning[1])));
    all.extend(on_both(
        row("spin-2us", "ideal", "two threads, half each".to_owned(), 0.0),
        spinning,
        Peers::Threads(|n| {
            on_two_threads(n, || {
                spin(rounds(WORK));
            })
        }),
    ));
    all
}

fn trivial(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let all = stream::iter(0..items).par_map(places(WIDTH), |item| ready(item + 1), &runtime);
        assert_eq!(all.count().await as u64, items);
    })
}

fn unordered(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let all = stream::iter(0..items).par_map_unordered(places(WIDTH), |item| ready(item + 1), &runtime);
        assert_eq!(all.count().await as u64, items);
    })
}

fn spinning(items: u64, runtime: &Runtime) -> Jobs {
    let (runtime, rounds) = (runtime.clone(), rounds(WORK));
    job(async move {
        let work = move |_| async move { spin(rounds) };
        let all = stream::iter(0..items).par_map(NonZeroUsize::new(2).expect("two"), work, &runtime);
        assert_eq!(all.count().await as u64, items);
    })
}

fn buffered(items: u64, _: &Runtime) -> Jobs {
    job(async move {
        let all = stream::iter(0..items).map(|item| ready(item + 1)).buffered(WIDTH);
        assert_eq!(all.count().await as u64, items);
    })
}

fn spawn_buffered<H: Host<Spawner = ()>>(items: u64, _: &Runtime) -> Jobs {
    spawned::<H, _>(items, |item| async move { _ = black_box(item + 1) })
}

fn spawn_spinning<H: Host<Spawner = ()>>(items: u64, _: &Runtime) -> Jobs {
    let rounds = rounds(WORK);
    spawned::<H, _>(items, move |_| async move { _ = spin(rounds) })
}

fn spawned<H, Fut>(items: u64, work: impl Fn(u64) -> Fut + Send + 'static) -> Jobs
where
    H: Host<Spawner = ()>,
    Fut: Future<Output = ()> + Send + 'static,
{
    job(async move {
        let all = stream::iter(0..items).map(move |item| H::spawn(&(), work(item))).buffered(WIDTH);
        assert_eq!(all.count().await as u64, items);
    })
}

fn spawn_unordered<H: Host<Spawner = ()>>(items: u64, _: &Runtime) -> Jobs {
    job(async move {
        let work = |item| H::spawn(&(), async move { _ = black_box(item + 1) });
        let all = stream::iter(0..items).map(work).buffer_unordered(WIDTH);
        assert_eq!(all.count().await as u64, items);
    })
}
