//! What a run shows: its failures with the commands to paste, the matrix, and the closing line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::column::Column;
use super::libtest::Verdict;
use super::options::Options;
use super::run::Finished;
use crate::screen::{Screen, Tone};
use crate::table::{Cell, Table};

/// Lines of a failed test's output that are shown; `--json` keeps them all.
const SHOWN: usize = 200;

/// Numbers of tests by their verdict, and the time they took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) time: Duration,
}

/// Prints all of it; the closing line is the last.
pub(crate) fn print(finished: &[Finished<'_>], options: &Options, screen: &Screen) {
    for failure in finished.iter().filter(|test| test.verdict == Verdict::Failed) {
        print!("{}", explain(failure, options, screen));
    }
    print!("\n{}\n", matrix(finished).render(screen));
    println!("{}", Tally::of(finished));
}

/// The commands that repeat a failure: the test alone, and the schedule that the simulator printed.
pub(crate) fn commands(failure: &Finished<'_>, options: &Options) -> Vec<String> {
    let replay = failure.output.lines().filter_map(replay).map(str::to_owned);
    std::iter::once(failure.test.command(options).to_string()).chain(replay).collect()
}

impl Tally {
    pub(crate) fn of<'t>(finished: impl IntoIterator<Item = &'t Finished<'t>>) -> Self {
        let mut tally = Self::default();
        finished.into_iter().for_each(|test| tally.add(test));
        tally
    }

    fn add(&mut self, finished: &Finished<'_>) {
        match finished.verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Skipped => self.skipped += 1,
        }
        self.time += finished.time;
    }

    /// `12 ok 3.1s`, `2 FAIL 10 ok 3.1s`, `3 skipped`
    pub(crate) fn outcome(&self) -> String {
        let numbers = [(self.failed, "FAIL"), (self.passed, "ok"), (self.skipped, "skipped")];
        let words = numbers.iter().filter(|(number, _)| *number > 0);
        let mut words: Vec<String> = words.map(|(number, word)| format!("{number} {word}")).collect();
        if self.failed + self.passed > 0 {
            words.push(format!("{:.1}s", self.time.as_secs_f64()));
        }
        words.join(" ")
    }

    pub(crate) fn tone(&self) -> Tone {
        match self {
            Self { failed: 1.., .. } => Tone::Bad,
            Self { passed: 1.., .. } => Tone::Good,
            _ => Tone::Faint,
        }
    }
}

/// The closing line of a run.
impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(formatter, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Crates by columns; a column in which nothing ran is left out.
fn matrix(finished: &[Finished<'_>]) -> Table {
    let mut tallies: BTreeMap<(&str, Column), Tally> = BTreeMap::new();
    for test in finished {
        tallies.entry((test.test.package.short_name(), test.test.column)).or_default().add(test);
    }
    // In the order in which the tests come: by folder, `crates/` before `tests/`.
    let mut names: Vec<&str> = finished.iter().map(|test| test.test.package.short_name()).collect();
    names.dedup();
    let columns: BTreeSet<Column> = tallies.keys().map(|&(_, column)| column).collect();

    let mut table = Table::new(std::iter::once("crate").chain(columns.iter().map(|column| column.name())));
    for name in names {
        let cell = |&column: &Column| match tallies.get(&(name, column)) {
            Some(tally) => Cell::new(tally.outcome(), tally.tone()),
            None => Cell::new("-", Tone::Faint),
        };
        table.row(std::iter::once(Cell::plain(name)).chain(columns.iter().map(cell)));
    }
    table
}

fn explain(failure: &Finished<'_>, options: &Options, screen: &Screen) -> String {
    let test = &failure.test;
    let title = format!("FAILED {} {} {}", test.package.short_name(), test.target, test.name);
    let mut text = format!("\n{}\n", screen.paint(&title, Tone::Bad));
    let lines: Vec<&str> = failure.output.lines().collect();
    let hidden = lines.len().saturating_sub(SHOWN);
    if hidden > 0 {
        text += &format!("    ({hidden} lines before are not shown)\n");
    }
    for line in &lines[hidden..] {
        text += &format!("    {line}\n");
    }
    text += "  to repeat it:\n";
    for command in commands(failure, options) {
        text += &format!("    {command}\n");
    }
    text
}

/// The line with which the simulator says how to repeat a schedule.
fn replay(line: &str) -> Option<&str> {
    let line = &line[line.find("WEIRS_SEED=")?..];
    line.contains("cargo test").then(|| line.trim_end_matches(['`', ' ']))
}

#[cfg(test)]
mod tests {
    use super::super::plan::Test;
    use super::*;
    use crate::workspace::Package;

    fn finished<'w>(package: &'w Package, name: &str, verdict: Verdict) -> Finished<'w> {
        let test = Test {
            package,
            column: Column::of_test(name),
            target: "--test semantics".to_owned(),
            name: name.to_owned(),
        };
        Finished { test, verdict, time: Duration::from_millis(1550), output: String::new() }
    }

    fn package(folder: &str) -> Package {
        Package {
            name: format!("weirs-{}", folder.rsplit('/').next().unwrap()),
            folder: folder.to_owned(),
            ..Package::default()
        }
    }

    #[test]
    fn the_matrix_shows_crates_by_columns() {
        let (scopes, versus) = (package("crates/scopes"), package("tests/versus"));
        let finished = [
            finished(&scopes, "a::smol", Verdict::Passed),
            finished(&scopes, "b::smol", Verdict::Failed),
            finished(&scopes, "a::sim", Verdict::Passed),
            finished(&scopes, "c::sim", Verdict::Skipped),
            finished(&versus, "late", Verdict::Skipped),
        ];
        let expected = "\
crate   unit       smol              sim
scopes  -          1 FAIL 1 ok 3.1s  1 ok 1 skipped 3.1s
versus  1 skipped  -                 -
";
        assert_eq!(matrix(&finished).render(&Screen::log()), expected);
        assert_eq!(Tally::of(&finished).to_string(), "2 passed, 1 failed, 2 skipped");
        assert_eq!(Tally::of(&finished[..2]).to_string(), "1 passed, 1 failed");
    }

    #[test]
    fn a_failure_shows_what_to_paste() {
        let conformance = package("tests/conformance");
        let mut failure = finished(&conformance, "drops::sim", Verdict::Failed);
        failure.output = "it panicked\nrepeat: WEIRS_SEED=17 WEIRS_SCHEDULE=pct3 cargo test drops".to_owned();
        let expected = "
FAILED conformance --test semantics drops::sim
    it panicked
    repeat: WEIRS_SEED=17 WEIRS_SCHEDULE=pct3 cargo test drops
  to repeat it:
    cargo test -p weirs-conformance --test semantics -- --exact drops::sim --nocapture
    WEIRS_SEED=17 WEIRS_SCHEDULE=pct3 cargo test drops
";
        assert_eq!(explain(&failure, &Options::new(), &Screen::log()), expected);
    }

    #[test]
    fn a_long_output_is_cut_at_its_beginning() {
        let scopes = package("crates/scopes");
        let mut failure = finished(&scopes, "a::smol", Verdict::Failed);
        failure.output = (0..500).map(|line| format!("line {line}\n")).collect();
        let text = explain(&failure, &Options::new(), &Screen::log());
        assert!(text.contains("(300 lines before are not shown)\n    line 300\n"), "{text}");
    }
}
