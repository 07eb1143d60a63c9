//! A task that reads a channel.

use std::hint::black_box;

use futures::future::join_all;
use weirs_runtime::Runtime;

use super::{ROOM, Work};

enum Told {
    Add(u64),
    Get(futures::channel::oneshot::Sender<u64>),
}

fn loop_actor(runtime: &Runtime) -> (async_channel::Sender<Told>, weirs_runtime::Task<()>) {
    let (sender, receiver) = async_channel::bounded(ROOM);
    let task = runtime.spawn(async move {
        let mut count = 0;
        while let Ok(told) = receiver.recv().await {
            match told {
                Told::Add(number) => count += number,
                Told::Get(reply) => drop(reply.send(count)),
            }
        }
    });
    (sender, task)
}

async fn loop_ask(sender: &async_channel::Sender<Told>) -> u64 {
    let (reply, answer) = futures::channel::oneshot::channel();
    sender.send(Told::Get(reply)).await.ok();
    answer.await.expect("it lives")
}

pub(super) fn loop_tells(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (sender, _task) = loop_actor(&runtime);
        for _ in 0..times {
            sender.send(Told::Add(1)).await.ok();
        }
        assert_eq!(loop_ask(&sender).await, times);
    })
}

pub(super) fn loop_four(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (sender, _task) = loop_actor(&runtime);
        let tells = (0..4).map(|_| {
            let sender = sender.clone();
            runtime.spawn(async move {
                for _ in 0..times / 4 {
                    sender.send(Told::Add(1)).await.ok();
                }
            })
        });
        join_all(tells.collect::<Vec<_>>()).await;
        black_box(loop_ask(&sender).await);
    })
}

pub(super) fn loop_asks(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (sender, _task) = loop_actor(&runtime);
        for _ in 0..times {
            black_box(loop_ask(&sender).await);
        }
    })
}

/// tokio's own spawn, and nothing else.
pub(super) fn bare_spawns(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let all: Vec<_> = (0..times).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        tokio::task::yield_now().await;
        all.iter().for_each(tokio::task::JoinHandle::abort);
        for one in all {
            let _ = one.await;
        }
    })
}
