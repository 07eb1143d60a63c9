//! `cargo xtask versus`: the options, the run, the verdict. What the numbers mean stands at the head of the
//! library.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "it tells how long a run took, in real time")]

mod options;
mod run;

use std::process::ExitCode;

use options::{Command, Options};
use weirs_versus::go;
use weirs_versus::report::Results;

fn main() -> ExitCode {
    match Options::parse(lexopt::Parser::from_env()) {
        Ok(Command::Help) => {
            println_quietly(options::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::SetUpGo) => report(go::set_up().map(|said| {
            println_quietly(&format!("{said}\n"));
            ExitCode::SUCCESS
        })),
        Ok(Command::Report(results, place)) => report(Results::read(&results).and_then(|results| {
            println_quietly(&format!("{}\n", place.write(&results)?));
            Ok(ExitCode::SUCCESS)
        })),
        Ok(Command::Child(task, times)) => report(task.run(times).map(|()| ExitCode::SUCCESS)),
        Ok(Command::Measure(options)) => report(run::run(options)),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn report(outcome: Result<ExitCode, String>) -> ExitCode {
    outcome.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::FAILURE
    })
}

/// A closed pipe is no reason to complain.
fn println_quietly(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
