//! xtra, which has a type for each message.

use std::hint::black_box;

use weirs_runtime::Runtime;

use super::{Add, Get, ROOM, Work};

pub(super) struct Xtra(u64);

impl ::xtra::Actor for Xtra {
    type Stop = ();

    async fn stopped(self) {}
}

impl ::xtra::Handler<Add> for Xtra {
    type Return = ();

    async fn handle(&mut self, add: Add, _: &mut ::xtra::Context<Self>) {
        self.0 += add.0;
    }
}

impl ::xtra::Handler<Get> for Xtra {
    type Return = u64;

    async fn handle(&mut self, _: Get, _: &mut ::xtra::Context<Self>) -> u64 {
        self.0
    }
}

pub(super) fn xtra_actor(runtime: &Runtime) -> ::xtra::Address<Xtra> {
    let (address, mailbox) = ::xtra::Mailbox::bounded(ROOM);
    runtime.spawn(::xtra::run(mailbox, Xtra(0))).detach();
    address
}

pub(super) fn xtra_tells(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = xtra_actor(&runtime);
        for _ in 0..times {
            drop(actor.send(Add(1)).detach().await.expect("it lives"));
        }
        // Its queue is a heap of priorities: a question overtakes messages that were sent before it.
        while actor.send(Get).await.expect("it lives") < times {}
    })
}

pub(super) fn xtra_asks(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = xtra_actor(&runtime);
        for _ in 0..times {
            black_box(actor.send(Get).await.expect("it lives"));
        }
    })
}

pub(super) fn xtra_spawns(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let all: Vec<_> = (0..times).map(|_| xtra_actor(&runtime)).collect();
        for one in &all {
            black_box(one.send(Get).await.expect("it lives"));
        }
    })
}
