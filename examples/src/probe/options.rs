//! What the user asked for.

use std::path::PathBuf;
use std::time::Duration;

use crate::net::Kind;

/// What `--help` prints.
pub const USAGE: &str = "\
probe: checks the health of many HTTP endpoints

  probe                        checks 10,000 endpoints of a fleet that it starts itself, on loopback
  probe --urls FILE            checks the URLs of a file, one a line; `-` is standard input

where it runs
  --runtime NAME               smol (the default), async-std, tokio, or sim: simulated time and network
  --seed N                     of the fleet, and of everything in the simulation (7)

how much at once
  --concurrency N              checks at the same time (1000)
  --per-host N                 of them at the same host (100)
  --rate N                     requests a second (no limit)

what a check is
  --timeout MS                 for an attempt (1000)
  --total MS                   for a check, retries included (4000)
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
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, mut given) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (argument, None),
            };
            let mut value =
                || given.take().or_else(|| arguments.next()).ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--help" | "-h" => return Ok(None),
                "--runtime" => runtime = value()?,
                "--seed" => options.seed = number(&name, &value()?)?,
                "--urls" => options.urls = Some(value()?.into()),
                "--endpoints" => options.endpoints = positive(&name, &value()?)?,
                "--concurrency" => options.concurrency = positive(&name, &value()?)?,
                "--per-host" => options.per_host = positive(&name, &value()?)?,
                "--rate" => options.rate = Some(positive::<u64>(&name, &value()?)?),
                "--timeout" => options.timeout = millis(&name, &value()?)?,
                "--total" => options.total = millis(&name, &value()?)?,
                "--retries" => options.retries = number(&name, &value()?)?,
                "--hedge" => options.hedge = Some(millis(&name, &value()?)?),
                "--breaker" => options.breaker = number(&name, &value()?)?,
                "--grace" => options.grace = millis(&name, &value()?)?,
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
        options.kind = Kind::parse(&runtime, options.seed)
            .ok_or_else(|| format!("no runtime is called {runtime:?}: smol, async-std, tokio and sim are"))?;
        if options.urls.is_some() && matches!(options.kind, Kind::Sim(_)) {
            return Err("a simulation has no way to real hosts: leave --urls out".to_owned());
        }
        Ok(Some(options))
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value:?} is no number that it could be"))
}

fn positive<T: std::str::FromStr + Default + PartialEq>(name: &str, value: &str) -> Result<T, String> {
    let number = number(name, value)?;
    if number == T::default() { Err(format!("{name} must be at least 1")) } else { Ok(number) }
}

fn millis(name: &str, value: &str) -> Result<Duration, String> {
    positive(name, value).map(Duration::from_millis)
}
