//! Crash and restart: one operation is a message that an actor fails over, and the answer of its next life.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use ::kameo::actor::Spawn as _;
use weirs_actors::actor::{Actor, Context, Mailbox, Reply};
use weirs_actors::supervise::{Spec, Supervisor};
use weirs_runtime::Runtime;

use super::{Get, ROOM, Work};

#[derive(Debug)]
struct Boom;

impl fmt::Display for Boom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("told to")
    }
}

impl std::error::Error for Boom {}

// Ours: the queue goes on, so the question waits in it for the next life.

#[derive(Default)]
struct Fragile(u64);

enum Order {
    Fail,
    Get(Reply<u64>),
}

impl Actor for Fragile {
    type Message = Order;
    type Error = Boom;

    async fn handle(&mut self, order: Order, _: &mut Context<Self>) -> Result<(), Boom> {
        match order {
            Order::Fail => return Err(Boom),
            Order::Get(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

pub(super) fn our_crashes(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (address, spec) = Spec::actor_with("fragile", Mailbox::bounded(ROOM), Fragile::default);
        // As many as there are, and none is remembered for long.
        let supervisor = Supervisor::one_for_one().intensity(u32::MAX, Duration::from_nanos(1));
        let tree = supervisor.child(spec).start(&runtime).await.expect("it starts");
        for _ in 0..times {
            address.tell(Order::Fail).await.ok();
            black_box(address.ask(Order::Get).await.expect("it lives again"));
        }
        tree.shutdown().await;
    })
}

// kameo: a question that comes in between is given back, to be asked again.

struct Watching;

impl ::kameo::Actor for Watching {
    type Args = ();
    type Error = std::convert::Infallible;

    async fn on_start((): (), _: ::kameo::actor::ActorRef<Self>) -> Result<Self, Self::Error> {
        Ok(Self)
    }
}

struct FragileKameo(u64);

impl ::kameo::Actor for FragileKameo {
    type Args = ();
    type Error = std::convert::Infallible;

    async fn on_start((): (), _: ::kameo::actor::ActorRef<Self>) -> Result<Self, Self::Error> {
        Ok(Self(0))
    }
}

struct Fail;

impl ::kameo::message::Message<Fail> for FragileKameo {
    type Reply = Result<(), Boom>;

    async fn handle(
        &mut self,
        _: Fail,
        _: &mut ::kameo::message::Context<Self, Self::Reply>,
    ) -> Result<(), Boom> {
        Err(Boom)
    }
}

impl ::kameo::message::Message<Get> for FragileKameo {
    type Reply = u64;

    async fn handle(&mut self, _: Get, _: &mut ::kameo::message::Context<Self, u64>) -> u64 {
        self.0
    }
}

pub(super) fn kameo_crashes(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let watching = Watching::spawn(());
        let child = FragileKameo::supervise_with(&watching, || ());
        let child = child.restart_limit(u32::MAX, Duration::from_secs(1));
        let child = child.spawn_with_mailbox(::kameo::mailbox::bounded(ROOM)).await;
        for _ in 0..times {
            child.tell(Fail).await.ok();
            while child.ask(Get).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
        watching.kill();
        watching.wait_for_shutdown().await;
    })
}

// By hand: a task that reads a channel, and another that spawns it anew.

enum Told {
    Fail,
    Get(futures::channel::oneshot::Sender<u64>),
}

pub(super) fn loop_crashes(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (sender, receiver) = async_channel::bounded(ROOM);
        let spawner = runtime.clone();
        let _watching = runtime.spawn(async move {
            loop {
                let receiver = receiver.clone();
                let life = spawner.spawn(async move {
                    while let Ok(told) = receiver.recv().await {
                        match told {
                            Told::Fail => return Err(Boom),
                            Told::Get(reply) => drop(reply.send(0)),
                        }
                    }
                    Ok(())
                });
                if matches!(life.await, Ok(Ok(()))) {
                    return;
                }
            }
        });
        for _ in 0..times {
            sender.send(Told::Fail).await.ok();
            let (reply, answer) = futures::channel::oneshot::channel();
            sender.send(Told::Get(reply)).await.ok();
            black_box(answer.await.expect("it lives again"));
        }
    })
}
