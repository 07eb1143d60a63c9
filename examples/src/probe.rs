//! `probe`, the fleet health checker: what `bin/probe.rs` is made of. Start reading at `run`.

use std::ffi::OsString;

mod check;
mod descriptors;
mod export;
mod fleet;
mod names;
mod options;
mod plot;
mod progress;
mod report;
mod run;
mod schedule;
mod targets;

pub use options::{Options, USAGE};
pub use report::Report;
pub use run::Probe;
pub use targets::{Endpoint, Targets};

/// Runs the program with these arguments, and gives the exit status.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Result<Vec<_>, _> = arguments.into_iter().map(OsString::into_string).collect();
    let arguments = arguments.map_err(|odd| format!("{odd:?} is no text"));
    let options = match arguments.and_then(Options::parse) {
        Ok(Some(options)) => options,
        Ok(None) => return u8::from(export::say(USAGE).is_err()) * 2,
        Err(why) => {
            progress::complain(&why);
            progress::complain("try `probe --help`");
            return 2;
        }
    };
    run::main(options).unwrap_or_else(|why| {
        progress::complain(&why);
        2
    })
}
