//! kameo, which has a type for each message.

use std::convert::Infallible;
use std::hint::black_box;

use ::kameo::actor::Spawn as _;
use futures::future::join_all;
use weirs_runtime::Runtime;

use super::{Add, Get, ROOM, Work};

pub(super) struct Kameo(u64);

impl ::kameo::Actor for Kameo {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(args: Self, _: ::kameo::actor::ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(args)
    }
}

impl ::kameo::message::Message<Add> for Kameo {
    type Reply = ();

    async fn handle(&mut self, add: Add, _: &mut ::kameo::message::Context<Self, ()>) {
        self.0 += add.0;
    }
}

impl ::kameo::message::Message<Get> for Kameo {
    type Reply = u64;

    async fn handle(&mut self, _: Get, _: &mut ::kameo::message::Context<Self, u64>) -> u64 {
        self.0
    }
}

pub(super) fn kameo_actor() -> ::kameo::actor::ActorRef<Kameo> {
    Kameo::spawn_with_mailbox(Kameo(0), ::kameo::mailbox::bounded(ROOM))
}

pub(super) fn kameo_tells(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = kameo_actor();
        for _ in 0..times {
            actor.tell(Add(1)).await.expect("it lives");
        }
        assert_eq!(actor.ask(Get).await.expect("it lives"), times);
    })
}

pub(super) fn kameo_four(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = kameo_actor();
        let tells = (0..4).map(|_| {
            let actor = actor.clone();
            runtime.spawn(async move {
                for _ in 0..times / 4 {
                    actor.tell(Add(1)).await.expect("it lives");
                }
            })
        });
        join_all(tells.collect::<Vec<_>>()).await;
        black_box(actor.ask(Get).await.expect("it lives"));
    })
}

pub(super) fn kameo_asks(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = kameo_actor();
        for _ in 0..times {
            black_box(actor.ask(Get).await.expect("it lives"));
        }
    })
}

pub(super) fn kameo_spawns(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let all: Vec<_> = (0..times).map(|_| kameo_actor()).collect();
        for one in &all {
            black_box(one.ask(Get).await.expect("it lives"));
        }
        for one in &all {
            one.kill();
            one.wait_for_shutdown().await;
        }
    })
}
