//! Reads what libtest prints.
//!
//! A test may print between the lines (a subprocess, a foreign thread), so a line counts only where it names
//! a test that is expected and has no verdict yet.

use std::collections::{BTreeMap, BTreeSet};

/// What libtest says of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// The lines of one process, read as they come.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    awaited: BTreeSet<String>,
    /// Tests that libtest called long and that have no verdict.
    slow: BTreeSet<String>,
    /// What failed tests printed.
    outputs: BTreeMap<String, String>,
    /// The part about failures at the end of a summary, line by line, while it is read.
    failures: Option<Vec<String>>,
    has_summary: bool,
    names: BTreeSet<String>,
}

impl Transcript {
    /// Expects these tests.
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let awaited: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
        Self { names: awaited.clone(), awaited, ..Self::default() }
    }

    /// Reads a line; gives the test that it decides.
    pub(crate) fn line(&mut self, line: &str) -> Option<(String, Verdict)> {
        if line.starts_with("test result: ") {
            let failures = self.failures.take().unwrap_or_default();
            self.outputs.extend(outputs(&failures, &self.names));
            self.has_summary = true;
            return None;
        }
        if let Some(failures) = &mut self.failures {
            failures.push(line.to_owned());
            return None;
        }
        if line == "failures:" {
            self.failures = Some(Vec::new());
            return None;
        }
        if let Some(name) = slow(line).filter(|name| self.awaited.contains(*name)) {
            self.slow.insert(name.to_owned());
            return None;
        }
        let (name, verdict) = verdict(line, &self.awaited)?;
        self.awaited.remove(&name);
        self.slow.remove(&name);
        Some((name, verdict))
    }

    /// The tests that libtest called long and that have no verdict.
    pub(crate) fn slow(&self) -> &BTreeSet<String> {
        &self.slow
    }

    /// Whether the process came to the end of its tests.
    pub(crate) fn has_summary(&self) -> bool {
        self.has_summary
    }

    /// What failed tests printed. Empty if the process ended before its summary.
    pub(crate) fn outputs(&self) -> &BTreeMap<String, String> {
        &self.outputs
    }
}

/// `test NAME ... ok`, wherever in the line it begins: something printed without a line feed may precede it.
fn verdict(line: &str, awaited: &BTreeSet<String>) -> Option<(String, Verdict)> {
    let (before, result) = line.rsplit_once(" ... ")?;
    let verdict = match result.split([',', ' ']).next()? {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed,
        "ignored" => Verdict::Skipped,
        _ => return None,
    };
    let candidates = before.match_indices("test ").map(|(at, word)| &before[at + word.len()..]);
    let name = candidates.flat_map(plain_forms).find(|name| awaited.contains(*name))?;
    Some((name.to_owned(), verdict))
}

/// A name as it is, and without the mode that libtest appends to it.
fn plain_forms(name: &str) -> impl Iterator<Item = &str> {
    let modes = [" - should panic", " - compile fail", " - compile"];
    std::iter::once(name).chain(modes.into_iter().filter_map(|mode| name.strip_suffix(mode)))
}

/// `test NAME has been running for over 60 seconds`
fn slow(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.split_once(" has been running for over ").map(|(name, _)| name)
}

/// What each failed test printed, from the lines between `failures:` and `test result:`. The list of names at
/// the end opens with a second `failures:`.
fn outputs(lines: &[String], names: &BTreeSet<String>) -> BTreeMap<String, String> {
    let end = lines.iter().rposition(|line| line == "failures:").unwrap_or(lines.len());
    let mut outputs: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in &lines[..end] {
        let title = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----"));
        if let Some(name) = title.filter(|name| names.contains(*name)) {
            current = Some(outputs.entry(name.to_owned()).or_default());
        } else if let Some(output) = &mut current {
            output.push_str(line);
            output.push('\n');
        }
    }
    outputs.values_mut().for_each(|output| *output = output.trim_matches('\n').to_owned());
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by libtest of Rust 1.95, with noise of the tests themselves between.
    const SAMPLE: &str = "
running 6 tests
test tests::late ... ignored, why not
test tests::panics - should panic ... ok
noise without a line feedtest group::a::smol ... ok
test nobody::expects::this ... ok
test tests::broken ... FAILED
test tests::talks ... FAILED
test tests::long has been running for over 60 seconds
test tests::long ... ok

failures:

---- tests::broken stdout ----

thread 'tests::broken' (21) panicked at crates/a/src/lib.rs:3:5:
failures:
test group::a::smol ... FAILED

---- tests::talks stdout ----
first
---- no name stdout ----


failures:
    tests::broken
    tests::talks

test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.07s
";
    const NAMES: [&str; 6] =
        ["tests::late", "tests::panics", "group::a::smol", "tests::broken", "tests::talks", "tests::long"];

    fn read(names: &[&str], sample: &str) -> (Transcript, Vec<(String, Verdict)>) {
        let mut transcript = Transcript::new(names.iter().copied());
        let verdicts = sample.lines().filter_map(|line| transcript.line(line)).collect();
        (transcript, verdicts)
    }

    #[test]
    fn reads_verdicts_through_noise() {
        let (transcript, verdicts) = read(&NAMES, SAMPLE);
        let verdicts: Vec<_> = verdicts.iter().map(|(name, verdict)| (name.as_str(), *verdict)).collect();
        let expected = [
            ("tests::late", Verdict::Skipped),
            ("tests::panics", Verdict::Passed),
            ("group::a::smol", Verdict::Passed),
            ("tests::broken", Verdict::Failed),
            ("tests::talks", Verdict::Failed),
            ("tests::long", Verdict::Passed),
        ];
        assert_eq!(verdicts, expected);
        assert!(transcript.slow().is_empty());
    }

    #[test]
    fn keeps_what_failed_tests_printed() {
        let (transcript, _) = read(&NAMES, SAMPLE);
        assert!(transcript.outputs()["tests::broken"].ends_with("failures:\ntest group::a::smol ... FAILED"));
        assert_eq!(transcript.outputs()["tests::talks"], "first\n---- no name stdout ----");
        assert_eq!(transcript.outputs().len(), 2);
    }

    #[test]
    fn a_process_that_dies_leaves_no_outputs() {
        let (transcript, verdicts) = read(&NAMES, SAMPLE.split("\nfailures:").next().unwrap());
        assert_eq!(verdicts.len(), 6);
        assert!(transcript.outputs().is_empty() && !transcript.has_summary());
    }

    #[test]
    fn remembers_who_is_slow() {
        let (transcript, _) = read(&NAMES, "test tests::long has been running for over 60 seconds");
        assert!(transcript.slow().contains("tests::long"));
    }

    #[test]
    fn documentation_tests_have_spaces_in_their_names() {
        let page = "crates/a/src/../README.md - (line 3)";
        let item = "crates/a/src/lib.rs - some::test (line 10)";
        let sample = format!("test {page} ... ok\n\ntest {item} - compile fail ... FAILED");
        let (_, verdicts) = read(&[page, item], &sample);
        assert_eq!(verdicts, [(page.to_owned(), Verdict::Passed), (item.to_owned(), Verdict::Failed)]);
    }
}
