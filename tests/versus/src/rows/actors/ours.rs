//! Ours.

use std::convert::Infallible;
use std::hint::black_box;

use futures::future::join_all;
use weirs_actors::actor::{Actor, Addr, Context, Mailbox, Reply, spawn};
use weirs_actors::supervise::{Spec, Supervisor, Tree};
use weirs_runtime::Runtime;

use super::{ROOM, Work};

#[derive(Default)]
struct Counter(u64);

pub(super) enum Message {
    Add(u64),
    Get(Reply<u64>),
}

impl Actor for Counter {
    type Message = Message;
    type Error = Infallible;

    async fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Result<(), Infallible> {
        match message {
            Message::Add(number) => self.0 += number,
            Message::Get(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

pub(super) fn our_spec(id: u64) -> (Addr<Message>, Spec) {
    Spec::actor_with(id, Mailbox::bounded(ROOM), Counter::default)
}

pub(super) fn our_specs(actors: u64) -> (Vec<Addr<Message>>, Vec<Spec>) {
    (0..actors).map(our_spec).unzip()
}

async fn ours_alone(runtime: &Runtime) -> (Addr<Message>, Tree) {
    let (address, spec) = our_spec(0);
    let tree = Supervisor::one_for_one().child(spec).start(runtime).await;
    (address, tree.expect("it starts"))
}

pub(super) fn our_tells(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (address, tree) = ours_alone(&runtime).await;
        for _ in 0..times {
            address.tell(Message::Add(1)).await.expect("it lives");
        }
        assert_eq!(address.ask(Message::Get).await.expect("it lives"), times);
        tree.shutdown().await;
    })
}

pub(super) fn our_four(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (address, tree) = ours_alone(&runtime).await;
        let tells = (0..4).map(|_| {
            let address = address.clone();
            runtime.spawn(async move {
                for _ in 0..times / 4 {
                    address.tell(Message::Add(1)).await.expect("it lives");
                }
            })
        });
        join_all(tells.collect::<Vec<_>>()).await;
        black_box(address.ask(Message::Get).await.expect("it lives"));
        tree.shutdown().await;
    })
}

pub(super) fn our_asks(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (address, tree) = ours_alone(&runtime).await;
        for _ in 0..times {
            black_box(address.ask(Message::Get).await.expect("it lives"));
        }
        tree.shutdown().await;
    })
}

/// In a tree.
pub(super) fn our_children(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (addresses, specs) = our_specs(times);
        let tree = Supervisor::one_for_one().children(specs).start(&runtime).await.expect("it starts");
        for address in &addresses {
            black_box(address.ask(Message::Get).await.expect("it lives"));
        }
        tree.kill().await;
    })
}

pub(super) fn our_spawns(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let all: Vec<_> = (0..times).map(|id| spawn(id, Counter::default, &runtime)).collect();
        for one in &all {
            black_box(one.ask(Message::Get).await.expect("it lives"));
        }
    })
}
