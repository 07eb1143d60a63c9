//! The words after a command's name.

use std::ffi::OsString;
use std::str::FromStr;

use crate::error::Error;

/// Reads options one by one; every mistake is an error that lists what would have been right.
pub(crate) struct Arguments {
    parser: lexopt::Parser,
    help: &'static str,
}

impl Arguments {
    pub(crate) fn new(words: &[String], help: &'static str) -> Self {
        Self { parser: lexopt::Parser::from_args(words), help }
    }

    /// The next option's name, without its dashes.
    pub(crate) fn next(&mut self) -> Result<Option<String>, Error> {
        match self.parser.next().map_err(usage)? {
            None => Ok(None),
            Some(lexopt::Arg::Long(name)) => Ok(Some(name.to_owned())),
            Some(lexopt::Arg::Short(letter)) => Err(self.unknown(&format!("-{letter}"))),
            Some(lexopt::Arg::Value(word)) => Err(self.unknown(&word.to_string_lossy())),
        }
    }

    /// The value of the option that `next` gave last.
    pub(crate) fn value(&mut self) -> Result<String, Error> {
        let value = self.parser.value().map_err(usage)?;
        value.into_string().map_err(|value| Error::Usage(format!("{value:?} is not valid text")))
    }

    /// The value of the option that `next` gave last, as a number of at least one.
    pub(crate) fn number<N: FromStr + Default + PartialEq>(&mut self, option: &str) -> Result<N, Error> {
        let value = self.value()?;
        let wrong = || Error::Usage(format!("--{option} needs a whole number of at least 1, not `{value}`"));
        value.parse().ok().filter(|number| *number != N::default()).ok_or_else(wrong)
    }

    /// The words that were not read yet, as they are.
    pub(crate) fn rest(mut self) -> Result<Vec<OsString>, Error> {
        Ok(self.parser.raw_args().map_err(usage)?.collect())
    }

    /// The error for an option that the command does not have.
    pub(crate) fn unknown(&self, given: &str) -> Error {
        Error::unknown("argument", given, &options_of(self.help))
    }
}

/// The options that a help page names at the beginning of a line.
fn options_of(help: &'static str) -> Vec<&'static str> {
    help.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| word.starts_with("--"))
        .collect()
}

fn usage(error: lexopt::Error) -> Error {
    Error::Usage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "usage: x\n  --only NAME   takes --this\n  --list        shows\n";

    fn arguments(words: &[&str]) -> Arguments {
        Arguments::new(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), HELP)
    }

    #[test]
    fn smoke() {
        let mut arguments = arguments(&["--only", "a", "--list", "--jobs=3"]);
        assert_eq!(arguments.next().unwrap().unwrap(), "only");
        assert_eq!(arguments.value().unwrap(), "a");
        assert_eq!(arguments.next().unwrap().unwrap(), "list");
        assert_eq!(arguments.next().unwrap().unwrap(), "jobs");
        assert_eq!(arguments.number::<usize>("jobs").unwrap(), 3);
        assert_eq!(arguments.next().unwrap(), None);
    }

    #[test]
    fn unknown_words_list_the_known_options() {
        let error = arguments(&["scopes"]).next().unwrap_err();
        let Error::Usage(message) = error else { panic!("{error:?}") };
        assert_eq!(message, "unknown argument `scopes`; known are: --only, --list");
    }

    #[test]
    fn zero_and_words_are_no_numbers() {
        for value in ["0", "many", "-1"] {
            let mut arguments = arguments(&[&format!("--jobs={value}")]);
            arguments.next().unwrap();
            assert!(arguments.number::<usize>("jobs").is_err(), "{value}");
        }
    }
}
