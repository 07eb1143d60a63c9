//! A task for each connection, a pool of workers, or one task for all: what does each of them do?
//!
//! The same service with three servers; what they are made of is in `src/echo/`. A hundred clients talk to
//! the first, five to a pool of two workers, and ten thousand, or as many as `--connections` says, to the
//! last.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::io::BufReader;
use futures_lite::{AsyncBufReadExt, AsyncWriteExt};
use weirs_examples::net::{Net, Program};
use weirs_examples::{echo, story};
use weirs_runtime::Runtime;
use weirs_scopes::TryGroup;

/// How long a pool keeps a connection that says nothing.
const IDLE: Duration = Duration::from_secs(2);
const AN_HOUR: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    // Both ends of each are here.
    let files = rlimit::increase_nofile_limit(1 << 20).unwrap_or(256).saturating_sub(64) as usize / 2;
    let sim = story::argument("--runtime", "smol".to_owned()) == "sim";
    let connections = story::argument("--connections", 10_000);
    story::tell_on_net("smol", Echo { connections: if sim { connections } else { connections.min(files) } })
}

struct Echo {
    connections: usize,
}

impl Program for Echo {
    type Output = io::Result<()>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<()> {
        let (listener, address) = net.listen("127.0.0.1:0").await?;
        let server = runtime.spawn(echo::tasks::<N>(listener, runtime.clone(), AN_HOUR));
        let answers = talk(&net, &runtime, &address, 100).await?;
        println!("tasks: 100 connections at a time, {answers} answers");
        drop(server);

        let (listener, address) = net.listen("127.0.0.1:0").await?;
        let server = runtime.spawn(echo::pool::<N>(listener, runtime.clone(), 2, 2, IDLE));
        busy(&net, &address).await?;
        drop(server);

        let (listener, address) = net.listen("127.0.0.1:0").await?;
        let server = runtime.spawn(echo::one_task::<N>(listener, runtime.clock().clone(), AN_HOUR));
        let answers = talk(&net, &runtime, &address, self.connections).await?;
        println!("one task: {} connections at a time, {answers} answers", self.connections);
        drop(server);
        Ok(())
    }
}

/// All connect, and only then all talk.
async fn talk<N: Net>(net: &N, runtime: &Runtime, address: &str, clients: usize) -> io::Result<usize> {
    let address = net.resolve(address).await?;
    let mut streams = Vec::new();
    for number in 0..clients {
        let mut stream = BufReader::with_capacity(128, net.connect(&address).await?);
        // The first word makes sure that the server has it.
        say(&mut stream, &format!("hello {number}")).await?;
        streams.push(stream);
    }
    let group = TryGroup::<bool, io::Error>::new(runtime);
    for (number, mut stream) in streams.into_iter().enumerate() {
        group.spawn(async move {
            let answer = say(&mut stream, &format!("client {number}")).await?;
            Ok(answer == format!("Processed: CLIENT {number}\n"))
        });
    }
    let answers = group.wait().await.map_err(io::Error::other)?;
    Ok(answers.into_iter().filter(|is_right| *is_right).count())
}

/// Two are served, two wait, and the fifth is sent away.
async fn busy<N: Net>(net: &N, address: &str) -> io::Result<()> {
    let address = net.resolve(address).await?;
    let mut clients = Vec::new();
    for number in 1..=4 {
        let mut client = BufReader::new(net.connect(&address).await?);
        if number <= 2 {
            print!("pool: client {number}: {}", say(&mut client, "hello").await?);
        }
        clients.push(client);
    }
    let mut fifth = BufReader::new(net.connect(&address).await?);
    print!("pool: client 5: {}", read(&mut fifth).await?);
    let mut waiting = clients.split_off(2);
    for (number, client) in (1..).zip(&mut clients) {
        let is_over = read(client).await?.is_empty();
        println!("pool: client {number} says nothing, and is let go: {is_over}");
    }
    for (number, client) in (3..).zip(&mut waiting) {
        print!("pool: client {number}: {}", say(client, "hello at last").await?);
    }
    Ok(())
}

async fn say<S>(stream: &mut BufReader<S>, line: &str) -> io::Result<String>
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    stream.get_mut().write_all(format!("{line}\n").as_bytes()).await?;
    read(stream).await
}

async fn read<S: futures_io::AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line)
}
