//! The command line.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use weirs_versus::child::{Look, Task};
use weirs_versus::instructions::{self, Kept};
use weirs_versus::measure::Experiment;
use weirs_versus::report::Place;
use weirs_versus::row::Row;
use weirs_versus::rows;

pub(crate) const HELP: &str = "\
Measures the crates side by side with their peers, in one release build and one run.

usage: weirs-versus [OPTIONS]

  --list            show the measurements without running them
  --only NAME       only the measurements with NAME in their names (may be repeated)
  --quick           few rounds: less than five minutes for all
  --check           fail if a goal is missed; missed rows are measured up to twice more, or once if quick
  --json FILE       write the results for a program to read
  --report PLACE    write a page with plots: into a folder, or as PAGE.md with its plots in a folder beside it
  --from FILE       with --report: of the results that an earlier run wrote with --json; nothing is measured
  --instructions    count the instructions of single operations (needs valgrind)
  --bless           with --instructions: keep the counts, whatever they are
  --setup-go        install a Go toolchain for the rows beside Go, and nothing else
";

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    /// Get a Go toolchain.
    SetUpGo,
    Measure(Options),
    /// A report of results that are there.
    Report(String, Place),
    /// What this program asks of itself.
    Child(Task, u64),
}

/// The command line, checked.
#[derive(Debug, Default)]
pub(crate) struct Options {
    only: Vec<String>,
    pub(crate) list: bool,
    pub(crate) quick: bool,
    pub(crate) check: bool,
    pub(crate) instructions: bool,
    pub(crate) bless: bool,
    /// Opened before the work begins: a folder that is missing is found out at once.
    pub(crate) json: Option<(PathBuf, File)>,
    /// The same.
    pub(crate) report: Option<Place>,
}

impl Options {
    pub(crate) fn parse(mut parser: Parser) -> Result<Command, String> {
        let mut options = Self::default();
        let (mut json, mut experiment, mut child, mut times) = (None, None, None, 1);
        let (mut from, mut report) = (None, None);
        let (mut side, mut point, mut again) = (None, 0, false);
        while let Some(argument) = parser.next().map_err(text)? {
            match argument {
                Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
                Arg::Long("list") => options.list = true,
                Arg::Long("only") => options.only.push(word(&mut parser)?),
                Arg::Long("quick") => options.quick = true,
                Arg::Long("check") => options.check = true,
                Arg::Long("instructions") => options.instructions = true,
                Arg::Long("bless") => options.bless = true,
                Arg::Long("setup-go") => return Ok(Command::SetUpGo),
                Arg::Long("json") => json = Some(PathBuf::from(parser.value().map_err(text)?)),
                Arg::Long("report") => report = Some(PathBuf::from(parser.value().map_err(text)?)),
                Arg::Long("from") => from = Some(PathBuf::from(parser.value().map_err(text)?)),
                Arg::Long("experiment") => experiment = Some(word(&mut parser)?),
                Arg::Long("operation") => child = Some(Task::Operation(word(&mut parser)?)),
                Arg::Long("resident") => child = Some(Task::Resident(word(&mut parser)?)),
                Arg::Long("again") => again = true,
                Arg::Long("side") => side = Some(word(&mut parser)? == "ours"),
                Arg::Long("point") => point = parser.value().and_then(|value| value.parse()).map_err(text)?,
                Arg::Long("times") => times = parser.value().and_then(|value| value.parse()).map_err(text)?,
                other => return Err(unknown(&other)),
            }
        }
        let one_side = |experiment, look| match side {
            Some(ours) => Task::Side(experiment, ours, point),
            None => Task::Experiment(experiment, look),
        };
        if let Some(task) = child.or_else(|| Some(one_side(experiment?, options.look(again)))) {
            return Ok(Command::Child(task, times));
        }
        if options.bless && !options.instructions {
            return Err("--bless keeps instruction counts: say --instructions as well".to_owned());
        }
        if options.list && (json.is_some() || report.is_some()) {
            return Err("--list runs nothing: there are no results for --json and --report".to_owned());
        }
        if let Some(from) = from {
            let report = report.ok_or("--from measures nothing: say --report as well")?;
            let Self { only, list, quick, check, instructions, bless, .. } = options;
            if !only.is_empty() || list || quick || check || instructions || bless || json.is_some() {
                return Err("--from measures nothing: it goes with --report alone".to_owned());
            }
            let results = std::fs::read_to_string(&from)
                .map_err(|error| format!("cannot read {}: {error}", from.display()))?;
            return Ok(Command::Report(results, Place::open(&report)?));
        }
        // Before the file is made: a name that is not known makes none.
        options.select(&options.candidates(&Kept::default()))?;
        options.json = json.map(create).transpose()?;
        options.report = report.as_deref().map(Place::open).transpose()?;
        Ok(Command::Measure(options))
    }

    /// The experiments that are asked for.
    pub(crate) fn experiments(&self, kept: &Kept) -> Result<Vec<Experiment>, String> {
        let mut experiments = self.candidates(kept);
        self.select(&experiments)?;
        experiments.retain(|experiment| experiment.rows.iter().any(|row| self.wants(row)));
        Ok(experiments)
    }

    /// How long to look, for the first time or again.
    pub(crate) fn look(&self, again: bool) -> Look {
        match (self.quick, again) {
            (true, false) => Look::Quick,
            (true, true) => Look::QuickAgain,
            (false, _) => Look::Full,
        }
    }

    /// Whether this row is asked for.
    pub(crate) fn wants(&self, row: &Row) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| row.name.contains(only.as_str()))
    }

    fn candidates(&self, kept: &Kept) -> Vec<Experiment> {
        if self.instructions { instructions::experiments(kept) } else { rows::experiments() }
    }

    /// Every name that was given must be part of one that is known.
    fn select(&self, experiments: &[Experiment]) -> Result<(), String> {
        let names =
            || experiments.iter().flat_map(|experiment| &experiment.rows).map(|row| row.name.as_str());
        match self.only.iter().find(|only| !names().any(|name| name.contains(only.as_str()))) {
            None => Ok(()),
            Some(only) => {
                let known: Vec<&str> = names().collect();
                Err(format!("no measurement has `{only}` in its name; known are: {}", known.join(", ")))
            }
        }
    }
}

fn word(parser: &mut Parser) -> Result<String, String> {
    let value: OsString = parser.value().map_err(text)?;
    value.into_string().map_err(|value| format!("{value:?} is not valid text"))
}

fn text(error: lexopt::Error) -> String {
    error.to_string()
}

fn unknown(argument: &Arg<'_>) -> String {
    let given = match argument {
        Arg::Long(name) => format!("--{name}"),
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Value(value) => value.to_string_lossy().into_owned(),
    };
    let words = HELP.lines().filter_map(|line| line.split_whitespace().next());
    let known: Vec<&str> = words.filter(|word| word.starts_with("--")).collect();
    format!("unknown argument `{given}`; known are: {}", known.join(", "))
}

fn create(path: PathBuf) -> Result<(PathBuf, File), String> {
    match File::create(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(format!("cannot write {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        match Options::parse(Parser::from_args(words))? {
            Command::Measure(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn smoke() {
        let options = parse(&["--only", "timer/", "--only=smol", "--quick", "--check"]).unwrap();
        assert!(options.quick && options.check && !options.list);
        let experiments = options.experiments(&Kept::default()).unwrap();
        assert!(!experiments.is_empty());
        assert!(options.wants(&Row::alone("timer/x")) && options.wants(&Row::alone("spawn/smol")));
        assert!(!options.wants(&Row::alone("spawn/tokio-ct")));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = parse(&["--only", "dance"]).unwrap_err();
        assert!(
            error.starts_with("no measurement has `dance` in its name; known are: spawn/tokio-ct, "),
            "{error}"
        );
        let error = parse(&["--only", "spawn/scale", "--instructions"]).unwrap_err();
        assert!(error.contains("instructions/clock-now"), "{error}");
    }

    #[test]
    fn an_unknown_argument_lists_the_known_ones() {
        let error = parse(&["--fast"]).unwrap_err();
        assert!(error.starts_with("unknown argument `--fast`; known are: --list, --only, "), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_found_before_the_work() {
        let error = parse(&["--json", "no/such/folder/file.json"]).unwrap_err();
        assert!(error.starts_with("cannot write no/such/folder/file.json: "), "{error}");
    }

    #[test]
    fn options_that_make_no_sense_together_are_errors() {
        assert!(parse(&["--bless"]).is_err());
        assert!(parse(&["--list", "--json", "x"]).is_err());
        assert!(parse(&["--list", "--report", "x"]).is_err());
        assert!(parse(&["--from", "x"]).unwrap_err().contains("--report"));
        assert!(parse(&["--from", "x", "--report", "y", "--check"]).is_err());
        assert!(parse(&["--from", "no/such.json", "--report", "y"]).unwrap_err().starts_with("cannot read "));
    }
}
