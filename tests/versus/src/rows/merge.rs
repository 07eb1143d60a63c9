//! Many streams as one, over tokio-stream's `StreamMap`, `select_all` and futures-concurrency.
//!
//! The inputs of both sides are our channels, so that what differs is the merge. `8-channels`: eight tasks
//! send and one receives. `1000-sparse`: one of a thousand channels has an item, and the others wait, all in
//! one task. `8-ready`: all have an item at any time, and one task does nothing else; those who ask their
//! inputs in a row, without a list of who was woken, do best there.

use std::num::NonZeroUsize;
use std::pin::Pin;

use futures::stream::{self, SelectAll, Stream, StreamExt};
use futures_concurrency::stream::{Merge as _, StreamGroup};
use tokio_stream::StreamMap;
use weirs_channels_utils::{Receiver, bounded, merge};
use weirs_runtime::block_on;

use super::channel::{PLACES, places};
use super::jobs::{Jobs, job, on_two_hosts};
use super::sides::{Peers, on_both, words};
use crate::go::{self, Module};
use crate::measure::{Experiment, Pair, wall};
use crate::peers::{peer, peer_in};
use crate::row::Row;

type Item = u64;
type Merged = Pin<Box<dyn Stream<Item = Item> + Send>>;

pub(super) fn experiments() -> Vec<Experiment> {
    let tokio = || peer_in("tokio-stream", "StreamMap");
    let select_all = || peer_in("futures", "select_all");
    let row = |name: &'static str, peer: fn() -> String| {
        move |host: &'static str| Row::new(format!("merge/8-channels/{host}/{name}"), peer())
    };
    let with = |name, peer, goal: f64| {
        let row = row(name, peer);
        move |host| row(host).goal(goal)
    };
    let concurrency = || peer("futures-concurrency");
    let group = || peer_in("futures-concurrency", "StreamGroup");
    let mut all = Vec::new();
    all.extend(on_two_hosts(
        with("stream-map", tokio, 1.0),
        |n| channels(n, ours),
        |n| channels(n, stream_map),
    ));
    all.extend(on_two_hosts(
        with("select-all", select_all, 0.34),
        |n| channels(n, ours),
        |n| channels(n, selected),
    ));
    all.extend(on_two_hosts(row("concurrency", concurrency), |n| channels(n, ours), |n| channels(n, merged)));
    // Unfair: of streams that are all ready it gives the first alone.
    all.extend(on_two_hosts(row("group", group), |n| channels(n, ours), |n| channels(n, grouped)));
    all.extend(on_both(
        |host| Row::new(format!("merge/8-channels/{host}/go"), go::peer()).goal(0.67),
        |n, _| channels(n, ours),
        Peers::Go(Module::Plain, || words("merge", &[8, PLACES as u64])),
    ));
    let sparse = |name: &str, peer: String| Row::new(format!("merge/1000-sparse/{name}"), peer);
    let ready = |name: &str, peer: String| Row::new(format!("merge/8-ready/{name}"), peer);
    all.extend([
        one_of_many(sparse("stream-map", tokio()).goal(0.05), stream_map),
        one_of_many(sparse("select-all", select_all()).goal(1.0), selected),
        one_of_many(sparse("concurrency", concurrency()), merged),
        one_of_many(sparse("group", group()), grouped),
        all_ready(ready("stream-map", tokio()), stream_map),
        all_ready(ready("select-all", select_all()), selected),
        all_ready(ready("concurrency", concurrency()), merged),
    ]);
    all
}

fn ours<S: Stream<Item = Item> + Send + Unpin + 'static>(inputs: Vec<S>) -> Merged {
    Box::pin(merge(inputs))
}

fn stream_map<S: Stream<Item = Item> + Send + Unpin + 'static>(inputs: Vec<S>) -> Merged {
    let map: StreamMap<usize, S> = inputs.into_iter().enumerate().collect();
    Box::pin(map.map(|(_, item)| item))
}

fn selected<S: Stream<Item = Item> + Send + Unpin + 'static>(inputs: Vec<S>) -> Merged {
    let all: SelectAll<S> = stream::select_all(inputs);
    Box::pin(all)
}

fn merged<S: Stream<Item = Item> + Send + Unpin + 'static>(inputs: Vec<S>) -> Merged {
    Box::pin(inputs.merge())
}

fn grouped<S: Stream<Item = Item> + Send + Unpin + 'static>(inputs: Vec<S>) -> Merged {
    Box::pin(inputs.into_iter().collect::<StreamGroup<S>>())
}

fn channels(items: u64, merge: fn(Vec<Receiver<Item>>) -> Merged) -> Jobs {
    const INPUTS: usize = 8;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..INPUTS).map(|_| bounded(places(PLACES))).unzip();
    let mut jobs = Jobs::new();
    for (number, sender) in senders.into_iter().enumerate() {
        jobs.extend(job(async move {
            for item in (number as u64..items).step_by(INPUTS) {
                sender.send(item).await.expect("it is read to the end");
            }
        }));
    }
    let mut merged = merge(receivers);
    jobs.extend(job(async move { while merged.next().await.is_some() {} }));
    jobs
}

fn one_of_many(row: Row, peers: fn(Vec<Receiver<Item>>) -> Merged) -> Experiment {
    Experiment::pair([row], move || {
        let side = |merge: fn(Vec<Receiver<Item>>) -> Merged| {
            let (senders, receivers): (Vec<_>, Vec<_>) =
                (0..1_000).map(|_| bounded(NonZeroUsize::MIN)).unzip();
            let mut merged = merge(receivers);
            move |items: u64| {
                wall(items, || {
                    block_on(async {
                        for item in 0..items {
                            senders[600].try_send(item).expect("there is room");
                            assert_eq!(merged.next().await, Some(item));
                        }
                    });
                })
            }
        };
        Pair::new(side(ours), side(peers))
    })
}

fn all_ready(row: Row, peers: fn(Vec<stream::Repeat<Item>>) -> Merged) -> Experiment {
    Experiment::pair([row], move || {
        let side = |merge: fn(Vec<stream::Repeat<Item>>) -> Merged| {
            let mut merged = merge(vec![stream::repeat(7); 8]);
            move |items: u64| {
                wall(items, || {
                    block_on(async {
                        for _ in 0..items {
                            assert_eq!(merged.next().await, Some(7));
                        }
                    });
                })
            }
        };
        Pair::new(side(ours), side(peers))
    })
}
