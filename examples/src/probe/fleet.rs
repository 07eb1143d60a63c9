//! The fleet that `probe` starts when it is given none: real sockets on loopback, or simulated ones, with
//! endpoints that are well, slow, ill, or worse, from a seed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use weirs_runtime::{Clock, Runtime, Task};
use weirs_scopes::Group;

use super::descriptors::ran_out;
use super::targets::Targets;
use crate::net::Net;

/// How many hosts a fleet has.
const HOSTS: usize = 10;
/// This one is ill as a whole.
const ILL: usize = 8;
/// At this one nobody listens.
const GONE: usize = 9;

/// What an endpoint does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Well,
    Slow,
    /// Ill at first, and well when it is asked again.
    Flapping,
    Failing(u16),
    Resetting,
    Hanging,
}

/// A fleet; dropped, its servers are gone.
pub(super) struct Fleet {
    _servers: Vec<Task<()>>,
}

/// What the servers of a fleet know.
struct Plan {
    seed: u64,
    clock: Clock,
    /// Which of the flapping ones were asked before.
    asked: Vec<AtomicBool>,
}

impl Fleet {
    /// Starts it, and adds its endpoints to the targets.
    pub(super) async fn start<N: Net>(
        net: &N,
        runtime: &Runtime,
        endpoints: usize,
        seed: u64,
        targets: &mut Targets,
    ) -> io::Result<Self> {
        let plan = Arc::new(Plan {
            seed,
            clock: runtime.clock().clone(),
            asked: (0..endpoints).map(|_| AtomicBool::new(false)).collect(),
        });
        let mut servers = Vec::new();
        let mut addresses = Vec::new();
        for host in 0..HOSTS.min(endpoints) {
            let (listener, address) = net.listen("127.0.0.1:0").await?;
            addresses.push(address);
            if host == GONE {
                continue;
            }
            let (plan, tasks) = (Arc::clone(&plan), runtime.clone());
            servers.push(runtime.builder().name("host").spawn(async move {
                serve::<N>(&listener, &plan, &tasks, host).await;
            }));
        }
        for endpoint in 0..endpoints {
            targets.add(&addresses[endpoint % addresses.len()], &format!("/health/{endpoint}"));
        }
        Ok(Self { _servers: servers })
    }
}

/// How long a connection may last, whatever its endpoint does.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most bytes that a request may have.
const LONGEST: usize = 4096;

async fn serve<N: Net>(listener: &N::Listener, plan: &Arc<Plan>, runtime: &Runtime, host: usize) {
    // Dropped with this task, and its connections with it.
    let connections = Group::<()>::new(runtime);
    loop {
        match N::accept(listener).await {
            Ok(stream) => {
                let plan = Arc::clone(plan);
                connections.spawn(async move {
                    // Whoever hangs up is no trouble of the server's.
                    let _ = plan.clock.timeout(PATIENCE, plan.answer(stream, host)).await;
                });
            }
            // Those that are open leave room when they are answered.
            Err(error) if ran_out(&error) => plan.clock.sleep(Duration::from_millis(5)).await,
            Err(_) => plan.clock.sleep(Duration::from_millis(1)).await,
        }
    }
}

impl Plan {
    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, host: usize) -> io::Result<()> {
        let mut request = Vec::with_capacity(256);
        let Some(endpoint) = self.line(&mut stream, &mut request).await? else { return Ok(()) };
        let mut chance = Chance(self.seed ^ (endpoint as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let manner = Self::manner(host, &mut chance);
        if manner == Manner::Resetting {
            // What is left unread makes the system reset the connection when it is closed.
            return Ok(());
        }
        while !request.ends_with(b"\r\n\r\n") {
            if request.len() > LONGEST || read_some(&mut stream, &mut request, 255).await? == 0 {
                return Ok(());
            }
        }
        let usual = Duration::from_micros(500 + chance.below(9_500));
        let status = match manner {
            Manner::Well => {
                self.clock.sleep(usual).await;
                200
            }
            Manner::Slow => {
                self.clock.sleep(Duration::from_millis(200 + chance.below(400))).await;
                200
            }
            Manner::Flapping => {
                self.clock.sleep(usual).await;
                let before = self.asked.get(endpoint).is_none_or(|asked| asked.swap(true, Ordering::Relaxed));
                if before { 200 } else { 503 }
            }
            Manner::Failing(status) => {
                self.clock.sleep(usual).await;
                status
            }
            Manner::Hanging | Manner::Resetting => {
                // Until the other side hangs up: a connection that nobody waits for holds a descriptor.
                while read_some(&mut stream, &mut request, 255).await? > 0 {
                    request.clear();
                }
                return Ok(());
            }
        };
        let body = if status == 200 { "well" } else { "ill" };
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} \r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).await?;
        stream.close().await
    }

    /// Which endpoint the first line asks for, read in so small bites that more is left.
    async fn line<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
        request: &mut Vec<u8>,
    ) -> io::Result<Option<usize>> {
        while request.len() < LONGEST {
            if let Some(end) = request.iter().position(|byte| *byte == b'\r') {
                let line = std::str::from_utf8(&request[..end]).unwrap_or_default();
                let number = line.split(' ').nth(1).and_then(|path| path.rsplit('/').next()?.parse().ok());
                return Ok(Some(number.unwrap_or(usize::MAX)));
            }
            if read_some(stream, request, 48).await? == 0 {
                break;
            }
        }
        Ok(None)
    }

    fn manner(host: usize, chance: &mut Chance) -> Manner {
        if host == ILL {
            return if chance.below(4) == 0 { Manner::Hanging } else { Manner::Failing(503) };
        }
        match chance.below(1000) {
            0..=899 => Manner::Well,
            900..=939 => Manner::Slow,
            940..=964 => Manner::Flapping,
            965..=974 => Manner::Failing(500),
            975..=979 => Manner::Failing(404),
            980..=989 => Manner::Resetting,
            _ => Manner::Hanging,
        }
    }
}

async fn read_some<S: AsyncRead + Unpin>(
    stream: &mut S,
    into: &mut Vec<u8>,
    most: usize,
) -> io::Result<usize> {
    let mut buffer = [0; 255];
    let number = stream.read(&mut buffer[..most]).await?;
    into.extend_from_slice(&buffer[..number]);
    Ok(number)
}

/// Numbers by chance from a seed, the same everywhere (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
