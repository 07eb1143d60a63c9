//! What the user asked for.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::net::Kind;

/// What `--help` prints.
pub const USAGE: &str = "\
probe: checks the health of many HTTP endpoints

  probe                        checks 10,000 endpoints of a fleet that it starts itself, on loopback
  probe --urls FILE            checks the URLs of a file, one a line; `-` is standard input
  probe --serve                starts the fleet alone, prints its URLs, and serves until Ctrl-C

where it runs
  --runtime NAME               smol (the default), async-std, tokio, or sim: simulated time and network
  --seed N                     of the fleet, and of everything in the simulation (7)

how much at once
  --concurrency N              checks at the same time (1000); less if too few files may be open
  --per-host N                 of them at the same host (100)
  --rate N                     requests a second (no limit)

what a check is
  --timeout MS                 for an attempt (1000)
  --total MS                   for a check, retries included (that of all its attempts, and 1000)
  --retries N                  attempts after the first (2), of all checks together a fifth
  --hedge MS                   another attempt beside one that takes that long (no)
  --breaker N                  a host with N failures one after another is left in peace (20; 0 is never)

what is told
  --endpoints N                of the fleet (10000)
  --quiet                      no progress
  --plain                      no colours and no bar, as with NO_COLOR
  --json FILE, --csv FILE      the result of every endpoint
  --plot FILE.svg              how long they took, and what happened when
  --strict                     a line that is no URL ends it, instead of being told and left out
  --grace MS                   what the checks that run have at Ctrl-C (1000); a second one ends at once

exit status: 0 all are well, 1 some are not, 2 it was not used right, 130 interrupted
";

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it runs.
    pub kind: Kind,
    /// Of the fleet.
    pub seed: u64,
    /// Where the URLs are; none is the own fleet.
    pub urls: Option<PathBuf>,
    /// The own fleet alone, and nobody who checks it.
    pub serve: bool,
    /// Of the own fleet.
    pub endpoints: usize,
    /// Checks at the same time.
    pub concurrency: usize,
    /// Of them at the same host.
    pub per_host: usize,
    /// Requests a second.
    pub rate: Option<u64>,
    /// For an attempt.
    pub timeout: Duration,
    /// For a check.
    pub total: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// When another attempt begins beside a slow one.
    pub hedge: Option<Duration>,
    /// After how many failures in a row a host is left in peace.
    pub breaker: u32,
    /// No progress.
    pub quiet: bool,
    /// No colours and no bar.
    pub plain: bool,
    /// A bad line ends it.
    pub strict: bool,
    /// What the checks that run have at the end.
    pub grace: Duration,
    /// Where the results go.
    pub json: Option<PathBuf>,
    /// Where the results go.
    pub csv: Option<PathBuf>,
    /// Where the picture goes.
    pub plot: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kind: Kind::Smol,
            seed: 7,
            urls: None,
            serve: false,
            endpoints: 10_000,
            concurrency: 1_000,
            per_host: 100,
            rate: None,
            timeout: Duration::from_millis(1_000),
            total: Duration::from_millis(4_000),
            retries: 2,
            hedge: None,
            breaker: 20,
            quiet: false,
            plain: false,
            strict: false,
            grace: Duration::from_millis(1_000),
            json: None,
            csv: None,
            plot: None,
        }
    }
}

impl Options {
    /// Reads the arguments; none is a call for help.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        let mut runtime = String::from("smol");
        let mut total = None;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, mut given) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (argument, None),
            };
            let mut value =
                || given.take().or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--help" | "-h" => return Ok(None),
                "--runtime" => runtime = value()?,
                "--seed" => options.seed = number(&name, &value()?, 0..=u64::MAX)?,
                "--urls" => options.urls = Some(value()?.into()),
                "--serve" => options.serve = true,
                "--endpoints" => options.endpoints = number(&name, &value()?, 1..=MANY)? as usize,
                "--concurrency" => options.concurrency = number(&name, &value()?, 1..=MANY)? as usize,
                "--per-host" => options.per_host = number(&name, &value()?, 1..=MANY)? as usize,
                "--rate" => options.rate = Some(number(&name, &value()?, 1..=MANY)?),
                "--timeout" => options.timeout = millis(&name, &value()?, 1)?,
                "--total" => total = Some(millis(&name, &value()?, 1)?),
                "--retries" => options.retries = number(&name, &value()?, 0..=100)? as u32,
                "--hedge" => options.hedge = Some(millis(&name, &value()?, 1)?),
                "--breaker" => options.breaker = number(&name, &value()?, 0..=MANY)? as u32,
                "--grace" => options.grace = millis(&name, &value()?, 0)?,
                "--json" => options.json = Some(value()?.into()),
                "--csv" => options.csv = Some(value()?.into()),
                "--plot" => options.plot = Some(value()?.into()),
                "--quiet" | "-q" => options.quiet = true,
                "--plain" => options.plain = true,
                "--strict" => options.strict = true,
                _ => return Err(format!("there is no {name:?}")),
            }
            if given.is_some() {
                return Err(format!("{name} takes no value"));
            }
        }
        options.total =
            total.unwrap_or_else(|| options.timeout * (options.retries + 1) + Duration::from_millis(1_000));
        options.kind = Kind::parse(&runtime, options.seed)
            .ok_or_else(|| format!("no runtime is called {runtime:?}: smol, async-std, tokio and sim are"))?;
        options.check()?;
        Ok(Some(options))
    }

    /// What does not go together.
    fn check(&self) -> Result<(), String> {
        if matches!(self.kind, Kind::Sim(_)) && (self.urls.is_some() || self.serve) {
            return Err("a simulation has no way to real hosts: leave --urls and --serve out".to_owned());
        }
        if self.serve && self.urls.is_some() {
            return Err("--serve starts the own fleet, --urls is another: take one of them".to_owned());
        }
        // Standard output and the like may be named twice, and the list of URLs is not to be written over.
        let files = [&self.urls, &self.json, &self.csv, &self.plot];
        let files: Vec<_> = files.into_iter().flatten().filter(|file| file.as_os_str() != "-").collect();
        for (at, file) in files.iter().enumerate() {
            if files[..at].contains(file) && !file.starts_with("/dev") {
                return Err(format!("{} is named twice", file.display()));
            }
        }
        Ok(())
    }
}

/// More than that is a slip of the finger.
const MANY: u64 = 10_000_000;

/// A day: longer than anybody waits.
const LONG: u64 = 24 * 60 * 60 * 1000;

fn number(name: &str, value: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    let number: u64 =
        value.parse().map_err(|_| format!("{name}: {value:?} is no number that it could be"))?;
    match number {
        number if number < *allowed.start() => Err(format!("{name} must be at least {}", allowed.start())),
        number if number > *allowed.end() => Err(format!("{name} can be at most {}", allowed.end())),
        number => Ok(number),
    }
}

fn millis(name: &str, value: &str, least: u64) -> Result<Duration, String> {
    number(name, value, least..=LONG).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn what_is_not_said_has_a_default_and_values_follow_in_two_ways() {
        let options =
            parse(&["--rate=9", "--retries", "1", "--timeout", "500", "--urls", "-"]).unwrap().unwrap();
        assert_eq!((options.rate, options.retries, options.endpoints), (Some(9), 1, 10_000));
        assert_eq!(options.total, Duration::from_millis(2_000));
        assert_eq!(options.urls, Some("-".into()));
        assert!(parse(&["--help"]).unwrap().is_none());
    }

    #[test]
    fn bad_usage_is_told() {
        for (arguments, word) in [
            (&["--concurrency", "0"][..], "at least 1"),
            (&["--endpoints", "99999999999"], "at most"),
            (&["--rate", "many"], "\"many\""),
            (&["--timeout"], "needs a value"),
            (&["--plain=yes"], "takes no value"),
            (&["--runtime", "go"], "\"go\""),
            (&["--faster"], "there is no"),
            (&["--runtime", "sim", "--urls", "x"], "simulation"),
            (&["--serve", "--urls", "x"], "one of them"),
            (&["--urls", "x", "--json", "x"], "named twice"),
        ] {
            let why = parse(arguments).unwrap_err();
            assert!(why.contains(word), "{arguments:?}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(
            names in prop::collection::vec(0..24usize, 0..4),
            value in "[0-9a-z=-]{0,12}",
        ) {
            let names: Vec<_> = names.iter().map(|at| {
                USAGE.split_whitespace().filter(|word| word.starts_with("--")).nth(*at).unwrap_or("--help")
            }).collect();
            let arguments = names.iter().flat_map(|name| [(*name).to_owned(), value.clone()]);
            let _ = Options::parse(arguments);
        }
    }
}
