//! What `cargo xtask test` was asked to do.

use std::fs::File;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use super::selection::Selection;
use crate::arguments::Arguments;
use crate::error::Error;
use crate::step::Step;
use crate::workspace::Workspace;

/// Seeds per simulated test in a deep run.
const DEEP_SEEDS: u64 = 10_000;
/// A process that gives no result for so long is stopped. The watchdog of weirs-testing is far quicker.
const LIMIT: Duration = Duration::from_secs(600);
const DEEP_LIMIT: Duration = Duration::from_secs(3600);

/// The command line of `cargo xtask test`, checked.
pub(crate) struct Options {
    pub(crate) selection: Selection,
    pub(crate) deep: bool,
    pub(crate) list: bool,
    /// Opened before the work begins: a folder that is missing is found out at once.
    pub(crate) json: Option<(PathBuf, File)>,
    /// How many processes run at once.
    pub(crate) jobs: usize,
    seeds: Option<u64>,
    limit: Option<Duration>,
}

impl Options {
    /// Every test, at the depth of a daily run.
    pub(crate) fn new() -> Self {
        Self {
            selection: Selection::default(),
            deep: false,
            list: false,
            json: None,
            jobs: cores(),
            seeds: None,
            limit: None,
        }
    }

    pub(crate) fn parse(mut arguments: Arguments, workspace: &Workspace) -> Result<Self, Error> {
        let mut options = Self::new();
        let mut json = None;
        while let Some(option) = arguments.next()? {
            match option.as_str() {
                "only" => options.selection.only(&arguments.value()?, workspace)?,
                "runtime" => options.selection.runtime(&arguments.value()?)?,
                "seeds" => options.seeds = Some(arguments.number("seeds")?),
                "deep" => options.deep = true,
                "list" => options.list = true,
                "json" => json = Some(PathBuf::from(arguments.value()?)),
                "jobs" => options.jobs = arguments.number("jobs")?,
                "limit" => options.limit = Some(Duration::from_secs(arguments.number("limit")?)),
                _ => return Err(arguments.unknown(&format!("--{option}"))),
            }
        }
        if options.list && json.is_some() {
            return Err(Error::Usage("--list runs nothing: there are no results for --json".to_owned()));
        }
        options.json = json.map(create).transpose()?;
        Ok(options)
    }

    /// The variables that weirs-testing reads.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let seeds = self.seeds.or(self.deep.then_some(DEEP_SEEDS));
        let seeds = seeds.map(|seeds| ("WEIRS_SEEDS", seeds.to_string()));
        seeds.into_iter().chain(self.deep.then(|| ("WEIRS_DEEP", "1".to_owned()))).collect()
    }

    /// The step under the same variables as the run, so that what one pastes does the same.
    pub(crate) fn apply(&self, step: Step) -> Step {
        self.variables().iter().fold(step, |step, (name, value)| step.variable(name, value))
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit.unwrap_or(if self.deep { DEEP_LIMIT } else { LIMIT })
    }

    /// Threads per process: with the processes at once about as many as cores, but never one, for then
    /// libtest prints a test's name before and its result after, and a test's own prints may come between. A
    /// second thread also fills the time in which a test waits.
    pub(crate) fn threads(&self) -> usize {
        (cores() / self.jobs).max(2)
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn create(path: PathBuf) -> Result<(PathBuf, File), Error> {
    match File::create(&path) {
        Ok(file) => Ok((path, file)),
        Err(cause) => Err(Error::doing(format_args!("write {}", path.display()), cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_run_tries_more_seeds() {
        let deep = Options { deep: true, ..Options::new() };
        assert_eq!(deep.variables(), [("WEIRS_SEEDS", "10000".to_owned()), ("WEIRS_DEEP", "1".to_owned())]);
        let chosen = Options { seeds: Some(7), ..deep };
        assert_eq!(chosen.variables()[0], ("WEIRS_SEEDS", "7".to_owned()));
        assert_eq!(Options::new().variables(), []);
    }

    #[test]
    fn a_process_never_has_a_single_thread() {
        for jobs in 1..100 {
            assert!(Options { jobs, ..Options::new() }.threads() >= 2);
        }
    }
}
