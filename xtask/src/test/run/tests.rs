//! The runner against a script that speaks like libtest, and dies like a test.

use std::path::Path;

use super::super::column::Column;
use super::super::plan::Launch;
use super::*;
use crate::workspace::Package;

#[test]
fn the_watchdog_names_the_test() {
    let line = "weirs-watchdog: test group::hangs::smol exceeded its limit of 60 s";
    assert_eq!(overrun(line), Some("group::hangs::smol"));
    assert_eq!(overrun("test group::hangs::smol exceeded its limit"), None);
}

#[test]
fn a_part_of_a_name_does_if_it_is_one_tests_only() {
    let names = BTreeSet::from(["one::hangs::smol", "two::hangs::smol", "two::runs::smol"]);
    assert_eq!(named("one::hangs::smol", &names), Some("one::hangs::smol"));
    assert_eq!(named("runs::smol", &names), Some("two::runs::smol"));
    assert_eq!(named("hangs::smol", &names), None);
    assert_eq!(named("sleeps::smol", &names), None);
}

#[cfg(unix)]
mod settling {
    use super::*;

    #[test]
    fn all_pass() {
        let finished = settle(&["passes_one", "passes_two", "is_ignored"]);
        assert!(failed(&finished).is_empty());
        assert_eq!(finished["is_ignored"].0, Verdict::Skipped);
    }

    #[test]
    fn the_watchdog_fails_one_test_and_the_rest_runs_again() {
        let finished = settle(&["passes_one", "hangs", "passes_two"]);
        assert_eq!(failed(&finished), ["hangs"]);
        assert_eq!(finished.len(), 3);
        assert!(finished["hangs"].1.contains("exceeded its limit"), "{}", finished["hangs"].1);
    }

    #[test]
    fn an_abort_is_traced_to_its_test() {
        let finished = settle(&["passes_one", "passes_two", "aborts", "passes_three", "hangs", "fails"]);
        assert_eq!(failed(&finished), ["aborts", "fails", "hangs"]);
        assert_eq!(finished.len(), 6);
        assert!(finished["aborts"].1.contains("my last words"), "{}", finished["aborts"].1);
    }

    #[test]
    fn a_failure_before_an_abort_is_explained_all_the_same() {
        let finished = settle(&["fails", "aborts"]);
        assert_eq!(failed(&finished), ["aborts", "fails"]);
        assert_eq!(finished["fails"].1, "why fails failed");
    }

    #[test]
    fn a_process_that_fails_after_its_tests_is_a_failure() {
        let finished = settle(&["passes_one", "passes_and_then_dies"]);
        assert_eq!(failed(&finished), [PROCESS]);
        assert_eq!(finished.len(), 3);
    }

    /// Runs tests of the script; gives verdicts and outputs by name.
    fn settle(names: &[&str]) -> BTreeMap<String, (Verdict, String)> {
        let package = Package::default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
        let test = |name: &&str| Test {
            package: &package,
            column: Column::Unit,
            target: "--lib".to_owned(),
            name: (*name).to_owned(),
        };
        let path = folder.join("src/test/run/libtest.sh");
        let launch = Launch::Executable { path, package: &package, folder };
        let batch = Batch { launch, tests: names.iter().map(test).collect() };
        let finished = run(&[batch], &Options::new(), |_, _| ()).unwrap();
        finished.into_iter().map(|test| (test.test.name, (test.verdict, test.output))).collect()
    }

    fn failed(finished: &BTreeMap<String, (Verdict, String)>) -> Vec<&str> {
        let failed = finished.iter().filter(|(_, (verdict, _))| *verdict == Verdict::Failed);
        failed.map(|(name, _)| name.as_str()).collect()
    }
}
