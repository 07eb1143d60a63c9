//! The fleet health checker as one writes it with tokio, tokio-util and governor: what `probe` of the
//! examples is measured beside. `probe --serve > urls` is the fleet for both, and
//! `cargo run --release --package weirs-versus --bin tokio_probe -- urls` checks it.
//!
//! Time limits, retries with a budget, a circuit breaker for each host, bounds for all and for each host, a
//! rate, an end at Ctrl-C, and the same table. It has no hedges, files or progress, and no host has a turn
//! of its own.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const AT_ONCE: usize = 1000;
const PER_HOST: usize = 100;
const RETRIES: u32 = 2;
const TIMEOUT: Duration = Duration::from_millis(1000);
const TOTAL: Duration = Duration::from_millis(4000);
const FAILURES: u32 = 20;
const OPEN_FOR: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Healthy,
    Unhealthy,
    Unreachable,
    TimedOut,
    CircuitOpen,
    Cancelled,
}

const VERDICTS: [Verdict; 6] = [
    Verdict::Healthy,
    Verdict::Unhealthy,
    Verdict::Unreachable,
    Verdict::TimedOut,
    Verdict::CircuitOpen,
    Verdict::Cancelled,
];

struct Host {
    name: String,
    places: Arc<Semaphore>,
    failures: AtomicU32,
    opened: Mutex<Option<Instant>>,
}

struct Shared {
    hosts: Vec<Host>,
    endpoints: Vec<(usize, String)>,
    calls: AtomicUsize,
    retries: AtomicUsize,
    rate: Option<DefaultDirectRateLimiter>,
    results: Mutex<Vec<(Verdict, Duration)>>,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let list = arguments.next().expect("a file of URLs");
    let rate = arguments.next().map(|rate| rate.parse::<NonZeroU32>().expect("requests a second"));
    let list = std::fs::read_to_string(list).expect("a file of URLs");
    let (mut hosts, mut endpoints, mut seen) = (Vec::<Host>::new(), Vec::new(), HashSet::new());
    for line in list.lines() {
        let url = line.strip_prefix("http://").expect("a plain URL");
        if !seen.insert(url) {
            continue;
        }
        let (name, path) = url.split_once('/').expect("a path");
        let host = hosts.iter().position(|host| host.name == name).unwrap_or_else(|| {
            hosts.push(Host {
                name: name.to_owned(),
                places: Arc::new(Semaphore::new(PER_HOST)),
                failures: AtomicU32::new(0),
                opened: Mutex::new(None),
            });
            hosts.len() - 1
        });
        endpoints.push((host, format!("/{path}")));
    }
    drop(seen);
    drop(list);
    let number = endpoints.len();
    let shared = Arc::new(Shared {
        hosts,
        endpoints,
        calls: AtomicUsize::new(0),
        retries: AtomicUsize::new(0),
        rate: rate.map(|rate| DefaultDirectRateLimiter::direct(Quota::per_second(rate))),
        results: Mutex::new(Vec::with_capacity(number)),
    });
    let cancelled = CancellationToken::new();
    let stop = cancelled.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    });

    let begun = Instant::now();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let tracker = TaskTracker::new();
    for at in 0..number {
        if cancelled.is_cancelled() {
            break;
        }
        let place = places.clone().acquire_owned().await.expect("it is open");
        if let Some(rate) = &shared.rate {
            rate.until_ready().await;
        }
        let (shared, cancelled) = (shared.clone(), cancelled.clone());
        tracker.spawn(async move {
            let _place = place;
            let host = &shared.hosts[shared.endpoints[at].0];
            let _of_host = host.places.acquire().await.expect("it is open");
            let asked = Instant::now();
            let verdict = tokio::select! {
                verdict = timeout(TOTAL, shared.check(at)) => verdict.unwrap_or(Verdict::TimedOut),
                () = cancelled.cancelled() => Verdict::Cancelled,
            };
            shared.results.lock().unwrap().push((verdict, asked.elapsed()));
        });
    }
    tracker.close();
    tracker.wait().await;

    let elapsed = begun.elapsed();
    let results = shared.results.lock().unwrap();
    println!("{:<14}{:>10}{:>12}{:>12}{:>12}", "outcome", "endpoints", "p50", "p95", "p99");
    for verdict in VERDICTS {
        let mut times: Vec<_> =
            results.iter().filter(|(it, _)| *it == verdict).map(|(_, took)| *took).collect();
        if times.is_empty() {
            continue;
        }
        times.sort_unstable();
        let at =
            |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1].as_secs_f64() * 1000.0;
        let name = format!("{verdict:?}");
        println!("{name:<14}{:>10}{:>9.1} ms{:>9.1} ms{:>9.1} ms", times.len(), at(50), at(95), at(99));
    }
    println!("\n{number} endpoints of {} hosts in {:.2} s", shared.hosts.len(), elapsed.as_secs_f64());
}

impl Shared {
    async fn check(&self, at: usize) -> Verdict {
        let (host, path) = &self.endpoints[at];
        let host = &self.hosts[*host];
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut pause = Duration::from_millis(50);
        let mut verdict = Verdict::CircuitOpen;
        for attempt in 0..=RETRIES {
            if attempt > 0 {
                let allowed = 10 + self.calls.load(Ordering::Relaxed) / 5;
                if self.retries.fetch_add(1, Ordering::Relaxed) >= allowed {
                    self.retries.fetch_sub(1, Ordering::Relaxed);
                    return verdict;
                }
                sleep(pause).await;
                pause *= 2;
                if let Some(rate) = &self.rate {
                    rate.until_ready().await;
                }
            }
            if !host.admits() {
                return verdict;
            }
            let answer = timeout(TIMEOUT, ask(&host.name, path)).await;
            let status: u16;
            (verdict, status) = match answer {
                Ok(Ok(status @ 200..400)) => (Verdict::Healthy, status),
                Ok(Ok(status)) => (Verdict::Unhealthy, status),
                Ok(Err(_)) => (Verdict::Unreachable, 0),
                Err(_) => (Verdict::TimedOut, 0),
            };
            if verdict == Verdict::Healthy {
                host.failures.store(0, Ordering::Relaxed);
                return verdict;
            }
            if (400..500).contains(&status) {
                return verdict;
            }
            host.failed();
        }
        verdict
    }
}

impl Host {
    fn admits(&self) -> bool {
        let mut opened = self.opened.lock().unwrap();
        match *opened {
            Some(at) if at.elapsed() < OPEN_FOR => false,
            Some(_) => {
                // This one tries; the others wait for another turn.
                *opened = Some(Instant::now());
                true
            }
            None => true,
        }
    }

    fn failed(&self) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            *self.opened.lock().unwrap() = Some(Instant::now());
            self.failures.store(0, Ordering::Relaxed);
        }
    }
}

async fn ask(host: &str, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: tokio-probe\r\n\
         accept: */*\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(&answer) {
            Ok(httparse::Status::Complete(_)) => return Ok(parsed.code.unwrap_or(0)),
            Ok(httparse::Status::Partial) => {}
            Err(_) => return Err(std::io::ErrorKind::InvalidData.into()),
        }
    }
}
