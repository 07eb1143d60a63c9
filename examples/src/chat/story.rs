//! What happens in the room when nobody real is there: four guests and their evening, on any runtime.

use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::io::{BufReader, ReadHalf, WriteHalf, split};
use futures_lite::{AsyncBufReadExt, AsyncWriteExt, future};
use weirs_actors::supervise::What;
use weirs_runtime::Runtime;

use crate::net::{Net, Program};

/// How many lines bob says in one go.
const MANY: u64 = 2000;

/// The evening; what it gives is what there is to tell.
#[derive(Clone, Copy, Debug)]
pub struct Story;

impl Program for Story {
    type Output = io::Result<String>;

    async fn run<N: Net>(self, net: N, runtime: Runtime) -> io::Result<String> {
        let (listener, address) = net.listen("127.0.0.1:0").await?;
        let address = net.resolve(&address).await?;
        let crashes = Arc::new(Mutex::new(String::new()));
        let noted = Arc::clone(&crashes);
        let tree = super::open::<N>(listener, &runtime, move |event| {
            if matches!(event.what, What::Ended(exit) if exit.is_abnormal()) {
                writeln!(noted.lock().expect("no panic"), "{event}").expect("text");
            }
        });
        let tree = tree.await.map_err(io::Error::other)?;
        let mut told = String::new();

        let mut ann = Guest::<N>::come(&net, &address, "ann").await?;
        let mut bob = Guest::<N>::come(&net, &address, "bob").await?;
        let mut eve = Guest::<N>::come(&net, &address, "eve").await?;
        ann.hear_all(&mut told, 2).await?;
        ann.say("hello").await?;
        bob.hear_all(&mut told, 2).await?;

        told.push_str("-- eve's session has a bug\n");
        eve.say("/crash").await?;
        ann.hear_all(&mut told, 1).await?;
        bob.hear_all(&mut told, 1).await?;

        told.push_str("-- sid does not read what bob has to say; ann does\n");
        let mut sid = Guest::<N>::come(&net, &address, "sid").await?;
        ann.hear_all(&mut told, 1).await?;
        let long = "la ".repeat(100);
        let speech = async {
            for _ in 1..MANY {
                bob.say(&long).await?;
            }
            bob.say("that is all").await
        };
        let (said, heard) = future::zip(speech, ann.hear_until("bob: that is all")).await;
        said?;
        let sum = |(heard, missed)| if heard + missed == MANY { "all of it" } else { "not all of it" };
        writeln!(told, "ann heard or was told of {}", sum(heard?)).expect("text");
        // By now the other's lines lie in the network, or were let go.
        runtime.clock().sleep(Duration::from_millis(100)).await;
        writeln!(told, "so did sid: {}", sum(sid.hear_until("bob: that is all").await?)).expect("text");

        write!(told, "-- the house\n{}", tree.snapshot()).expect("text");
        told.push_str("-- it is late\n");
        bob.say("/quit").await?;
        ann.hear_all(&mut told, 1).await?;
        let (report, heard) = future::zip(tree.shutdown(), ann.hear_all(&mut told, 1)).await;
        heard?;
        write!(told, "-- who crashed\n{}", crashes.lock().expect("no panic")).expect("text");
        writeln!(told, "-- the end\n{report}").expect("text");
        Ok(told)
    }
}

struct Guest<N: Net> {
    name: &'static str,
    reading: BufReader<ReadHalf<N::Stream>>,
    writing: WriteHalf<N::Stream>,
}

impl<N: Net> Guest<N> {
    async fn come(net: &N, address: &N::Address, name: &'static str) -> io::Result<Self> {
        let (reading, writing) = split(net.connect(address).await?);
        let mut guest = Self { name, reading: BufReader::new(reading), writing };
        guest.hear().await?;
        guest.say(name).await?;
        guest.hear().await?;
        Ok(guest)
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.writing.write_all(format!("{text}\n").as_bytes()).await
    }

    async fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reading.read_line(&mut line).await?;
        Ok(line.trim_end().to_owned())
    }

    async fn hear_all(&mut self, told: &mut String, lines: usize) -> io::Result<()> {
        for _ in 0..lines {
            let line = self.hear().await?;
            writeln!(told, "{} hears: {line}", self.name).expect("text");
        }
        Ok(())
    }

    /// How many lines come until this one, and how many are said to be missing.
    async fn hear_until(&mut self, last: &str) -> io::Result<(u64, u64)> {
        let (mut heard, mut missed) = (0, 0);
        loop {
            let line = self.hear().await?;
            if let Some(number) = line.strip_suffix(" lines are missing here") {
                missed += number.trim_start_matches("* ").parse::<u64>().map_err(io::Error::other)?;
            } else if line.starts_with("bob: ") {
                heard += 1;
            } else if line.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line == last {
                return Ok((heard, missed));
            }
        }
    }
}
