//! Why a command stopped before its end.

use std::fmt::Display;
use std::process::ExitCode;

/// An error message, and whether the caller or the work is at fault.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line is wrong: exit status 2.
    Usage(String),
    /// The work could not be done: exit status 1.
    Failed(String),
}

impl Error {
    /// Something on the command line that nobody knows; the message lists what is known.
    pub(crate) fn unknown(kind: &str, given: &str, known: &[&str]) -> Self {
        Self::Usage(format!("unknown {kind} `{given}`; known are: {}", known.join(", ")))
    }

    /// A failure with what was being done: `cannot start cargo: no such file`.
    pub(crate) fn doing(what: impl Display, cause: impl Display) -> Self {
        Self::Failed(format!("cannot {what}: {cause}"))
    }

    /// Prints the message and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                eprintln!("error: {message}");
                ExitCode::from(2)
            }
            Self::Failed(message) => {
                eprintln!("error: {message}");
                ExitCode::FAILURE
            }
        }
    }
}
