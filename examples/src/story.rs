//! Programs that tell something, on the runtime that their user names.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::str::FromStr;

use weirs_runtime::{AsyncStd, Runtime, Smol, Tokio, block_on};
use weirs_testing::sim::Sim;

use crate::net::{Kind, Program};

/// Runs the story on the runtime that `--runtime` names, or on the usual one.
///
/// In the simulator, where `--seed` may say which run it is, a deadlock or a task that is left at the end is
/// an error.
pub fn tell<F, Fut>(usual: &str, story: F) -> ExitCode
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    exit(kind(usual).and_then(|kind| run(kind, story)))
}

/// Runs a program that needs a network on the runtime that `--runtime` names, or on the usual one.
pub fn tell_on_net(usual: &str, program: impl Program<Output = io::Result<()>> + Send + 'static) -> ExitCode {
    exit(kind(usual).and_then(|kind| {
        let result = kind.run(program).and_then(|result| result);
        result.map_err(|error| error.to_string())
    }))
}

/// What follows this argument on the command line, or the usual.
///
/// # Panics
/// When it is no such thing.
pub fn argument<T: FromStr>(name: &str, usual: T) -> T {
    match std::env::args().skip_while(|argument| argument != name).nth(1) {
        Some(value) => value.parse().unwrap_or_else(|_| panic!("{name} cannot be {value:?}")),
        None => usual,
    }
}

fn kind(usual: &str) -> Result<Kind, String> {
    let name = argument("--runtime", usual.to_owned());
    Kind::parse(&name, argument("--seed", 1)).ok_or_else(|| format!("no runtime is called {name:?}"))
}

fn run<F, Fut>(kind: Kind, story: F) -> Result<(), String>
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    match kind {
        Kind::Smol => block_on(story(Runtime::from(Smol::global()))),
        Kind::AsyncStd => async_std::task::block_on(story(Runtime::from(AsyncStd))),
        Kind::Tokio => {
            let tokio = tokio::runtime::Builder::new_multi_thread().build();
            let tokio = tokio.map_err(|error| error.to_string())?;
            tokio.block_on(story(Runtime::from(Tokio::on(tokio.handle().clone()))));
        }
        Kind::Sim(seed) => {
            Sim::new(seed).run(story).map_err(|failure| failure.to_string())?;
        }
    }
    Ok(())
}

fn exit(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
