//! The simulated network: time to the nanosecond, bounded buffers, and what goes wrong.

use std::io::{ErrorKind, Result};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use weirs_runtime::{Clock, Runtime, Task};
use weirs_testing::sim::net::{Listener, Net, Stream, duplex};
use weirs_testing::sim::{Explore, Faults, Sim};

const MS: Duration = Duration::from_millis(1);

/// Runs a body with many seeds, spurious polls and fresh wakers.
fn many<Fut: Future<Output = ()> + 'static>(body: fn(Runtime) -> Fut) {
    Explore::new().seeds(0..60).faults(Faults::new().spurious_polls().fresh_wakers()).run(body);
}

/// Gives back whatever comes, until the end.
async fn echo(mut stream: Stream) -> Result<()> {
    let mut buffer = [0; 5];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.close().await,
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

/// A server that echoes on one connection.
fn serve(runtime: &Runtime, listener: Listener) -> Task<Result<()>> {
    runtime.builder().name("server").spawn(async move { echo(listener.accept().await?).await })
}

async fn connected(runtime: &Runtime, net: &Net) -> (Stream, Stream) {
    let listener = net.host("server").listen(80).unwrap();
    let accept = runtime.spawn(async move { listener.accept().await.unwrap() });
    let near = net.host("client").connect("server:80").await.unwrap();
    (near, accept.await.unwrap())
}

fn since(clock: &Clock, start: Duration) -> Duration {
    Duration::from_nanos(clock.now().as_nanos()) - start
}

#[test]
fn an_echo() {
    many(|runtime| async move {
        let net = Net::new(runtime.clock());
        net.set_latency(MS);
        net.set_jitter(3 * MS);
        net.set_short_transfers(true);
        net.set_capacity(7);
        let listener = net.host("server").listen(80).unwrap();
        assert_eq!(listener.address(), "server:80");
        let server = serve(&runtime, listener);
        let stream = net.host("client").connect("server:80").await.unwrap();
        assert_eq!(stream.peer(), Some("server"));
        let text: Vec<u8> = (0..100).collect();
        let (mut reader, mut writer) = futures_lite::io::split(stream);
        let sent = text.clone();
        let send = runtime.spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.close().await.unwrap();
        });
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, text);
        send.await.unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn latency_is_exact() {
    many(|runtime| async move {
        let (net, clock) = (Net::new(runtime.clock()), runtime.clock());
        net.set_latency(5 * MS);
        let server = serve(&runtime, net.host("server").listen(80).unwrap());
        let mut stream = net.host("client").connect("server:80").await.unwrap();
        assert_eq!(since(clock, Duration::ZERO), 10 * MS);
        stream.write_all(b"ab").await.unwrap();
        clock.sleep(MS).await;
        stream.write_all(b"cd").await.unwrap();
        assert_eq!(since(clock, Duration::ZERO), 11 * MS);
        let mut buffer = [0; 8];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 2);
        assert_eq!(since(clock, Duration::ZERO), 20 * MS);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 2);
        assert_eq!(since(clock, Duration::ZERO), 21 * MS);
        stream.close().await.unwrap();
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
        assert_eq!(since(clock, Duration::ZERO), 31 * MS);
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_partition_holds_bytes_up_until_it_heals() {
    many(|runtime| async move {
        let (net, clock) = (Net::new(runtime.clock()), runtime.clock());
        net.set_latency(5 * MS);
        let (mut near, mut far) = connected(&runtime, &net).await;
        near.write_all(b"on its way").await.unwrap();
        clock.sleep(MS).await;
        net.partition(&["client", "other"], &["server"]);
        near.write_all(b", later").await.unwrap();
        near.close().await.unwrap();
        let mut text = String::new();
        let read = far.read_to_string(&mut text);
        assert!(clock.timeout(Duration::from_secs(3600), read).await.is_err(), "{text}");
        let start = Duration::from_nanos(clock.now().as_nanos());
        net.heal();
        far.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "on its way, later");
        assert_eq!(since(clock, start), 5 * MS);
    });
}

#[test]
fn what_has_arrived_can_be_read_across_a_cut() {
    many(|runtime| async move {
        let net = Net::new(runtime.clock());
        let (mut near, mut far) = connected(&runtime, &net).await;
        near.write_all(b"early").await.unwrap();
        net.cut("server", "client");
        near.write_all(b"late").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(far.read(&mut buffer).await.unwrap(), 5);
        assert!(runtime.clock().timeout(MS, far.read(&mut buffer)).await.is_err());
        net.mend("client", "server");
        assert_eq!(far.read(&mut buffer).await.unwrap(), 4);
    });
}

#[test]
fn connecting_to_a_host_that_hangs_waits() {
    many(|runtime| async move {
        let (net, clock) = (Net::new(runtime.clock()), runtime.clock());
        let listener = net.host("server").listen(80).unwrap();
        net.hang("server");
        let client = net.host("client");
        assert!(clock.timeout(10 * MS, client.connect("server:80")).await.is_err());
        let heal = runtime.spawn({
            let (net, clock) = (net.clone(), clock.clone());
            async move {
                clock.sleep(10 * MS).await;
                net.heal();
            }
        });
        let stream = client.connect("server:80").await.unwrap();
        assert_eq!(since(clock, Duration::ZERO), 20 * MS);
        heal.await.unwrap();
        drop((stream, listener));
    });
}

#[test]
fn a_connection_is_refused() {
    many(|runtime| async move {
        let (net, clock) = (Net::new(runtime.clock()), runtime.clock());
        net.set_latency(2 * MS);
        let (client, server) = (net.host("client"), net.host("server"));
        assert_eq!(client.connect("server:80").await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(since(clock, Duration::ZERO), 4 * MS);

        let listener = server.listen(80).unwrap();
        assert_eq!(server.listen(80).unwrap_err().kind(), ErrorKind::AddrInUse);
        server.listen(81).unwrap();
        drop(listener);
        assert_eq!(client.connect("server:80").await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let _again = server.listen(80).unwrap();
        for no_address in ["server", "server:", "server:http", "server:70000"] {
            assert_eq!(client.connect(no_address).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        }

        let mut waiting = Vec::new();
        for _ in 0..128 {
            waiting.push(client.connect("server:80").await.unwrap());
        }
        assert_eq!(client.connect("server:80").await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_reset_is_heard_at_both_ends() {
    many(|runtime| async move {
        let net = Net::new(runtime.clock());
        net.set_latency(MS);
        let (mut near, mut far) = connected(&runtime, &net).await;
        let reader = runtime.spawn(async move { far.read(&mut [0; 8]).await });
        near.write_all(b"lost").await.unwrap();
        net.reset("other", "server"); // some other link
        net.reset("server", "client");
        assert_eq!(reader.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_full_buffer_holds_the_writer_back() {
    many(|runtime| async move {
        let (mut near, mut far) = duplex(4);
        let clock = runtime.clock().clone();
        let writer = runtime.spawn(async move {
            near.write_all(b"0123456789").await.unwrap();
            clock.now().as_nanos()
        });
        let clock = runtime.clock();
        clock.sleep(MS).await;
        assert!(!writer.is_finished());
        let mut buffer = [0; 4];
        assert_eq!(far.read(&mut buffer).await.unwrap(), 4);
        clock.sleep(MS).await;
        assert!(!writer.is_finished());
        assert_eq!(far.read(&mut buffer).await.unwrap(), 4);
        clock.sleep(MS).await;
        assert_eq!(writer.await.unwrap(), 2_000_000);
        assert_eq!((far.read(&mut buffer).await.unwrap(), &buffer[..2]), (2, &b"89"[..]));
    });
}

#[test]
fn one_way_may_be_closed() {
    many(|_| async {
        let (mut near, mut far) = duplex(16);
        near.write_all(b"question").await.unwrap();
        near.close().await.unwrap();
        assert_eq!(near.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        far.write_all(b"answer").await.unwrap();
        drop(far);
        assert_eq!(std::mem::take(&mut text), "question");
        near.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
    });
}

#[test]
fn an_end_that_is_dropped() {
    many(|runtime| async move {
        // With nothing unread it is closed.
        let (mut near, far) = duplex(2);
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // With something unread it is reset.
        let (mut near, far) = duplex(2);
        near.write_all(b"x").await.unwrap();
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        // A writer that waits hears of it, after the latency.
        let net = Net::new(runtime.clock());
        net.set_capacity(2);
        let (mut near, far) = connected(&runtime, &net).await;
        net.set_latency(5 * MS);
        let writer = runtime.spawn(async move { near.write_all(b"too long").await });
        runtime.clock().sleep(MS).await;
        drop(far);
        assert_eq!(writer.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(since(runtime.clock(), Duration::ZERO), 6 * MS);
    });
}

#[test]
fn a_listener_serves_many_at_once() {
    many(|runtime| async move {
        let net = Net::new(runtime.clock());
        net.set_latency(MS);
        let listener = net.host("server").listen(80).unwrap();
        let server = runtime.spawn({
            let runtime = runtime.clone();
            async move {
                let mut served = Vec::new();
                for _ in 0..10 {
                    let stream = listener.accept().await.unwrap();
                    served.push(runtime.spawn(echo(stream)));
                }
                for task in served {
                    task.await.unwrap().unwrap();
                }
            }
        });
        let clients: Vec<_> = (0..10_u8)
            .map(|number| {
                let host = net.host(&format!("client-{number}"));
                runtime.spawn(async move {
                    let mut stream = host.connect("server:80").await.unwrap();
                    stream.write_all(&[number; 20]).await.unwrap();
                    stream.close().await.unwrap();
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).await.unwrap();
                    assert_eq!(answer, [number; 20]);
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
    });
}

#[test]
fn short_transfers_find_who_takes_a_read_for_a_message() {
    async fn body(runtime: Runtime, short: bool) {
        let net = Net::new(runtime.clock());
        net.set_short_transfers(short);
        let (mut near, mut far) = connected(&runtime, &net).await;
        near.write_all(b"message").await.unwrap();
        let mut buffer = [0; 16];
        let count = far.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"message");
    }
    assert!(Explore::new().seeds(0..20).find(|runtime| body(runtime, false)).is_none());
    assert!(Explore::new().seeds(0..20).find(|runtime| body(runtime, true)).is_some());
}

#[test]
fn a_network_replays() {
    let run = |seed| {
        let run = Sim::new(seed).run(|runtime| async move {
            let net = Net::new(runtime.clock());
            net.set_jitter(5 * MS);
            net.set_short_transfers(true);
            let server = serve(&runtime, net.host("server").listen(80).unwrap());
            let mut stream = net.host("client").connect("server:80").await.unwrap();
            stream.write_all(b"some bytes").await.unwrap();
            stream.close().await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
            server.await.unwrap().unwrap();
        });
        let run = run.unwrap();
        (run.trace_hash, run.elapsed)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// It needs no simulator: a real clock will do.
#[test]
fn a_network_in_real_time() {
    let clock = Clock::default();
    let net = Net::new(&clock);
    net.set_latency(MS);
    let listener = net.host("server").listen(80).unwrap();
    let (server, client) = (net.host("server"), net.host("client"));
    assert_eq!(server.name(), "server");
    weirs_runtime::block_on(async {
        let serve = async { echo(listener.accept().await.unwrap()).await };
        let ask = async {
            let mut stream = client.connect("server:80").await?;
            stream.write_all(b"hello").await?;
            stream.close().await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let (served, answer) = futures_lite::future::zip(serve, ask).await;
        served.unwrap();
        assert_eq!(answer.unwrap(), "hello");
    });
}
