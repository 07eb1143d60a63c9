//! The bounded channel, over async-channel and tokio's mpsc.
//!
//! Each sender and each receiver is a task. The wall time of one item is taken, from its sender to its
//! receiver, in a stream of many, and the processor time of it. The goals are for two cores that are free,
//! where sender and receiver run at once. On a crowded machine they take turns, nobody is in anybody's way,
//! and all channels come nearer to each other. It is also counted how often tasks are woken for an item, and
//! what is allocated.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use tokio::sync::mpsc;
use weirs_channels_utils::bounded;

use super::jobs::{Jobs, Way, counted, job, on_two_hosts};
use crate::measure::Experiment;
use crate::peers::peer;
use crate::row::Row;

/// Places of the channels, where nothing else is said.
pub(super) const PLACES: usize = 128;
/// Items that go at once, where they go in batches.
const BATCH: usize = 64;
/// Senders and receivers, where there are several.
const MANY: u64 = 4;

pub(super) fn places(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("not zero")
}

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |shape: &'static str, name: &'static str, package: &'static str| {
        move |host: &'static str| Row::new(format!("channel/{shape}/{host}/{name}"), peer(package))
    };
    let with = |shape, name, package, goal: f64| {
        let row = row(shape, name, package);
        move |host| row(host).goal(goal)
    };
    let mut all = Vec::new();
    all.extend(on_two_hosts(with("spsc-128", "async-channel", "async-channel", 0.5), ours, async_channels));
    all.extend(on_two_hosts(with("spsc-128", "tokio", "tokio", 1.0), ours, tokios));
    all.extend(on_two_hosts(
        row("spsc-1", "async-channel", "async-channel"),
        ours_of_one,
        async_channels_of_one,
    ));
    all.extend(on_two_hosts(row("spsc-1", "tokio", "tokio"), ours_of_one, tokios_of_one));
    all.extend(on_two_hosts(
        with("mpmc-128", "async-channel", "async-channel", 0.67),
        ours_mpmc,
        async_channels_mpmc,
    ));
    all.extend(on_two_hosts(
        with("batches-128", "async-channel", "async-channel", 0.2),
        our_batches,
        async_channels,
    ));
    all.extend(on_two_hosts(with("batches-128", "tokio", "tokio", 0.5), our_batches, tokios_many));
    all.extend(counted(
        Row::new("channel/wakes-128/async-channel", peer("async-channel")).goal(1.0),
        Row::new("channel/allocations-128/async-channel", peer("async-channel")).goal(0.05),
        [("channel/ours", ours), ("channel/async-channel", async_channels)],
    ));
    all.extend(counted(
        Row::new("channel/wakes-1/async-channel", peer("async-channel")).goal(1.0),
        Row::new("channel/allocations-1/async-channel", peer("async-channel")).goal(0.05),
        [("channel/ours-1", ours_of_one), ("channel/async-channel-1", async_channels_of_one)],
    ));
    all.extend(counted(
        Row::new("channel/wakes-batches/async-channel", peer("async-channel")).goal(1.0),
        Row::new("channel/allocations-batches/async-channel", peer("async-channel")).goal(0.05),
        [("channel/ours-batches", our_batches), ("channel/async-channel", async_channels)],
    ));
    all
}

/// What is counted.
pub(super) fn ways() -> Vec<Way> {
    vec![
        ("channel/ours", ours),
        ("channel/async-channel", async_channels),
        ("channel/ours-1", ours_of_one),
        ("channel/async-channel-1", async_channels_of_one),
        ("channel/ours-batches", our_batches),
    ]
}

fn ours(items: u64) -> Jobs {
    ours_in(PLACES, 1, items)
}

fn ours_of_one(items: u64) -> Jobs {
    ours_in(1, 1, items)
}

fn ours_mpmc(items: u64) -> Jobs {
    ours_in(PLACES, MANY, items)
}

fn ours_in(capacity: usize, sides: u64, items: u64) -> Jobs {
    let (sender, receiver) = bounded(places(capacity));
    let mut jobs = Jobs::new();
    for side in 0..sides {
        let (sender, mut receiver) = (sender.clone(), receiver.clone());
        jobs.extend(job(async move {
            for item in share(items, side, sides) {
                sender.send(item).await.expect("it is read to the end");
            }
        }));
        jobs.extend(job(async move { while receiver.recv().await.is_some() {} }));
    }
    jobs
}

fn our_batches(items: u64) -> Jobs {
    let (sender, receiver) = bounded(places(PLACES));
    let mut batches = receiver.batches(places(BATCH));
    let mut jobs = job(async move {
        let mut batch = VecDeque::with_capacity(BATCH);
        let mut items = 0..items;
        loop {
            batch.extend(items.by_ref().take(BATCH));
            if batch.is_empty() {
                break;
            }
            sender.send_all(&mut batch).await.expect("it is read to the end");
        }
    });
    jobs.extend(job(async move { while futures_lite::StreamExt::next(&mut batches).await.is_some() {} }));
    jobs
}

fn async_channels(items: u64) -> Jobs {
    async_channels_in(PLACES, 1, items)
}

fn async_channels_of_one(items: u64) -> Jobs {
    async_channels_in(1, 1, items)
}

fn async_channels_mpmc(items: u64) -> Jobs {
    async_channels_in(PLACES, MANY, items)
}

fn async_channels_in(capacity: usize, sides: u64, items: u64) -> Jobs {
    let (sender, receiver) = async_channel::bounded(capacity);
    let mut jobs = Jobs::new();
    for side in 0..sides {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        jobs.extend(job(async move {
            for item in share(items, side, sides) {
                sender.send(item).await.expect("it is read to the end");
            }
        }));
        jobs.extend(job(async move { while receiver.recv().await.is_ok() {} }));
    }
    jobs
}

fn tokios(items: u64) -> Jobs {
    tokios_in(PLACES, items)
}

fn tokios_of_one(items: u64) -> Jobs {
    tokios_in(1, items)
}

fn tokios_in(capacity: usize, items: u64) -> Jobs {
    let (sender, mut receiver) = mpsc::channel(capacity);
    let mut jobs = tokio_sends(sender, items);
    jobs.extend(job(async move { while receiver.recv().await.is_some() {} }));
    jobs
}

/// It receives in batches; it has none for sending.
fn tokios_many(items: u64) -> Jobs {
    let (sender, mut receiver) = mpsc::channel(PLACES);
    let mut jobs = tokio_sends(sender, items);
    jobs.extend(job(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while receiver.recv_many(&mut batch, BATCH).await > 0 {
            batch.clear();
        }
    }));
    jobs
}

fn tokio_sends(sender: mpsc::Sender<u64>, items: u64) -> Jobs {
    job(async move {
        for item in 0..items {
            sender.send(item).await.expect("it is read to the end");
        }
    })
}

/// The part of so many items that one of several senders sends.
fn share(items: u64, side: u64, sides: u64) -> impl Iterator<Item = u64> {
    (side..items).step_by(sides as usize)
}
