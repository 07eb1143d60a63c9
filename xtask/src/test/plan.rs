//! The plan of a run: batches of tests, each a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use super::build::{Executable, scope};
use super::column::Column;
use super::listing::names;
use super::options::Options;
use crate::error::Error;
use crate::step::Step;
use crate::workspace::{Package, Workspace};

/// Names on one command line: far below the limit of any system.
const NAMES: usize = 24_000;

/// One test.
#[derive(Clone, Debug)]
pub(crate) struct Test<'w> {
    pub(crate) package: &'w Package,
    pub(crate) column: Column,
    /// How cargo is told to run its executable: `--lib`, `--test semantics`, `--doc`.
    pub(crate) target: String,
    pub(crate) name: String,
}

/// Stands for a test's name where a process fails as a whole, and not one of its tests.
pub(crate) const PROCESS: &str = "(the process)";

/// Tests that run together in one process.
#[derive(Debug)]
pub(crate) struct Batch<'w> {
    pub(crate) launch: Launch<'w>,
    pub(crate) tests: Vec<Test<'w>>,
}

/// How a batch is started.
#[derive(Debug)]
pub(crate) enum Launch<'w> {
    /// A test executable, with the names of the batch's tests.
    Executable { path: PathBuf, package: &'w Package, folder: PathBuf },
    /// `cargo test --doc` of all chosen crates at once: crate by crate, cargo would build dependencies anew
    /// for each one's own set of features. Always a whole: rustdoc splits test names at their spaces.
    Documentation { step: Step, root: PathBuf },
}

/// Whether libtest keeps what a test prints until the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Capture {
    On,
    /// So that the last words of a test that kills its process are not lost with it.
    Off,
}

/// Asks the executables and rustdoc which tests there are and puts the chosen ones into batches.
pub(crate) fn plan<'w>(
    workspace: &'w Workspace,
    executables: &[Executable<'w>],
    options: &Options,
) -> Result<Vec<Batch<'w>>, Error> {
    let mut batches: Vec<Batch<'w>> = documentation(workspace, options)?.into_iter().collect();
    for executable in executables {
        batches.extend(batches_of(executable, workspace, options)?);
    }
    Ok(batches)
}

impl Test<'_> {
    /// The command that runs this test alone.
    pub(crate) fn command(&self, options: &Options) -> Step {
        let step = Step::cargo(["test", "-p", &self.package.name]).with(self.target.split(' '));
        let step = match self.column {
            Column::Doc => step.with(["--", documentation_filter(&self.name)]),
            _ if self.name == PROCESS => step.with(["--"]),
            _ => step.with(["--", "--exact", &self.name, "--nocapture"]),
        };
        options.apply(if options.deep { step.with(["--include-ignored"]) } else { step })
    }
}

impl Batch<'_> {
    /// `scopes/smol`, or `doc` for all crates at once.
    pub(crate) fn title(&self) -> String {
        match (&self.launch, self.tests.first()) {
            (Launch::Executable { package, .. }, Some(test)) => {
                format!("{}/{}", package.short_name(), test.column.name())
            }
            _ => Column::Doc.name().to_owned(),
        }
    }

    /// Whether some of the tests can be run without the others.
    pub(crate) fn is_divisible(&self) -> bool {
        matches!(self.launch, Launch::Executable { .. })
    }

    /// The process that runs these tests of the batch. What the tests print is captured, test by test, or
    /// shows at once among the process's own errors.
    pub(crate) fn command(&self, tests: &[&Test<'_>], capture: Capture, options: &Options) -> Command {
        let mut command = match &self.launch {
            Launch::Executable { path, package, folder } => {
                let mut command = Command::new(path);
                surround(&mut command, package, folder);
                command.arg("--exact").args(tests.iter().map(|test| &test.name));
                command.arg(format!("--test-threads={}", options.threads()));
                if capture == Capture::Off {
                    command.arg("--nocapture");
                }
                command
            }
            Launch::Documentation { step, root } => {
                step.clone().with(["--no-fail-fast", "--", "--color=never"]).command(root)
            }
        };
        if options.deep {
            command.arg("--include-ignored");
        }
        command.envs(options.variables());
        command
    }
}

fn batches_of<'w>(
    executable: &Executable<'w>,
    workspace: &Workspace,
    options: &Options,
) -> Result<Vec<Batch<'w>>, Error> {
    let package = executable.package;
    let folder = workspace.root.join(&package.folder);
    let mut command = Command::new(&executable.path);
    surround(&mut command, package, &folder);
    command.args(["--list", "--format=terse"]);

    let mut columns: BTreeMap<Column, Vec<Test<'w>>> = BTreeMap::new();
    for name in names(command, &format!("{} {}", package.name, executable.target))? {
        let column = Column::of_test(&name);
        if options.selection.includes(package, column) {
            let test = Test { package, column, target: executable.target.clone(), name };
            columns.entry(column).or_default().push(test);
        }
    }
    let batch = |tests| {
        let launch = Launch::Executable { path: executable.path.clone(), package, folder: folder.clone() };
        Batch { launch, tests }
    };
    Ok(columns.into_values().flat_map(chunks).map(batch).collect())
}

/// Cuts a list of tests where its names become too long for one command line.
fn chunks(tests: Vec<Test<'_>>) -> Vec<Vec<Test<'_>>> {
    let mut chunks: Vec<Vec<Test<'_>>> = Vec::new();
    let mut length = usize::MAX;
    for test in tests {
        if length > NAMES {
            chunks.push(Vec::new());
            length = 0;
        }
        length += test.name.len() + 1;
        chunks.last_mut().expect("the first turn pushes one").push(test);
    }
    chunks
}

fn documentation<'w>(workspace: &'w Workspace, options: &Options) -> Result<Option<Batch<'w>>, Error> {
    let documented = workspace.packages.iter().filter(|package| package.has_documentation_tests);
    let documented: Vec<&Package> = documented.collect();
    let wanted = |package: &&&Package| options.selection.includes(package, Column::Doc);
    let packages: Vec<&Package> = documented.iter().filter(wanted).copied().collect();
    if packages.is_empty() {
        return Ok(None);
    }
    let step = Step::cargo(["test", "--doc"]).with(scope(&packages, &documented));
    let list = step.clone().with(["--", "--list", "--format=terse"]);
    let root = workspace.root.clone();
    let mut tests = Vec::new();
    for name in names(list.command(&root), &list.to_string())? {
        let package = packages.iter().filter(|package| is_in(&name, package));
        let Some(package) = package.max_by_key(|package| package.folder.len()) else {
            return Err(Error::Failed(format!("no crate has the documentation test {name}")));
        };
        let target = "--doc".to_owned();
        tests.push(Test { package, column: Column::Doc, target, name });
    }
    let launch = Launch::Documentation { step, root };
    Ok((!tests.is_empty()).then_some(Batch { launch, tests }))
}

/// Whether a documentation test is this package's: rustdoc names it by its file, from the workspace's root.
fn is_in(name: &str, package: &Package) -> bool {
    name.strip_prefix(package.folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

/// The folder and the variables that `cargo test` would give the executable.
fn surround(command: &mut Command, package: &Package, folder: &std::path::Path) {
    command.current_dir(folder);
    command.env("CARGO_MANIFEST_DIR", folder).env("CARGO_MANIFEST_PATH", folder.join("Cargo.toml"));
    command.env("CARGO_PKG_NAME", &package.name).env("CARGO_PKG_VERSION", &package.version);
}

/// The longest word of a documentation test's name that finds it again: its item, or else its file.
fn documentation_filter(name: &str) -> &str {
    let (file, place) = name.split_once(" - ").unwrap_or((name, ""));
    place.split(" (line").next().filter(|item| !item.is_empty() && !item.starts_with('(')).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test<'w>(package: &'w Package, target: &str, name: &str) -> Test<'w> {
        let column = if target == "--doc" { Column::Doc } else { Column::of_test(name) };
        Test { package, column, target: target.to_owned(), name: name.to_owned() }
    }

    fn conformance() -> Package {
        Package { name: "weirs-conformance".to_owned(), ..Package::default() }
    }

    #[test]
    fn a_test_shows_the_command_to_paste() {
        let package = conformance();
        let mut options = Options::new();
        let plain = test(&package, "--test semantics", "drop_cancels::smol");
        assert_eq!(
            plain.command(&options).to_string(),
            "cargo test -p weirs-conformance --test semantics -- --exact drop_cancels::smol --nocapture"
        );
        let page = test(&package, "--doc", "crates/scopes/src/token.rs - token::Token::child (line 12)");
        options.deep = true;
        assert_eq!(
            page.command(&options).to_string(),
            "WEIRS_SEEDS=10000 WEIRS_DEEP=1 \
             cargo test -p weirs-conformance --doc -- token::Token::child --include-ignored"
        );
    }

    #[test]
    fn a_page_goes_by_its_file() {
        let name = "crates/scopes/src/../README.md - (line 12)";
        assert_eq!(documentation_filter(name), "crates/scopes/src/../README.md");
        let headed = "crates/scopes/src/../README.md - Usage::Smol (line 12)";
        assert_eq!(documentation_filter(headed), "Usage::Smol");
    }

    #[test]
    fn long_lists_are_cut() {
        let package = conformance();
        let tests = vec![test(&package, "--lib", &"n".repeat(1000)); 60];
        let lengths: Vec<usize> = chunks(tests).iter().map(Vec::len).collect();
        assert_eq!(lengths, [24, 24, 12]);
        assert!(chunks(Vec::new()).is_empty());
    }
}
