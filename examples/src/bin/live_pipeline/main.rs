//! What does a pipeline look like while it runs, and when something goes wrong?
//!
//! Orders are parsed, priced, and charged by a service that may be down. Press `s` for a slow stage, `o` for
//! an outage, `+` and `-` for more and fewer orders. `q` or Ctrl-C takes no more orders and finishes those
//! that are there; once more hands them back.
//!
//! `live_pipeline [--runtime smol|async-std|tokio|sim] [--seconds N] [--seed N] [--plain]`: without a
//! terminal, with `--plain` or with `NO_COLOR` set it prints a line each second, and presses some keys by
//! itself. The simulator does that, too: in no time, and a seed tells the same story each time.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

mod frame;
mod keys;
mod lines;
mod look;
mod meter;
mod report;
mod screen;
mod shop;
mod watch;
mod world;

use std::env;
use std::error::Error;
use std::io::{IsTerminal, stdin, stdout};
use std::time::Duration;

use weirs_runtime::{AsyncStd, Runtime, Smol, Tokio, block_on};
use weirs_testing::sim::Sim;

use keys::Keys;
use lines::Lines;
use screen::Screen;

/// How long the script of keys goes on, unless told otherwise.
const SCRIPT: Duration = Duration::from_secs(24);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (mut name, mut seconds, mut seed, mut plain) = ("smol".to_owned(), None, 7, false);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match &*argument {
            "--runtime" => name = value()?,
            "--seconds" => seconds = Some(Duration::from_secs(value()?.parse()?)),
            "--seed" => seed = value()?.parse()?,
            "--plain" => plain = true,
            other => return Err(format!("nothing is called {other:?}").into()),
        }
    }
    if name == "sim" {
        let story = async move |runtime: Runtime| {
            let keys = Keys::script(runtime.clock(), seconds.unwrap_or(SCRIPT));
            watch::watch(&runtime, keys, &mut Lines::default()).await.map_err(|error| error.to_string())
        };
        let report = Sim::new(seed).step_limit(10_000_000).run(story)?.output?;
        print!("{report}");
        return Ok(());
    }

    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let runtime = match &*name {
        "smol" => Runtime::from(Smol::global()),
        "async-std" => Runtime::from(AsyncStd),
        "tokio" => Runtime::from(Tokio::on(tokio.handle().clone())),
        other => return Err(format!("no runtime is called {other:?}").into()),
    };
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let report = if plain || no_color || !stdin().is_terminal() || !stdout().is_terminal() {
        let keys = Keys::script(runtime.clock(), seconds.unwrap_or(SCRIPT)).with_signals()?;
        block_on(watch::watch(&runtime, keys, &mut Lines::default()))?
    } else {
        let keys = Keys::typed(runtime.clock(), seconds).with_signals()?;
        let mut screen = Screen::enter(name)?;
        block_on(watch::watch(&runtime, keys, &mut screen))?
    };
    print!("{report}");
    Ok(())
}
