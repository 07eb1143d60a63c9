//! A cargo command as data: it can be listed, pasted and run.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::error::Error;

/// One cargo command with the variables that it needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Step {
    pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self { variables: Vec::new(), arguments: arguments.into_iter().map(str::to_owned).collect() }
    }

    #[must_use]
    pub(crate) fn with<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    #[must_use]
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The process to start, in `folder`.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(cargo());
        command.args(&self.arguments).current_dir(folder);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the command with this terminal as its own and tells whether it succeeded.
    pub(crate) fn succeeds(&self, folder: &Path) -> Result<bool, Error> {
        let status = self.command(folder).status();
        Ok(status.map_err(|cause| Error::doing(format_args!("start `{self}`"), cause))?.success())
    }
}

/// The line to paste into a shell.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(formatter, "{name}={} ", quoted(value))?;
        }
        formatter.write_str("cargo")?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {}", quoted(argument)))
    }
}

/// The cargo that started this program, so that one toolchain does everything.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_line_to_paste() {
        let step = Step::cargo(["doc", "--no-deps"]).with(["it's"]).variable("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(step.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }
}
