//! The project's commands, as one program: `cargo xtask help` lists them.
//!
//! Every command is built the same way: a plan as data, then a run, then a table.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing is what these commands are for")]
#![allow(
    clippy::disallowed_methods,
    reason = "real time and real threads: nothing here runs in the simulator"
)]

mod arguments;
mod ci;
mod error;
mod loom;
mod screen;
mod step;
mod subcommand;
mod table;
mod test;
mod tidy;
mod versus;
mod workspace;

use std::process::ExitCode;

use arguments::Arguments;
use error::Error;
use subcommand::Subcommand;

const SUBCOMMANDS: [Subcommand; 5] =
    [test::SUBCOMMAND, ci::SUBCOMMAND, tidy::SUBCOMMAND, versus::SUBCOMMAND, loom::SUBCOMMAND];

fn main() -> ExitCode {
    match dispatch(std::env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}

/// Finds the command that the first word names and hands it the others.
fn dispatch(mut words: Vec<String>) -> Result<ExitCode, Error> {
    let asks_for_help =
        words.iter().take_while(|word| *word != "--").any(|word| word == "--help" || word == "-h");
    words.retain(|word| word != "--help" && word != "-h");
    if words.first().is_some_and(|word| word == "help") {
        words.remove(0);
        words.truncate(1);
        return help(words.first());
    }
    match words.first() {
        Some(name) if asks_for_help => help(Some(name)),
        Some(name) => {
            let subcommand = find(name)?;
            (subcommand.run)(Arguments::new(&words[1..], subcommand.help))
        }
        None => help(None),
    }
}

/// Prints the help of one command, or the list of all.
fn help(name: Option<&String>) -> Result<ExitCode, Error> {
    if let Some(name) = name {
        print!("{}", find(name)?.help);
        return Ok(ExitCode::SUCCESS);
    }
    println!("The project's commands.\n\nusage: cargo xtask COMMAND [OPTIONS]\n");
    for subcommand in &SUBCOMMANDS {
        println!("  {:<8}{}", subcommand.name, subcommand.about);
    }
    println!("\n`cargo xtask help COMMAND` shows a command's options.");
    println!("Before you hand in a change: `cargo xtask ci`.");
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> Result<&'static Subcommand, Error> {
    const KNOWN: &[Subcommand] = &SUBCOMMANDS;
    KNOWN.iter().find(|subcommand| subcommand.name == name).ok_or_else(|| {
        let known: Vec<&str> = KNOWN.iter().map(|subcommand| subcommand.name).chain(["help"]).collect();
        Error::unknown("command", name, &known)
    })
}
