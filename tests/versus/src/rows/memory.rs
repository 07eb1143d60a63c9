//! Memory of idle tasks, over the executor's own.
//!
//! What the system counts as resident, in a process of its own for each count, before and after 100,000 tasks
//! were spawned that wait for ever; it includes the handle, the executor's own book-keeping and what the
//! allocator rounds up to. No allocator that counts is built into this program: every other row would pay for
//! it. What counts allocations is a program of its own, `counted`.

use std::future::pending;
use std::hint::black_box;

use super::hosts::{Host, SmolOwn, TokioCurrentThread};
use super::{actors, keyed, token};
use crate::child;
use crate::measure::{Experiment, Missing};
use crate::peers::{peer, peer_in};
use crate::row::{Row, Samples, Unit};

const TASKS: u64 = 100_000;

pub(super) fn experiments() -> Vec<Experiment> {
    let row = |name, peer| Row::new(name, peer).unit(Unit::Bytes);
    vec![
        compare(row("task-bytes/tokio-ct", peer_in("tokio", "current-thread")), "tokio-ct"),
        compare(row("task-bytes/smol-own", peer("async-executor")), "smol-own"),
    ]
}

fn compare(row: Row, host: &'static str) -> Experiment {
    Experiment::new([row], move |effort| {
        if !cfg!(target_os = "linux") {
            return Err(Missing::Skipped("only Linux tells a process's resident memory".to_owned()));
        }
        let rounds = 0..effort.long_rounds.min(3);
        let bytes = |side: &str| child::resident(&format!("{host}/{side}"), TASKS).map_err(Missing::Failed);
        let pairs: Result<_, _> = rounds.map(|_| Ok((bytes("ours")?, bytes("peer")?))).collect();
        Ok(vec![Samples::Pairs(pairs?)])
    })
}

/// Bytes for each of so many idle tasks, measured in this process: `tokio-ct/ours` and the like.
///
/// # Errors
/// When nothing has this name, or the system does not tell.
pub fn resident(name: &str, tasks: u64) -> Result<f64, String> {
    match name {
        "tokio-ct/ours" => ours(&TokioCurrentThread::new(), tasks),
        "tokio-ct/peer" => peers(&TokioCurrentThread::new(), tasks),
        "smol-own/ours" => ours(&SmolOwn::new(), tasks),
        "smol-own/peer" => peers(&SmolOwn::new(), tasks),
        "token/ours" => token::resident_ours(tasks),
        "token/peer" => token::resident_peers(tasks),
        "keyed-u64/ours" => keyed::resident_ours(tasks, |key| key),
        "keyed-u64/peer" => keyed::resident_peers(tasks, |key| key),
        "keyed-string/ours" => keyed::resident_ours(tasks, keyed::text),
        "keyed-string/peer" => keyed::resident_peers(tasks, keyed::text),
        _ if name.starts_with("actor/") => actors::resident(&name["actor/".len()..], tasks),
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

/// The memory that this process has in use.
pub(super) fn resident_bytes() -> Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|_| "no /proc here".to_owned())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: Option<f64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    Ok(kilobytes.ok_or("/proc does not tell the resident memory")? * 1024.0)
}
