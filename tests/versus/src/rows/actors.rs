//! Actors, over a loop that reads an async-channel, and over the actors of others.
//!
//! An operation is one message that is told, or one question and its answer, or one actor that is started,
//! answers a question and is stopped. Every actor counts, and has room for 1,024 messages; actix's `do_send`
//! goes past its bound, and ractor has none. Processor time stands beside wall time: on a machine that others
//! use as well it is the one to look at. `bytes` is the memory that an idle actor has that was asked once.

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;

use actix::Actor as _;
use futures::future::join_all;
use kameo::actor::Spawn as _;
use weirs_actors::actor::{Actor, Addr, Context, Mailbox, Reply, spawn};
use weirs_actors::supervise::{Spec, Supervisor};
use weirs_runtime::Runtime;

use super::hosts::{Host, SmolOwn, TokioCurrentThread, TokioMultiThread};
use super::memory::resident_bytes;
use crate::child;
use crate::measure::{Experiment, Missing, Pair, wall_and_cpu};
use crate::peers::peer;
use crate::row::{Row, Samples, Unit};

const ROOM: usize = 1024;
/// Idle actors of which the memory is taken.
const IDLE: u64 = 20_000;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
/// Does so many operations on a runtime.
type Way = fn(Runtime, u64) -> Work;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, package: &str| Row::new(format!("actors/{name}/{package}"), peer(package));
    let ct = TokioCurrentThread::new;
    let mt = TokioMultiThread::new;
    let mut all = vec![
        pair(row("tell/tokio-ct", "async-channel").goal(0.4), ct, our_tells, loop_tells),
        pair(row("tell/tokio-ct", "kameo").goal(0.125), ct, our_tells, kameo_tells),
        pair(row("tell/tokio-ct", "ractor").goal(0.2), ct, our_tells, ractor_tells),
        pair(row("tell/tokio-ct", "xtra"), ct, our_tells, xtra_tells),
        with_actix(row("tell/tokio-ct", "actix"), our_tells, actix_tells),
        pair(row("tell/smol", "async-channel").goal(0.4), SmolOwn::new, our_tells, loop_tells),
        pair(row("tell/smol", "xtra"), SmolOwn::new, our_tells, xtra_tells),
        pair(row("tell-of-four/tokio-mt", "async-channel").goal(0.35), mt, our_four, loop_four),
        pair(row("tell-of-four/tokio-mt", "kameo"), mt, our_four, kameo_four),
        pair(row("ask/tokio-ct", "async-channel").goal(0.75), ct, our_asks, loop_asks),
        pair(row("ask/tokio-ct", "kameo").goal(0.5), ct, our_asks, kameo_asks),
        pair(row("ask/tokio-ct", "ractor").goal(0.6), ct, our_asks, ractor_asks),
        pair(row("ask/tokio-ct", "xtra").goal(0.5), ct, our_asks, xtra_asks),
        with_actix(row("ask/tokio-ct", "actix"), our_asks, actix_asks),
        pair(row("ask/smol", "async-channel").goal(0.75), SmolOwn::new, our_asks, loop_asks),
        pair(row("ask/smol", "xtra"), SmolOwn::new, our_asks, xtra_asks),
        pair(row("spawn/tokio-ct", "kameo").goal(0.3), ct, our_children, kameo_spawns),
        pair(row("spawn/tokio-ct", "ractor").goal(0.3), ct, our_children, ractor_spawns),
        pair(row("spawn/tokio-ct", "xtra"), ct, our_children, xtra_spawns),
        pair(row("spawn-alone/tokio-ct", "kameo").goal(0.3), ct, our_spawns, kameo_spawns),
        pair(row("spawn/tokio-ct", "tokio").goal(3.5), ct, our_children, bare_spawns),
    ];
    for (package, goal) in [("kameo", Some(1.0 / 7.0)), ("ractor", Some(0.125)), ("xtra", None)] {
        let row = Row { goal, ..row("bytes/tokio-ct", package).unit(Unit::Bytes) };
        all.push(Experiment::new([row], move |_| {
            let bytes = |of: &str| child::resident(&format!("actor/{of}"), IDLE).map_err(Missing::Failed);
            Ok(vec![Samples::Pairs(vec![(bytes("ours")?, bytes(package)?)])])
        }));
    }
    all
}

/// So many operations on tokio, for their instructions to be counted.
pub fn actors(way: &str, times: u64) {
    let way: Way = match way {
        "tell" => our_tells,
        "ask" => our_asks,
        "spawn" => our_children,
        "tell/loop" => loop_tells,
        "ask/loop" => loop_asks,
        "tell/kameo" => kameo_tells,
        "ask/kameo" => kameo_asks,
        "spawn/kameo" => kameo_spawns,
        _ => return,
    };
    let host = TokioCurrentThread::new();
    host.run(way(host.runtime(), times));
}

/// Bytes of an idle actor, measured in this process.
pub(super) fn resident(of: &str, actors: u64) -> Result<f64, String> {
    let host = TokioCurrentThread::new();
    let runtime = host.runtime();
    let of = of.to_owned();
    host.run(async move {
        let before = resident_bytes()?;
        let kept: Box<dyn std::any::Any + Send> = match &*of {
            "ours" => {
                let (addresses, specs) = our_specs(actors);
                let tree = Supervisor::one_for_one().children(specs).start(&runtime).await;
                for address in &addresses {
                    black_box(address.ask(Message::Get).await.ok());
                }
                Box::new((tree.map_err(|error| error.to_string())?, addresses))
            }
            "kameo" => {
                let all: Vec<_> = (0..actors).map(|_| kameo_actor()).collect();
                for one in &all {
                    black_box(one.ask(Get).await.ok());
                }
                Box::new(all)
            }
            "ractor" => {
                let mut all = Vec::new();
                for _ in 0..actors {
                    all.push(ractor_actor().await);
                }
                for one in &all {
                    black_box(ractor::call!(one, RactorMessage::Get).ok());
                }
                Box::new(all)
            }
            "xtra" => {
                let all: Vec<_> = (0..actors).map(|_| xtra_actor(&runtime)).collect();
                for one in &all {
                    black_box(one.send(Get).await.ok());
                }
                Box::new(all)
            }
            _ => return Err(format!("no actor is called `{of}`")),
        };
        let after = resident_bytes()?;
        drop(black_box(kept));
        Ok((after - before) / actors as f64)
    })
}

fn pair<H: Host>(row: Row, host: impl Fn() -> H + 'static, ours: Way, peers: Way) -> Experiment {
    let cpu = row.beside("cpu");
    Experiment::pair([row, cpu], move || {
        let (ours_on, peers_on) = (host(), host());
        let [ours_in, peers_in] = [ours_on.runtime(), peers_on.runtime()];
        Pair::new(
            move |times| wall_and_cpu(times, || ours_on.run(ours(ours_in.clone(), times))),
            move |times| wall_and_cpu(times, || peers_on.run(peers(peers_in.clone(), times))),
        )
    })
}

fn with_actix(row: Row, ours: Way, peers: fn(u64)) -> Experiment {
    let cpu = row.beside("cpu");
    Experiment::pair([row, cpu], move || {
        let host = TokioCurrentThread::new();
        let runtime = host.runtime();
        Pair::new(
            move |times| wall_and_cpu(times, || host.run(ours(runtime.clone(), times))),
            move |times| wall_and_cpu(times, || peers(times)),
        )
    })
}

// Ours.

#[derive(Default)]
struct Counter(u64);

enum Message {
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

fn our_spec(id: u64) -> (Addr<Message>, Spec) {
    Spec::actor_with(id, Mailbox::bounded(ROOM), Counter::default)
}

fn our_specs(actors: u64) -> (Vec<Addr<Message>>, Vec<Spec>) {
    (0..actors).map(our_spec).unzip()
}

async fn ours_alone(runtime: &Runtime) -> (Addr<Message>, weirs_actors::supervise::Tree) {
    let (address, spec) = our_spec(0);
    let tree = Supervisor::one_for_one().child(spec).start(runtime).await;
    (address, tree.expect("it starts"))
}

fn our_tells(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (address, tree) = ours_alone(&runtime).await;
        for _ in 0..times {
            address.tell(Message::Add(1)).await.expect("it lives");
        }
        assert_eq!(address.ask(Message::Get).await.expect("it lives"), times);
        tree.shutdown().await;
    })
}

fn our_four(runtime: Runtime, times: u64) -> Work {
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

fn our_asks(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (address, tree) = ours_alone(&runtime).await;
        for _ in 0..times {
            black_box(address.ask(Message::Get).await.expect("it lives"));
        }
        tree.shutdown().await;
    })
}

/// In a tree.
fn our_children(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (addresses, specs) = our_specs(times);
        let tree = Supervisor::one_for_one().children(specs).start(&runtime).await.expect("it starts");
        for address in &addresses {
            black_box(address.ask(Message::Get).await.expect("it lives"));
        }
        tree.kill().await;
    })
}

fn our_spawns(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let all: Vec<_> = (0..times).map(|id| spawn(id, Counter::default, &runtime)).collect();
        for one in &all {
            black_box(one.ask(Message::Get).await.expect("it lives"));
        }
    })
}

// A task that reads a channel.

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

fn loop_tells(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (sender, _task) = loop_actor(&runtime);
        for _ in 0..times {
            sender.send(Told::Add(1)).await.ok();
        }
        assert_eq!(loop_ask(&sender).await, times);
    })
}

fn loop_four(runtime: Runtime, times: u64) -> Work {
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

fn loop_asks(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let (sender, _task) = loop_actor(&runtime);
        for _ in 0..times {
            black_box(loop_ask(&sender).await);
        }
    })
}

/// tokio's own spawn, and nothing else.
fn bare_spawns(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let all: Vec<_> = (0..times).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        tokio::task::yield_now().await;
        all.iter().for_each(tokio::task::JoinHandle::abort);
        for one in all {
            let _ = one.await;
        }
    })
}

// kameo, xtra and actix have a type for each message.

struct Add(u64);
struct Get;

struct Kameo(u64);

impl kameo::Actor for Kameo {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(args: Self, _: kameo::actor::ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(args)
    }
}

impl kameo::message::Message<Add> for Kameo {
    type Reply = ();

    async fn handle(&mut self, add: Add, _: &mut kameo::message::Context<Self, ()>) {
        self.0 += add.0;
    }
}

impl kameo::message::Message<Get> for Kameo {
    type Reply = u64;

    async fn handle(&mut self, _: Get, _: &mut kameo::message::Context<Self, u64>) -> u64 {
        self.0
    }
}

fn kameo_actor() -> kameo::actor::ActorRef<Kameo> {
    Kameo::spawn_with_mailbox(Kameo(0), kameo::mailbox::bounded(ROOM))
}

fn kameo_tells(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = kameo_actor();
        for _ in 0..times {
            actor.tell(Add(1)).await.expect("it lives");
        }
        assert_eq!(actor.ask(Get).await.expect("it lives"), times);
    })
}

fn kameo_four(runtime: Runtime, times: u64) -> Work {
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

fn kameo_asks(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = kameo_actor();
        for _ in 0..times {
            black_box(actor.ask(Get).await.expect("it lives"));
        }
    })
}

fn kameo_spawns(_: Runtime, times: u64) -> Work {
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

// ractor has an enum.

struct Ractor;

enum RactorMessage {
    Add(u64),
    Get(ractor::RpcReplyPort<u64>),
}

impl ractor::Actor for Ractor {
    type Msg = RactorMessage;
    type State = u64;
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ractor::ActorRef<RactorMessage>,
        (): (),
    ) -> Result<u64, ractor::ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ractor::ActorRef<RactorMessage>,
        message: RactorMessage,
        count: &mut u64,
    ) -> Result<(), ractor::ActorProcessingErr> {
        match message {
            RactorMessage::Add(number) => *count += number,
            RactorMessage::Get(reply) => reply.send(*count)?,
        }
        Ok(())
    }
}

async fn ractor_actor() -> ractor::ActorRef<RactorMessage> {
    ractor::Actor::spawn(None, Ractor, ()).await.expect("it starts").0
}

fn ractor_tells(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = ractor_actor().await;
        for _ in 0..times {
            actor.cast(RactorMessage::Add(1)).expect("it lives");
        }
        assert_eq!(ractor::call!(actor, RactorMessage::Get).expect("it lives"), times);
        actor.stop(None);
    })
}

fn ractor_asks(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = ractor_actor().await;
        for _ in 0..times {
            black_box(ractor::call!(actor, RactorMessage::Get).expect("it lives"));
        }
        actor.stop(None);
    })
}

fn ractor_spawns(_: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let mut all = Vec::new();
        for _ in 0..times {
            all.push(ractor_actor().await);
        }
        for one in &all {
            black_box(ractor::call!(one, RactorMessage::Get).expect("it lives"));
        }
        for one in &all {
            let _ = one.stop_and_wait(None, None).await;
        }
    })
}

// xtra.

struct Xtra(u64);

impl xtra::Actor for Xtra {
    type Stop = ();

    async fn stopped(self) {}
}

impl xtra::Handler<Add> for Xtra {
    type Return = ();

    async fn handle(&mut self, add: Add, _: &mut xtra::Context<Self>) {
        self.0 += add.0;
    }
}

impl xtra::Handler<Get> for Xtra {
    type Return = u64;

    async fn handle(&mut self, _: Get, _: &mut xtra::Context<Self>) -> u64 {
        self.0
    }
}

fn xtra_actor(runtime: &Runtime) -> xtra::Address<Xtra> {
    let (address, mailbox) = xtra::Mailbox::bounded(ROOM);
    runtime.spawn(xtra::run(mailbox, Xtra(0))).detach();
    address
}

fn xtra_tells(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = xtra_actor(&runtime);
        for _ in 0..times {
            drop(actor.send(Add(1)).detach().await.expect("it lives"));
        }
        assert_eq!(actor.send(Get).await.expect("it lives"), times);
    })
}

fn xtra_asks(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let actor = xtra_actor(&runtime);
        for _ in 0..times {
            black_box(actor.send(Get).await.expect("it lives"));
        }
    })
}

fn xtra_spawns(runtime: Runtime, times: u64) -> Work {
    Box::pin(async move {
        let all: Vec<_> = (0..times).map(|_| xtra_actor(&runtime)).collect();
        for one in &all {
            black_box(one.send(Get).await.expect("it lives"));
        }
    })
}

// actix stays on one thread.

struct Actix(u64);

impl actix::Actor for Actix {
    type Context = actix::Context<Self>;
}

impl actix::Message for Add {
    type Result = ();
}

impl actix::Message for Get {
    type Result = u64;
}

impl actix::Handler<Add> for Actix {
    type Result = ();

    fn handle(&mut self, add: Add, _: &mut actix::Context<Self>) {
        self.0 += add.0;
    }
}

impl actix::Handler<Get> for Actix {
    type Result = u64;

    fn handle(&mut self, _: Get, _: &mut actix::Context<Self>) -> u64 {
        self.0
    }
}

fn actix_tells(times: u64) {
    actix::System::new().block_on(async move {
        let actor = Actix(0).start();
        for _ in 0..times {
            actor.do_send(Add(1));
        }
        assert_eq!(actor.send(Get).await.expect("it lives"), times);
    });
}

fn actix_asks(times: u64) {
    actix::System::new().block_on(async move {
        let actor = Actix(0).start();
        for _ in 0..times {
            black_box(actor.send(Get).await.expect("it lives"));
        }
    });
}
