//! How do I give each connection a session of its own, whose crash is nobody else's?
//!
//! A chat over TCP: `nc 127.0.0.1 PORT`, a name, and then lines. Who reads slowly misses lines, and is told how
//! many; `/crash` is a bug in one's own session; `/quit` leaves. Ctrl-C ends it from the bottom of the tree up
//! and says who did not end in time; a second one drops everybody. `--runtime` is smol, async-std, tokio, or
//! sim: there the guests are simulated too, as they are with `--story` anywhere. What it is made of is in
//! `src/chat/`.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::error::Error;
use std::future::pending;
use std::io;

use futures_lite::future;
use weirs_actors::supervise::What;
use weirs_examples::chat::{self, story::Story};
use weirs_examples::net::{Kind, Net, Program};
use weirs_runtime::Runtime;
use weirs_scopes::Signals;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut runtime, mut seed, mut address, mut story) =
        ("smol".to_owned(), 1, "127.0.0.1:0".to_owned(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--runtime" => runtime = value()?,
            "--seed" => seed = value()?.parse()?,
            "--listen" => address = value()?,
            "--story" => story = true,
            _ => {
                return Err(
                    format!("there is --runtime, --seed, --listen and --story, but no {argument}").into()
                );
            }
        }
    }
    let kind = Kind::parse(&runtime, seed).ok_or("a runtime is smol, async-std, tokio or sim")?;
    if story || matches!(kind, Kind::Sim(_)) {
        print!("{}", kind.run(Story)??);
    } else {
        kind.run(Server(address))??;
    }
    Ok(())
}

struct Server(String);

impl Program for Server {
    type Output = io::Result<()>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<()> {
        let mut signals = Signals::interrupt_and_terminate()?;
        let (listener, address) = net.listen(&self.0).await?;
        let tree = chat::open::<N>(listener, &runtime, |event| {
            if matches!(event.what, What::Ended(exit) if exit.is_abnormal()) {
                println!("{event}");
            }
        });
        let mut tree = tree.await.map_err(io::Error::other)?;
        println!("listening on {address}");

        let signal = async { Ok(signals.recv().await) };
        match future::or(signal, async { Err(tree.wait().await) }).await {
            Ok(signal) => println!("{signal}: the tree as it is\n{}", tree.snapshot()),
            Err(exit) => println!("the tree has ended: {exit}"),
        }
        let handle = tree.handle();
        let insist = async {
            signals.recv().await;
            handle.kill_all();
            pending().await
        };
        println!("{}", future::or(tree.shutdown(), insist).await);
        Ok(())
    }
}
