//! The fleet health checker of the examples beside the same job written with tokio, tokio-util and governor
//! (`src/bin/tokio_probe.rs`): both are processes that check the same ten thousand endpoints, a thousand at
//! once. The fleet is a process of its own, on loopback.
//!
//! The time is that of the whole process for one endpoint. Most of it is the time limit of the endpoints
//! that hang, so it says whether one of them is in the way of its own work, and not much more. The bytes are
//! what the process had at most of memory of its own, for one endpoint: heap and stacks. `resident` counts
//! the pages of its program file, too; ours holds four runtimes and more policies, and so is three times as
//! large.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::measure::{Experiment, Missing};
use crate::peers::peer_in;
use crate::row::{Row, Samples, Unit};

const ENDPOINTS: usize = 10_000;

pub(super) fn experiments() -> Vec<Experiment> {
    let row =
        |name: &str| Row::new(format!("probe/10000/tokio/{name}"), peer_in("tokio", "tokio-util, governor"));
    let rows = [
        row("time").goal(1.1),
        row("peak-bytes").unit(Unit::Bytes).goal(1.1),
        row("resident-bytes").unit(Unit::Bytes),
    ];
    vec![Experiment::new(rows, |effort| {
        if !cfg!(target_os = "linux") {
            return Err(Missing::Skipped("only Linux tells a process's resident memory".to_owned()));
        }
        let (ours, peers) = (program("probe")?, program("tokio_probe")?);
        let fleet = Fleet::start(&ours).map_err(Missing::Failed)?;
        let list = fleet.list.as_os_str();
        let mut pairs = [const { Vec::new() }; 3];
        // A round is eight seconds.
        for _ in 0..effort.long_rounds.div_ceil(2) {
            let mut of_ours = Command::new(&ours);
            of_ours.arg("--urls").arg(list).args(["--runtime", "tokio", "--quiet"]);
            let mut of_peer = Command::new(&peers);
            of_peer.arg(list);
            let ours = watched(of_ours).map_err(Missing::Failed)?;
            let peers = watched(of_peer).map_err(Missing::Failed)?;
            for (pairs, pair) in pairs.iter_mut().zip(ours.into_iter().zip(peers)) {
                pairs.push(pair);
            }
        }
        Ok(pairs.map(Samples::Pairs).to_vec())
    })]
}

/// A program that was built beside this one.
fn program(name: &str) -> Result<PathBuf, Missing> {
    let this = std::env::current_exe().map_err(|error| Missing::Failed(error.to_string()))?;
    let program = this.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if program.exists() {
        return Ok(program);
    }
    let package = if name == "probe" { "weirs-examples" } else { "weirs-versus" };
    let remedy = format!("cargo build --release --package {package} --bin {name}");
    Err(Missing::Skipped(format!("the program `{name}` is not built: `{remedy}`")))
}

/// The endpoints, served until this is dropped.
struct Fleet {
    server: Child,
    list: PathBuf,
}

impl Fleet {
    fn start(probe: &Path) -> Result<Self, String> {
        let mut command = Command::new(probe);
        command.arg("--serve").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = command.spawn().map_err(|error| error.to_string())?;
        let list = std::env::temp_dir().join(format!("versus-probe-{}", std::process::id()));
        let printed = BufReader::new(server.stdout.take().expect("it is a pipe"));
        let fleet = Self { server, list };
        let urls: Result<Vec<_>, _> = printed.lines().take(ENDPOINTS).collect();
        let urls = urls.map_err(|error| error.to_string())?;
        if urls.len() != ENDPOINTS {
            return Err(format!("the fleet has {} endpoints", urls.len()));
        }
        fs::write(&fleet.list, urls.join("\n")).map_err(|error| error.to_string())?;
        Ok(fleet)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_file(&self.list);
    }
}

/// Nanoseconds, bytes of its own, and resident bytes, for each endpoint.
fn watched(mut command: Command) -> Result<[f64; 3], String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut process = command.spawn().map_err(|error| error.to_string())?;
    let status = format!("/proc/{}/status", process.id());
    let (mut own, mut resident) = (0.0_f64, 0.0_f64);
    let ended = loop {
        if let Some(ended) = process.try_wait().map_err(|error| error.to_string())? {
            break ended;
        }
        // The system keeps the highest of the latter alone; it rises slowly, and stays for a second.
        if let Ok(status) = fs::read_to_string(&status) {
            own = own.max(bytes(&status, "RssAnon:"));
            resident = resident.max(bytes(&status, "VmHWM:"));
        }
        if start.elapsed() > Duration::from_secs(120) {
            let _ = process.kill();
        }
        sleep(Duration::from_millis(2));
    };
    let took = start.elapsed();
    // Ours says by its status that there were unhealthy ones.
    if !matches!(ended.code(), Some(0 | 1)) || own == 0.0 {
        return Err(format!("it ended with {ended}"));
    }
    Ok([took.as_nanos() as f64, own, resident].map(|whole| whole / ENDPOINTS as f64))
}

fn bytes(status: &str, what: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_is_read() {
        let status = "VmHWM:\t    6408 kB\nRssAnon:\t    3428 kB\n";
        assert_eq!((bytes(status, "RssAnon:"), bytes(status, "VmHWM:")), (3_510_272.0, 6_561_792.0));
        assert_eq!(bytes(status, "VmSwap:"), 0.0);
    }

    #[test]
    fn a_process_is_watched_to_its_end() {
        let mut command = Command::new("sleep");
        command.arg("0.05");
        if cfg!(target_os = "linux") {
            let [time, own, resident] = watched(command).unwrap();
            assert!(time * ENDPOINTS as f64 >= 50e6 && own > 0.0 && resident >= own);
        }
    }
}
