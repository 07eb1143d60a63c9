//! How scopes and tokens grow: the processor time for each of 10 to 100,000, and of a million tokens.
//!
//! `task-scope/scale` spawns children that do nothing and waits for them, beside a `JoinSet` that is emptied.
//! `task-scope/scale-cancel` spawns children that wait for ever, cancels and joins them. `scope/scale` is the
//! same in one task: children that yield once, beside `FuturesUnordered`. `token/scale-children` makes
//! children of one token, cancels it and drops them all; `token/scale-depth` does so with a chain in which
//! each token is the child of the one before.

use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::Pin;

use futures::stream::{FuturesUnordered, StreamExt};
use futures_lite::future::{block_on, yield_now};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weirs_scopes::{CancelToken, Reason, TaskScope, scope, task_scope};

use super::sides::on_one_thread;
use crate::measure::{Experiment, FAR, Pair, cpu};
use crate::peers::{peer, peer_in};
use crate::row::Row;

type Boxed = Pin<Box<dyn Future<Output = usize>>>;

pub(super) fn experiments() -> Vec<Experiment> {
    let join_set = |name: &str| Row::new(format!("{name}/tokio-ct"), peer_in("tokio", "JoinSet"));
    let unordered = Row::new("scope/scale/futures", peer_in("futures", "FuturesUnordered<Box>"));
    let token = |name: &str| Row::new(format!("token/{name}/tokio-util"), peer("tokio-util"));
    vec![
        Experiment::scale(&join_set("task-scope/scale"), children),
        Experiment::scale(&join_set("task-scope/scale-cancel"), cancelled),
        Experiment::scale(&unordered, inline_children),
        Experiment::curve(&token("scale-children"), FAR, tokens),
        Experiment::scale(&token("scale-depth"), chain),
    ]
}

fn children(count: usize) -> Pair {
    on_one_thread(
        count,
        move |runtime| async move {
            task_scope(&runtime, async |s| (0..count).for_each(|_| drop(s.spawn(async {})))).await;
        },
        move || async move {
            let mut set = JoinSet::new();
            (0..count).for_each(|_| drop(set.spawn(async {})));
            while let Some(joined) = set.join_next().await {
                black_box(joined).expect("an empty task ends well");
            }
        },
    )
}

fn cancelled(count: usize) -> Pair {
    on_one_thread(
        count,
        move |runtime| async move {
            let scope = TaskScope::builder().run_on(&runtime, async |s| {
                (0..count).for_each(|_| drop(s.spawn(pending::<()>())));
                // The queue is first in, first out: when the last has run, all wait.
                s.spawn(async {}).await.expect("an empty child ends well");
                s.cancel(Reason::Requested);
            });
            drop(black_box(scope.await));
        },
        move || async move {
            let mut set = JoinSet::new();
            (0..count).for_each(|_| drop(set.spawn(pending::<()>())));
            tokio::spawn(async {}).await.expect("an empty task ends well");
            set.shutdown().await;
        },
    )
}

async fn child(number: usize) -> usize {
    yield_now().await;
    number
}

fn inline_children(count: usize) -> Pair {
    Pair::new(
        move |times| {
            let work = async {
                for _ in 0..times {
                    scope(async |s| (0..count).for_each(|number| drop(s.spawn(child(number))))).await;
                }
            };
            cpu(times * count as u64, || block_on(work))
        },
        move |times| {
            let work = async {
                for _ in 0..times {
                    let boxed = |number| Box::pin(child(number)) as Boxed;
                    let mut children: FuturesUnordered<Boxed> = (0..count).map(boxed).collect();
                    while children.next().await.is_some() {}
                }
            };
            cpu(times * count as u64, || block_on(work))
        },
    )
}

fn tokens(count: usize) -> Pair {
    let (mut ours, mut peers) = (Vec::with_capacity(count), Vec::with_capacity(count));
    Pair::new(
        move |times| {
            cpu(times * count as u64, || {
                for _ in 0..times {
                    let parent = CancelToken::new();
                    ours.extend((0..count).map(|_| parent.child()));
                    parent.cancel(Reason::Requested);
                    ours.clear();
                }
            })
        },
        move |times| {
            cpu(times * count as u64, || {
                for _ in 0..times {
                    let parent = CancellationToken::new();
                    peers.extend((0..count).map(|_| parent.child_token()));
                    parent.cancel();
                    peers.clear();
                }
            })
        },
    )
}

fn chain(depth: usize) -> Pair {
    let (mut ours, mut peers) = (Vec::with_capacity(depth + 1), Vec::with_capacity(depth + 1));
    Pair::new(
        move |times| {
            cpu(times * depth as u64, || {
                for _ in 0..times {
                    ours.push(CancelToken::new());
                    (0..depth).for_each(|above| ours.push(ours[above].child()));
                    ours[0].cancel(Reason::Requested);
                    assert!(ours[depth].is_cancelled());
                    ours.clear();
                }
            })
        },
        move |times| {
            cpu(times * depth as u64, || {
                for _ in 0..times {
                    peers.push(CancellationToken::new());
                    (0..depth).for_each(|above| peers.push(peers[above].child_token()));
                    peers[0].cancel();
                    assert!(peers[depth].is_cancelled());
                    peers.clear();
                }
            })
        },
    )
}
