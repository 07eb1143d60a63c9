//! Actors, over a loop that reads an async-channel, and over the actors of others.
//!
//! An operation is one message that is told, or one question and its answer, or one actor that is started,
//! answers a question and is stopped; or one crash, and the first answer of the next life. Every actor
//! counts, and has room for 1,024 messages; actix's `do_send` goes past its bound, and ractor has none.
//! Processor time stands beside wall time: on a machine that others use as well it is the one to look at.
//! `bytes` is the memory that an idle actor has that was asked once.

mod actix;
mod channel_loop;
mod crash;
mod kameo;
mod observed;
mod ours;
mod ractor;
mod xtra;

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;

use weirs_actors::supervise::Supervisor;
use weirs_runtime::Runtime;

use self::actix::{actix_asks, actix_tells};
use self::channel_loop::{bare_spawns, loop_asks, loop_four, loop_tells};
use self::crash::{kameo_crashes, loop_crashes, our_crashes};
use self::kameo::{kameo_actor, kameo_asks, kameo_four, kameo_spawns, kameo_tells};
use self::observed::our_observed;
use self::ours::{Message, our_asks, our_children, our_four, our_spawns, our_specs, our_tells};
use self::ractor::{RactorMessage, ractor_actor, ractor_asks, ractor_spawns, ractor_tells};
use self::xtra::{xtra_actor, xtra_asks, xtra_spawns, xtra_tells};
use super::hosts::{AsyncStdGlobal, Host, SmolOwn, TokioCurrentThread, TokioMultiThread};
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

/// The messages of those who have a type for each.
struct Add(u64);
struct Get;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name: &str, package: &str| Row::new(format!("actors/{name}/{package}"), peer(package));
    let ct = TokioCurrentThread::new;
    let mt = TokioMultiThread::new;
    let std = || AsyncStdGlobal;
    let mut all = vec![
        pair(row("tell/tokio-ct", "async-channel").goal(0.4), ct, our_tells, loop_tells),
        pair(row("tell/tokio-ct", "kameo").goal(0.125), ct, our_tells, kameo_tells),
        pair(row("tell/tokio-ct", "ractor").goal(0.2), ct, our_tells, ractor_tells),
        pair(row("tell/tokio-ct", "xtra"), ct, our_tells, xtra_tells),
        with_actix(row("tell/tokio-ct", "actix"), our_tells, actix_tells),
        pair(row("tell/smol", "async-channel").goal(0.4), SmolOwn::new, our_tells, loop_tells),
        pair(row("tell/smol", "xtra"), SmolOwn::new, our_tells, xtra_tells),
        pair(row("tell/tokio-mt", "async-channel"), mt, our_tells, loop_tells),
        pair(row("tell/tokio-mt", "kameo"), mt, our_tells, kameo_tells),
        pair(row("tell/async-std", "async-channel"), std, our_tells, loop_tells),
        pair(row("tell-of-four/tokio-mt", "async-channel").goal(0.35), mt, our_four, loop_four),
        pair(row("tell-of-four/tokio-mt", "kameo"), mt, our_four, kameo_four),
        pair(row("ask/tokio-ct", "async-channel").goal(0.75), ct, our_asks, loop_asks),
        pair(row("ask/tokio-ct", "kameo").goal(0.5), ct, our_asks, kameo_asks),
        pair(row("ask/tokio-ct", "ractor").goal(0.6), ct, our_asks, ractor_asks),
        pair(row("ask/tokio-ct", "xtra").goal(0.5), ct, our_asks, xtra_asks),
        with_actix(row("ask/tokio-ct", "actix"), our_asks, actix_asks),
        pair(row("ask/smol", "async-channel").goal(0.75), SmolOwn::new, our_asks, loop_asks),
        pair(row("ask/smol", "xtra"), SmolOwn::new, our_asks, xtra_asks),
        pair(row("ask/tokio-mt", "async-channel"), mt, our_asks, loop_asks),
        pair(row("ask/tokio-mt", "kameo"), mt, our_asks, kameo_asks),
        pair(row("ask/async-std", "async-channel"), std, our_asks, loop_asks),
        pair(row("spawn/tokio-ct", "kameo").goal(0.3), ct, our_children, kameo_spawns),
        pair(row("spawn/tokio-ct", "ractor").goal(0.3), ct, our_children, ractor_spawns),
        pair(row("spawn/tokio-ct", "xtra"), ct, our_children, xtra_spawns),
        pair(row("spawn-alone/tokio-ct", "kameo").goal(0.3), ct, our_spawns, kameo_spawns),
        pair(row("spawn/tokio-ct", "tokio").goal(3.5), ct, our_children, bare_spawns),
        pair(row("spawn/tokio-mt", "kameo"), mt, our_children, kameo_spawns),
        pair(row("spawn/async-std", "xtra"), std, our_children, xtra_spawns),
        pair(row("crash-and-restart/tokio-ct", "kameo").goal(0.5), ct, our_crashes, kameo_crashes),
        pair(row("crash-and-restart/tokio-ct", "async-channel"), ct, our_crashes, loop_crashes),
        pair(row("crash-and-restart/tokio-mt", "kameo"), mt, our_crashes, kameo_crashes),
        pair(
            Row::new("actors/tell-observed", "tells that nobody looks at").goal(1.05),
            ct,
            our_observed,
            our_tells,
        ),
        observed::snapshot(),
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
        "crash" => our_crashes,
        "observed" => our_observed,
        "tell/loop" => loop_tells,
        "ask/loop" => loop_asks,
        "tell/kameo" => kameo_tells,
        "ask/kameo" => kameo_asks,
        "spawn/kameo" => kameo_spawns,
        "crash/loop" => loop_crashes,
        "crash/kameo" => kameo_crashes,
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
                    black_box(::ractor::call!(one, RactorMessage::Get).ok());
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
