//! How streams, pipelines, pools and mailboxes grow: the processor time for each of 10 to 100,000.
//!
//! `pipeline/scale-items`: so many items through three stages and their queues, in one task, beside three
//! `then` of futures. `pipeline/scale-stages`: a thousand items through so many stages, for each stage.
//! `pool/scale-waiting`: so many jobs wait when the workers begin. `merge/scale-inputs`: each of so many
//! channels has an item. `watch/scale-receivers`, `broadcast/scale-receivers`: so many wait for the next
//! value, and it comes. `actors/scale-children`: so many actors are started in one tree, and are killed;
//! bare tasks stand beside them. `actors/scale-mailbox`: so many messages wait in one mailbox when its
//! actor begins.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};

use futures::stream::{self, StreamExt};
use weirs_actors::actor::{self, Actor, Mailbox, Reply};
use weirs_actors::supervise::{Spec, Supervisor};
use weirs_channels_utils::{bounded, broadcast, merge, watch};
use weirs_pipelines::{Pipeline, WorkerPool};
use weirs_runtime::block_on;

use super::channel::{PLACES, places};
use super::sides::on_one_thread;
use crate::measure::{Experiment, FAR, Pair, cpu};
use crate::peers::{peer, peer_in};
use crate::row::Row;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, peer: String| Row::new(name, peer);
    let then = || peer_in("futures", "then");
    vec![
        Experiment::curve(&row("pipeline/scale-items/futures", then()), FAR, items),
        Experiment::curve(&row("pipeline/scale-stages/futures", then()), [1, 3, 6], stages),
        Experiment::scale(&row("pool/scale-waiting/async-channel", peer("async-channel")), jobs),
        Experiment::scale(&row("merge/scale-inputs/select-all", peer_in("futures", "select_all")), inputs),
        Experiment::scale(&row("watch/scale-receivers/tokio", peer_in("tokio", "watch")), watchers),
        Experiment::scale(
            &row("broadcast/scale-receivers/async-broadcast", peer("async-broadcast")),
            receivers,
        ),
        Experiment::scale(&row("actors/scale-children/tokio", peer("tokio")), children),
        Experiment::scale(&row("actors/scale-mailbox/async-channel", peer("async-channel")), messages),
    ]
}

async fn plus_one(item: u64) -> Result<u64, Infallible> {
    Ok(item + 1)
}

async fn one_more(item: u64) -> u64 {
    item + 1
}

async fn sum(stream: impl futures::Stream<Item = u64>) -> u64 {
    stream.fold(0, |sum, item| async move { sum + item }).await
}

fn items(count: usize) -> Pair {
    let count = count as u64;
    Pair::new(
        move |times| {
            let work = async {
                for _ in 0..times {
                    let plan = Pipeline::source(stream::iter(0..count))
                        .stage("one", 1, plus_one)
                        .buffer(PLACES)
                        .stage("two", 1, plus_one)
                        .buffer(PLACES)
                        .stage("three", 1, plus_one)
                        .fold(0, |sum, item| *sum += item);
                    let ended = plan.drive().expect("it makes sense").await;
                    black_box(ended.expect("nothing fails").output);
                }
            };
            cpu(times * count, || block_on(work))
        },
        move |times| {
            let work = async {
                for _ in 0..times {
                    let stages = stream::iter(0..count).then(one_more).then(one_more).then(one_more);
                    black_box(sum(stages).await);
                }
            };
            cpu(times * count, || block_on(work))
        },
    )
}

fn stages(count: usize) -> Pair {
    const ITEMS: u64 = 1_000;
    macro_rules! sides {
        ($($name:literal)*) => {
            Pair::new(
                move |times| {
                    let work = async {
                        for _ in 0..times {
                            let plan = Pipeline::source(stream::iter(0..ITEMS))
                                $(.stage($name, 1, plus_one))*
                                .fold(0, |sum, item| *sum += item);
                            let ended = plan.drive().expect("it makes sense").await;
                            black_box(ended.expect("nothing fails").output);
                        }
                    };
                    cpu(times * ITEMS * count as u64, || block_on(work))
                },
                move |times| {
                    let work = async {
                        for _ in 0..times {
                            let stages = stream::iter(0..ITEMS);
                            $(let stages = { let _ = $name; stages.then(one_more) };)*
                            black_box(sum(stages).await);
                        }
                    };
                    cpu(times * ITEMS * count as u64, || block_on(work))
                },
            )
        };
    }
    match count {
        1 => sides!("a"),
        3 => sides!("a" "b" "c"),
        _ => sides!("a" "b" "c" "d" "e" "f"),
    }
}

fn jobs(count: usize) -> Pair {
    const WORKERS: usize = 2;
    on_one_thread(
        count,
        move |runtime| async move {
            let builder = WorkerPool::builder(plus_one).workers(WORKERS).queue(count).unread(count);
            let pool = builder.build(&runtime).expect("it makes sense");
            for job in 0..count as u64 {
                pool.try_submit(job).expect("there is room");
            }
            assert_eq!(pool.into_results().count().await, count);
        },
        move || async move {
            let (sender, receiver) = async_channel::bounded(count);
            let (results, finished) = async_channel::bounded(count);
            for _ in 0..WORKERS {
                let (receiver, results) = (receiver.clone(), results.clone());
                tokio::spawn(async move {
                    while let Ok(job) = receiver.recv().await {
                        results.send(job + 1).await.expect("it is read to the end");
                    }
                });
            }
            drop((receiver, results));
            for job in 0..count as u64 {
                sender.try_send(job).expect("there is room");
            }
            drop(sender);
            let mut read = 0;
            while finished.recv().await.is_ok() {
                read += 1;
            }
            assert_eq!(read, count);
        },
    )
}

fn inputs(count: usize) -> Pair {
    let side = |merge: fn(Vec<weirs_channels_utils::Receiver<u64>>) -> Items| {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded(places(1))).unzip();
        let mut merged = merge(receivers);
        move |times: u64| {
            let work = async {
                for _ in 0..times {
                    for sender in &senders {
                        sender.try_send(7).expect("there is room");
                    }
                    for _ in 0..count {
                        assert_eq!(merged.next().await, Some(7));
                    }
                }
            };
            cpu(times * count as u64, || block_on(work))
        }
    };
    Pair::new(
        side(|receivers| Box::pin(merge(receivers))),
        side(|receivers| Box::pin(stream::select_all(receivers))),
    )
}

type Items = Pin<Box<dyn stream::Stream<Item = u64>>>;
type Waits = Vec<Pin<Box<dyn Future<Output = ()>>>>;

/// What is sent is taken by all who wait, and they wait again.
fn delivered(mut waiting: Waits, mut send: impl FnMut() + 'static) -> impl FnMut(u64) -> [f64; 1] + 'static {
    fn wait(waiting: &mut Waits) {
        let mut cx = Context::from_waker(Waker::noop());
        waiting.iter_mut().for_each(|one| assert!(one.as_mut().poll(&mut cx).is_pending()));
    }
    wait(&mut waiting);
    move |times| {
        cpu(times * waiting.len() as u64, || {
            for _ in 0..times {
                send();
                wait(&mut waiting);
            }
        })
    }
}

fn watchers(count: usize) -> Pair {
    let (ours, first) = watch::channel(0_u64);
    let waiting = (0..count).map(|_| {
        let mut receiver = first.clone();
        Box::pin(async move { while receiver.changed().await.is_ok() {} }) as _
    });
    let waiting: Waits = waiting.collect();
    let (peer, first) = tokio::sync::watch::channel(0_u64);
    let peers = (0..count).map(|_| {
        let mut receiver = first.clone();
        Box::pin(async move { while receiver.changed().await.is_ok() {} }) as _
    });
    let peers: Waits = peers.collect();
    Pair::new(
        delivered(waiting, move || drop(ours.send(7))),
        delivered(peers, move || peer.send(7).expect("they are there")),
    )
}

fn receivers(count: usize) -> Pair {
    let (ours, first) = broadcast::channel(places(PLACES));
    let mut receivers: Vec<_> = (1..count).map(|_| first.subscribe()).collect();
    receivers.push(first);
    let waiting = receivers
        .into_iter()
        .map(|mut receiver| Box::pin(async move { while receiver.recv().await.is_some() {} }) as _);
    let waiting: Waits = waiting.collect();
    let (peer, first) = async_broadcast::broadcast(PLACES);
    let mut receivers: Vec<_> = (1..count).map(|_| first.clone()).collect();
    receivers.push(first);
    let peers = receivers
        .into_iter()
        .map(|mut receiver| Box::pin(async move { while receiver.recv().await.is_ok() {} }) as _);
    let peers: Waits = peers.collect();
    Pair::new(
        delivered(waiting, move || assert!(ours.try_send(7_u64).is_ok())),
        delivered(peers, move || assert!(peer.try_broadcast(7_u64).is_ok())),
    )
}

#[derive(Default)]
struct Counter(u64);

enum Message {
    Add(u64),
    Get(Reply<u64>),
}

impl Actor for Counter {
    type Message = Message;
    type Error = Infallible;

    async fn handle(&mut self, message: Message, _: &mut actor::Context<Self>) -> Result<(), Infallible> {
        match message {
            Message::Add(number) => self.0 += number,
            Message::Get(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

fn children(count: usize) -> Pair {
    on_one_thread(
        count,
        move |runtime| async move {
            let specs = (0..count as u64).map(|id| Spec::actor(id, Counter::default).1);
            let tree = Supervisor::one_for_one().children(specs).start(&runtime).await;
            tree.expect("it starts").kill().await;
        },
        move || async move {
            let all: Vec<_> = (0..count).map(|_| tokio::spawn(pending::<()>())).collect();
            tokio::spawn(async {}).await.expect("an empty task ends well");
            all.iter().for_each(tokio::task::JoinHandle::abort);
            for one in all {
                assert!(one.await.is_err());
            }
        },
    )
}

fn messages(count: usize) -> Pair {
    on_one_thread(
        count,
        move |runtime| async move {
            let mailbox = Mailbox::bounded(count + 1);
            let (address, spec) = Spec::actor_with(0_u64, mailbox, Counter::default);
            let tree = Supervisor::one_for_one().child(spec).start(&runtime).await;
            for _ in 0..count {
                address.try_tell(Message::Add(1)).expect("there is room");
            }
            assert_eq!(address.ask(Message::Get).await.expect("it lives"), count as u64);
            tree.expect("it starts").kill().await;
        },
        move || async move {
            let (sender, receiver) = async_channel::bounded(count + 1);
            let actor = tokio::spawn(async move {
                let mut sum = 0;
                while let Ok(number) = receiver.recv().await {
                    sum += number;
                }
                sum
            });
            for _ in 0..count {
                sender.try_send(1).expect("there is room");
            }
            drop(sender);
            assert_eq!(actor.await.expect("it ends well"), count);
        },
    )
}
