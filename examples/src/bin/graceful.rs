//! How does my server end in order at Ctrl-C?
//!
//! The first Ctrl-C, or `kill`, stops the accepting; connections that are there are answered. The second
//! drops them. The third would end the process even if all its threads were stuck. At the end it says what
//! became of whom.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::Duration;
    use weirs_runtime::{Runtime, Smol, block_on};
    use weirs_scopes::{Shutdown, Signals};

    let runtime = Runtime::from(Smol::global());
    let shutdown = Shutdown::builder()
        .total(Duration::from_secs(10))
        .signals(Signals::interrupt_and_terminate()?)
        .build(&runtime)?;
    shutdown.defer("write the log", async { println!("the log is written") });

    let report = block_on(shutdown.run(unix::serve(&shutdown, runtime.clock())));
    print!("{report}");
    std::process::exit(report.exit_code().into())
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::time::Duration;

    use smol::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use smol::net::{TcpListener, TcpStream};
    use weirs_runtime::Clock;
    use weirs_scopes::Shutdown;

    pub(crate) async fn serve(shutdown: &Shutdown, clock: &Clock) -> io::Result<()> {
        let connections = shutdown.group("connections");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("listening on {}", listener.local_addr()?);
        // Accepts until the intake is stopped; then the listener is closed.
        while let Ok(accepted) = shutdown.intake().run(listener.accept()).await {
            let (stream, peer) = accepted?;
            let clock = clock.clone();
            connections.spawn(peer.to_string(), async move {
                if let Err(error) = answer(stream, &clock).await {
                    println!("{peer}: {error}");
                }
            });
        }
        println!("no more connections: {}", shutdown.intake().cancelled().await);
        Ok(())
    }

    /// Thinks for a while about each connection's one line.
    async fn answer(mut stream: TcpStream, clock: &Clock) -> io::Result<()> {
        let mut line = String::new();
        BufReader::new(&mut stream).read_line(&mut line).await?;
        println!("asked: {}", line.trim());
        clock.sleep(Duration::from_millis(300)).await;
        stream.write_all(line.to_uppercase().as_bytes()).await
    }
}

#[cfg(not(unix))]
fn main() {
    println!("signals are for Unix");
}
