//! The three servers of the example `echo`, beside Go's: what one line and its answer cost.
//!
//! `task` is a task for each connection, and in Go a goroutine; `pool` has 64 workers, and so has Go; `one`
//! is one task for all connections, beside Go's goroutines, for Go has nothing of the kind. The load is the
//! same for both: one thread of this process has 64 connections over the loopback, writes a line to each of
//! them, and then reads all answers. The cost is that of one line; `cpu` is the processor time of the server
//! alone. The sockets of smol and async-std ask the system to tell them anew for each line that they wait
//! for; those of Go and tokio do so once for each connection.

use std::fmt::Write as _;
use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use weirs_examples::echo;
use weirs_examples::net::{AsyncStdNet, Net, SmolNet, TokioNet};
use weirs_runtime::Runtime;

use super::hosts::{AsyncStdGlobal, Host, SmolTwoThreads, TokioMultiThread};
use super::sides::words;
use crate::go::{self, Module, Program};
use crate::measure::{Experiment, Missing, Pair, cpu_time, wall};
use crate::row::Row;

const CONNECTIONS: usize = 64;
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Which of the servers.
#[derive(Clone, Copy)]
enum Server {
    Task,
    Pool,
    One,
}

pub(super) fn experiments() -> Vec<Experiment> {
    let mut all = Vec::new();
    for (name, server) in [("task", Server::Task), ("pool", Server::Pool), ("one", Server::One)] {
        all.push(rows(name, "smol", server, SmolTwoThreads::new, SmolNet));
        all.push(rows(name, "async-std", server, || AsyncStdGlobal, AsyncStdNet));
        all.push(rows(name, "tokio", server, TokioMultiThread::with_sockets, TokioNet));
    }
    all
}

fn rows<H: Host, N: Net>(name: &str, on: &str, server: Server, host: fn() -> H, net: N) -> Experiment {
    let row = Row::new(format!("echo/{name}/{on}/go"), go::peer());
    let cpu = row.beside("cpu");
    Experiment::new([row.goal(1.0), cpu], move |effort| {
        let workers = if let Server::Pool = server { CONNECTIONS as u64 } else { 0 };
        let mut program = Program::start(Module::Plain, &words("echo", &[workers]))?;
        let mut theirs = Clients::connect(&format!("127.0.0.1:{}", port(&program.line())?))?;
        let host = host();
        let address = serve(&host, net.clone(), server).map_err(failed)?;
        let mut ours = Clients::connect(&address)?;
        let ours = move |rounds| {
            let lines = rounds * CONNECTIONS as u64;
            let (start, own_start) = (cpu_time(), thread_time());
            let [wall] = wall(lines, || ours.talk(rounds));
            let used = (cpu_time() - start).saturating_sub(thread_time() - own_start);
            // The host stays as long as its server is asked.
            let _ = &host;
            [wall, used.as_nanos() as f64 / lines as f64]
        };
        let theirs = move |rounds| {
            let lines = rounds * CONNECTIONS as u64;
            let ([wall], [_, cpu]) = program.run_beside(lines, || wall(lines, || theirs.talk(rounds)));
            [wall, cpu]
        };
        Ok(Pair::new(ours, theirs).waits().take_turns(effort).to_vec())
    })
}

/// Starts it, and gives its address.
fn serve<H: Host, N: Net>(host: &H, net: N, server: Server) -> std::io::Result<String> {
    let runtime = host.runtime();
    host.run(async move {
        let (listener, address) = net.listen("127.0.0.1:0").await?;
        // It ends with the process.
        match server {
            Server::Task => detach(&runtime, echo::tasks::<N>(listener, runtime.clone(), AN_HOUR)),
            Server::Pool => {
                let pool = echo::pool::<N>(listener, runtime.clone(), CONNECTIONS, CONNECTIONS, AN_HOUR);
                detach(&runtime, async move { pool.await.expect("it makes sense") });
            }
            Server::One => detach(&runtime, echo::one_task::<N>(listener, runtime.clock().clone(), AN_HOUR)),
        }
        Ok(address)
    })
}

fn detach(runtime: &Runtime, server: impl Future<Output = ()> + Send + 'static) {
    runtime.spawn(server).detach();
}

/// Who talks to a server.
struct Clients {
    streams: Vec<TcpStream>,
    line: String,
    answer: Vec<u8>,
}

impl Clients {
    fn connect(address: &str) -> Result<Self, Missing> {
        let streams: std::io::Result<_> = (0..CONNECTIONS).map(|_| connected(address)).collect();
        Ok(Self { streams: streams.map_err(failed)?, line: String::new(), answer: Vec::new() })
    }

    /// A line to each of them, and its answer, so many times.
    fn talk(&mut self, rounds: u64) {
        for round in 0..rounds {
            self.line.clear();
            writeln!(self.line, "hello {round}").expect("a string takes all");
            for stream in &mut self.streams {
                stream.write_all(self.line.as_bytes()).expect("the server listens");
            }
            let length = "Processed: ".len() + self.line.len();
            self.answer.resize(length, 0);
            for stream in &mut self.streams {
                stream.read_exact(&mut self.answer).expect("the server answers");
            }
            assert!(self.answer.starts_with(b"Processed: HELLO "));
        }
    }
}

fn connected(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn port(line: &str) -> Result<u64, Missing> {
    let said: Option<Value> = serde_json::from_str(line).ok();
    let port = said.and_then(|said| said["port"].as_u64());
    port.ok_or_else(|| Missing::Failed(format!("the program said `{line}`")))
}

/// The processor time that this thread has used.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn failed(error: std::io::Error) -> Missing {
    Missing::Failed(error.to_string())
}
