//! One of the project's commands, as data.

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::error::Error;

/// What `main` needs to know of a command.
pub(crate) struct Subcommand {
    pub(crate) name: &'static str,
    /// One line for the list of commands.
    pub(crate) about: &'static str,
    /// The page that `cargo xtask help NAME` prints; the known options are read from it.
    pub(crate) help: &'static str,
    pub(crate) run: fn(Arguments) -> Result<ExitCode, Error>,
}
