//! Pipelines of three stages, over Go's channels and over loops by hand.
//!
//! A source of numbers, three stages that add one, and the end: five goroutines in Go, and five tasks by
//! hand, with a channel between two. `serial`: ours without a buffer, so that all stages are in one task.
//! `buffered`: ours with as many buffers as the others have channels, and so with a task for each stage.
//! `fan`: one source, four workers, and all of their results in one place. Work of `spin` is 20
//! microseconds a stage.

use std::convert::Infallible;
use std::time::Duration;

use futures_lite::stream;
use weirs_pipelines::Pipeline;
use weirs_runtime::Runtime;

use super::channel::PLACES;
use super::jobs::{Jobs, Way, counted, job};
use super::peer_channels::{AsyncChannel, Channel, Crossfire, Kanal, Tokio};
use super::pipelines_pool::pool_by_hand;
use super::sides::{Peers, on_both, rounds, spin, words};
use crate::go::{self, Module};
use crate::measure::Experiment;
use crate::peers::peer;
use crate::row::Row;

const WORK: Duration = Duration::from_micros(20);

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |shape: &'static str, name: &'static str, peer: String, goal: f64| {
        move |host: &'static str| {
            let row = Row::new(format!("pipeline/{shape}/{host}/{name}"), peer.clone());
            if goal > 0.0 { row.goal(goal) } else { row }
        }
    };
    let go = |channel: &str| format!("{}, {channel}", go::peer());
    let mut all = Vec::new();
    let mut add = |row: &dyn Fn(&'static str) -> Row, ours, peers| all.extend(on_both(row, ours, peers));
    // Without buffers.
    add(&row("serial", "go-0", go("channels of 0"), 0.34), serial, in_go(|| words("pipeline", &[0])));
    add(&row("serial", "go-1", go("channels of 1"), 0.5), serial, in_go(|| words("pipeline", &[1])));
    add(&row("serial", "go-128", go("channels of 128"), 0.125), serial, in_go(|| words("pipeline", &[128])));
    add(&row("serial", "async-channel", peer("async-channel"), 0.34), serial, hand::<AsyncChannel, 1>());
    add(&row("serial", "kanal", peer("kanal"), 0.34), serial, hand::<Kanal, 1>());
    add(&row("serial", "kanal-0", peer("kanal"), 0.34), serial, hand::<Kanal, 0>());
    add(&row("serial", "crossfire", peer("crossfire"), 0.34), serial, hand::<Crossfire, 1>());
    add(&row("serial", "tokio", peer("tokio"), 0.34), serial, hand::<Tokio, 1>());
    // With a task for each stage.
    add(&row("buffered", "go", go("channels of 128"), 0.34), buffered, in_go(|| words("pipeline", &[128])));
    add(
        &row("buffered", "async-channel", peer("async-channel"), 0.25),
        buffered,
        hand::<AsyncChannel, PLACES>(),
    );
    add(&row("buffered", "kanal", peer("kanal"), 0.0), buffered, hand::<Kanal, PLACES>());
    add(&row("buffered", "crossfire", peer("crossfire"), 0.67), buffered, hand::<Crossfire, PLACES>());
    add(&row("buffered", "tokio", peer("tokio"), 0.0), buffered, hand::<Tokio, PLACES>());
    // Out and in again.
    add(&row("fan", "go", go("channels of 128"), 0.67), fan, in_go(|| words("fan", &[4, PLACES as u64])));
    add(
        &row("fan", "async-channel", peer("async-channel"), 0.34),
        fan,
        Peers::Jobs(|n, _| pool_by_hand::<AsyncChannel>(4, n)),
    );
    // With work to do.
    add(
        &row("spin", "go", go("channels of 128"), 1.0),
        spinning,
        in_go(|| words("stages", &[3, PLACES as u64, rounds(WORK)])),
    );
    add(&row("spin", "tokio", peer("tokio"), 1.0), spinning, Peers::Jobs(|n, _| spinning_by_hand(n)));
    all.extend(counted(
        Row::new("pipeline/wakes-128/async-channel", peer("async-channel")).goal(1.0),
        Row::new("pipeline/allocations-128/async-channel", peer("async-channel")).goal(0.05),
        [OURS, BY_HAND],
    ));
    all
}

const OURS: Way = ("pipeline/ours", driven);
const BY_HAND: Way = ("pipeline/async-channel", |n| by_hand::<AsyncChannel>(PLACES, n));

/// What is counted.
pub(super) fn ways() -> Vec<Way> {
    vec![OURS, BY_HAND]
}

fn in_go(words: fn() -> Vec<String>) -> Peers {
    Peers::Go(Module::Plain, words)
}

fn hand<C: Channel, const CAPACITY: usize>() -> Peers {
    Peers::Jobs(|items, _| by_hand::<C>(CAPACITY, items))
}

async fn plus_one(item: u64) -> Result<u64, Infallible> {
    Ok(item + 1)
}

fn serial(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let plan = Pipeline::source(stream::iter(0..items))
            .stage("one", 1, plus_one)
            .stage("two", 1, plus_one)
            .stage("three", 1, plus_one)
            .fold(0, |sum, item| *sum += item);
        check(plan.run(&runtime).expect("it makes sense").await.expect("nothing fails").output, items);
    })
}

fn buffered(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let plan = Pipeline::source(stream::iter(0..items))
            .buffer(PLACES)
            .stage("one", 1, plus_one)
            .buffer(PLACES)
            .stage("two", 1, plus_one)
            .buffer(PLACES)
            .stage("three", 1, plus_one)
            .buffer(PLACES)
            .fold(0, |sum, item| *sum += item);
        check(plan.run(&runtime).expect("it makes sense").await.expect("nothing fails").output, items);
    })
}

/// The buffered one in one task, for its wakes and allocations to be counted.
fn driven(items: u64) -> Jobs {
    job(async move {
        let plan = Pipeline::source(stream::iter(0..items))
            .buffer(PLACES)
            .stage("one", 1, plus_one)
            .buffer(PLACES)
            .stage("two", 1, plus_one)
            .buffer(PLACES)
            .stage("three", 1, plus_one)
            .buffer(PLACES)
            .fold(0, |sum, item| *sum += item);
        check(plan.drive().expect("it makes sense").await.expect("nothing fails").output, items);
    })
}

fn check(sum: u64, items: u64) {
    assert_eq!(sum, items * items.saturating_sub(1) / 2 + 3 * items);
}

fn fan(items: u64, runtime: &Runtime) -> Jobs {
    let runtime = runtime.clone();
    job(async move {
        let plan = Pipeline::source(stream::iter(0..items))
            .stage("work", 4, plus_one)
            .unordered()
            .unread(PLACES)
            .fold(0, |sum, item| *sum += item);
        let ended = plan.run(&runtime).expect("it makes sense").await;
        assert_eq!(ended.expect("nothing fails").output, items * (items + 1) / 2);
    })
}

fn spinning(items: u64, runtime: &Runtime) -> Jobs {
    let (runtime, rounds) = (runtime.clone(), rounds(WORK));
    job(async move {
        let work = move |item: u64| async move { Ok::<_, Infallible>(item.wrapping_add(spin(rounds))) };
        let plan = Pipeline::source(stream::iter(0..items))
            .buffer(PLACES)
            .stage("one", 1, work)
            .buffer(PLACES)
            .stage("two", 1, work)
            .buffer(PLACES)
            .stage("three", 1, work)
            .buffer(PLACES)
            .fold(0, |sum: &mut u64, item| *sum = sum.wrapping_add(item));
        plan.run(&runtime).expect("it makes sense").await.expect("nothing fails");
    })
}

fn by_hand<C: Channel>(capacity: usize, items: u64) -> Jobs {
    stages_by_hand::<C>(capacity, items, |item| item + 1)
}

fn spinning_by_hand(items: u64) -> Jobs {
    stages_by_hand::<Tokio>(PLACES, items, |item| item.wrapping_add(spin(rounds(WORK))))
}

/// A task each for the source, three stages and the end.
fn stages_by_hand<C: Channel>(capacity: usize, items: u64, work: fn(u64) -> u64) -> Jobs {
    let (sender, mut receiver) = C::bounded(capacity);
    let mut jobs = job(async move {
        for item in 0..items {
            C::send(&sender, item).await;
        }
    });
    for _ in 0..3 {
        let (sender, next) = C::bounded(capacity);
        let mut input = std::mem::replace(&mut receiver, next);
        jobs.extend(job(async move {
            while let Some(item) = C::recv(&mut input).await {
                C::send(&sender, work(item)).await;
            }
        }));
    }
    jobs.extend(job(async move {
        let mut sum = 0_u64;
        while let Some(item) = C::recv(&mut receiver).await {
            sum = sum.wrapping_add(item);
        }
        std::hint::black_box(sum);
    }));
    jobs
}
