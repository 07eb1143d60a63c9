//! Memory of what waits, over the executor's own and Go's.
//!
//! What the system counts as resident, in a process of its own for each count, before and after so many were
//! made that wait for ever; it includes the handle, the executor's own book-keeping and what the allocator
//! rounds up to. No allocator that counts is built into this program: every other row would pay for it. What
//! counts allocations is a program of its own, `counted`.
//!
//! `idle/task` is a spawned task, `idle/child` a child of a scope beside one of a `JoinSet`. An
//! `idle/connection` is accepted over loopback and has a task that waits for it to say something. The other
//! ends are another process's, and what the kernel keeps for a connection is not counted.

use std::future::pending;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use futures_lite::future::yield_now;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use weirs_runtime::{Runtime, Tokio, block_on};
use weirs_scopes::{Reason, TaskScope};

use super::hosts::{Host, SmolOwn, TokioCurrentThread};
use super::sides::words;
use super::{actors, keyed, token};
use crate::child;
use crate::go::{self, Module};
use crate::measure::{Experiment, Missing};
use crate::peers::{peer, peer_in};
use crate::row::{Row, Samples, Unit};

const TASKS: [u64; 2] = [10_000, 100_000];
const CONNECTIONS: u64 = 10_000;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |what: &str, count: u64, name: &str, peer: String| {
        Row::new(format!("idle/{what}/{count}/{name}"), peer).unit(Unit::Bytes)
    };
    let tokio = || peer_in("tokio", "current-thread");
    let own = || peer("async-executor");
    let mut all = Vec::new();
    for count in TASKS {
        let task = |name: &str, peer| row("task", count, name, peer);
        all.extend([
            compare(task("tokio-ct/tokio", tokio()), "tokio-ct", count),
            compare(task("smol-own/async-executor", own()), "smol-own", count),
            beside_go(task("tokio-ct/go", go::peer()).goal(0.34), "tokio-ct", 0, count),
            beside_go(task("smol-own/go", go::peer()).goal(0.34), "smol-own", 0, count),
            compare(row("child", count, "tokio-ct/tokio", peer_in("tokio", "JoinSet")), "child", count),
        ]);
    }
    let connection = |name: &str, peer| row("connection", CONNECTIONS, name, peer);
    all.extend([
        compare(connection("tokio-ct/tokio", tokio()), "tokio-connection", CONNECTIONS),
        compare(connection("smol-own/smol", peer("smol")), "smol-connection", CONNECTIONS),
        beside_go(connection("tokio-ct/go", go::peer()), "tokio-connection", 1, CONNECTIONS),
        beside_go(connection("smol-own/go", go::peer()), "smol-connection", 1, CONNECTIONS),
    ]);
    all
}

fn compare(row: Row, what: &'static str, count: u64) -> Experiment {
    sides(row, count, move || {
        let bytes = |side: &str| child::resident(&format!("{what}/{side}"), count).map_err(Missing::Failed);
        Ok((bytes("ours")?, bytes("peer")?))
    })
}

fn beside_go(row: Row, what: &'static str, kind: u64, count: u64) -> Experiment {
    sides(row, count, move || {
        let peer = go::bytes(Module::Plain, &words("idle", &[kind, count]))?;
        Ok((child::resident(&format!("{what}/ours"), count).map_err(Missing::Failed)?, peer))
    })
}

fn sides(row: Row, count: u64, bytes: impl Fn() -> Result<(f64, f64), Missing> + 'static) -> Experiment {
    let opens_files = row.name.contains("connection");
    Experiment::new([row], move |effort| {
        if !cfg!(target_os = "linux") {
            return Err(Missing::Skipped("only Linux tells a process's resident memory".to_owned()));
        }
        if opens_files {
            allow_files(count + 100)?;
        }
        let rounds = 0..effort.long_rounds.min(3);
        let pairs: Result<_, _> = rounds.map(|_| bytes()).collect();
        Ok(vec![Samples::Pairs(pairs?)])
    })
}

/// Raises the limit of open files, for this process and those that it starts.
fn allow_files(files: u64) -> Result<(), Missing> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum });
    raised.map_err(|_| {
        let most = maximum.unwrap_or(u64::MAX);
        Missing::Skipped(format!("it needs {files} open files, and this process may have {most}"))
    })
}

/// Bytes for each of so many that wait, measured in this process: `tokio-ct/ours` and the like.
///
/// # Errors
/// When nothing has this name, or the system does not tell.
pub fn resident(name: &str, count: u64) -> Result<f64, String> {
    match name {
        "tokio-ct/ours" => ours(&TokioCurrentThread::new(), count),
        "tokio-ct/peer" => peers(&TokioCurrentThread::new(), count),
        "smol-own/ours" => ours(&SmolOwn::new(), count),
        "smol-own/peer" => peers(&SmolOwn::new(), count),
        "child/ours" => our_children(count),
        "child/peer" => join_set(count),
        "tokio-connection/ours" => on_tokio(count, true),
        "tokio-connection/peer" => on_tokio(count, false),
        "smol-connection/ours" => on_smol(count, true),
        "smol-connection/peer" => on_smol(count, false),
        "token/ours" => token::resident_ours(count),
        "token/peer" => token::resident_peers(count),
        "keyed-u64/ours" => keyed::resident_ours(count, |key| key),
        "keyed-u64/peer" => keyed::resident_peers(count, |key| key),
        "keyed-string/ours" => keyed::resident_ours(count, keyed::text),
        "keyed-string/peer" => keyed::resident_peers(count, keyed::text),
        _ if name.starts_with("clients/") => clients(&name["clients/".len()..]),
        _ if name.starts_with("actor/") => actors::resident(&name["actor/".len()..], count),
        _ => Err(format!("nothing resident is called `{name}`")),
    }
}

fn ours<H: Host>(host: &H, tasks: u64) -> Result<f64, String> {
    let runtime = host.runtime();
    host.run(async move {
        let before = resident_bytes()?;
        let handles: Vec<_> = (0..tasks).map(|_| runtime.spawn(pending::<()>())).collect();
        // Queues are first in, first out: when the last task has run, all have been polled.
        runtime.spawn(async {}).await.map_err(|error| error.to_string())?;
        let after = resident_bytes()?;
        black_box(&handles);
        Ok((after - before) / tasks as f64)
    })
}

fn peers<H: Host>(host: &H, tasks: u64) -> Result<f64, String> {
    let spawner = host.spawner();
    host.run(async move {
        let before = resident_bytes()?;
        let handles: Vec<_> = (0..tasks).map(|_| H::spawn(&spawner, pending::<()>())).collect();
        H::spawn(&spawner, async {}).await;
        let after = resident_bytes()?;
        black_box(&handles);
        Ok((after - before) / tasks as f64)
    })
}

/// Children are the scope's: nobody else has a handle.
fn our_children(count: u64) -> Result<f64, String> {
    let host = TokioCurrentThread::new();
    let runtime = host.runtime();
    host.run(async move {
        let mut bytes = Err("the body did not end".to_owned());
        let scope = TaskScope::builder().run_on(&runtime, async |s| {
            let before = resident_bytes();
            (0..count).for_each(|_| drop(s.spawn(pending::<()>())));
            s.spawn(async {}).await.expect("an empty child ends well");
            let after = resident_bytes();
            bytes = before.and_then(|before| Ok((after? - before) / count as f64));
            s.cancel(Reason::Requested);
        });
        drop(black_box(scope.await));
        bytes
    })
}

fn join_set(count: u64) -> Result<f64, String> {
    TokioCurrentThread::new().run(async move {
        let before = resident_bytes()?;
        let mut set = JoinSet::new();
        (0..count).for_each(|_| drop(set.spawn(pending::<()>())));
        tokio::spawn(async {}).await.map_err(|error| error.to_string())?;
        let after = resident_bytes()?;
        black_box(&set);
        Ok((after - before) / count as f64)
    })
}

fn on_tokio(count: u64, ours: bool) -> Result<f64, String> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    tokio.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        let address = listener.local_addr().map_err(text)?;
        let accept = async || {
            let mut stream = listener.accept().await?.0;
            Ok::<_, io::Error>(
                async move { drop(tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await) },
            )
        };
        if ours {
            connected(count, address, async || Ok(runtime.spawn(accept().await?))).await
        } else {
            connected(count, address, async || Ok(tokio::spawn(accept().await?))).await
        }
    })
}

fn on_smol(count: u64, ours: bool) -> Result<f64, String> {
    let host = SmolOwn::new();
    let (runtime, executor) = (host.runtime(), host.spawner());
    block_on(executor.run(async {
        let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        let address = listener.local_addr().map_err(text)?;
        let accept = async || {
            let mut stream = listener.accept().await?.0;
            Ok::<_, io::Error>(async move { drop(smol::io::AsyncReadExt::read(&mut stream, &mut [0]).await) })
        };
        if ours {
            connected(count, address, async || Ok(runtime.spawn(accept().await?))).await
        } else {
            connected(count, address, async || Ok(executor.spawn(accept().await?))).await
        }
    }))
}

/// So many connections, each accepted in its turn. The first brings what all have in common.
async fn connected<T>(
    count: u64,
    address: SocketAddr,
    mut accepted: impl AsyncFnMut() -> io::Result<T>,
) -> Result<f64, String> {
    let mut clients = child::clients(address.port())?;
    let mut asked = clients.stdin.take().ok_or("it was asked for")?;
    let mut next = async || {
        asked.write_all(b".")?;
        accepted().await
    };
    let _first = next().await.map_err(text)?;
    all_polled(1).await;
    let before = resident_bytes()?;
    let mut handles = Vec::new();
    for _ in 0..count {
        handles.push(next().await.map_err(text)?);
    }
    all_polled(count).await;
    let after = resident_bytes()?;
    black_box(&handles);
    Ok((after - before) / count as f64)
}

/// The other ends, in a process of their own. One after the other: the system forgets who comes too fast.
fn clients(port: &str) -> Result<f64, String> {
    let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    let asked = io::stdin().lock().bytes();
    let all: io::Result<Vec<_>> =
        asked.map(|asked| asked.and_then(|_| TcpStream::connect(("127.0.0.1", port)))).collect();
    Ok(all.map_err(text)?.len() as f64)
}

/// Each time that this one goes to the end of the queue, another at least has been polled.
async fn all_polled(tasks: u64) {
    for _ in 0..=tasks {
        yield_now().await;
    }
}

fn text(error: io::Error) -> String {
    error.to_string()
}

/// The memory that this process has in use.
pub(super) fn resident_bytes() -> Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|_| "no /proc here".to_owned())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<f64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    Ok(kilobytes.ok_or("/proc does not tell the resident memory")? * 1024.0)
}
