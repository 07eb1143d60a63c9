//! `cargo xtask test`: every crate's tests on every runtime, as a matrix.
//!
//! Options, then a plan (which tests there are, in which process each runs), then the run, then the report.
//! A (crate, runtime) is a process of its own, so that runtimes cannot meet in one and a test that hangs or
//! aborts takes no other with it.

mod build;
mod column;
mod json;
mod libtest;
mod listing;
mod options;
mod plan;
mod process;
mod report;
mod run;
mod selection;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::arguments::Arguments;
use crate::error::Error;
use crate::screen::Screen;
use crate::step::Step;
use crate::subcommand::Subcommand;
use crate::table::{Cell, Table};
use crate::workspace::{Package, Workspace};

pub(crate) use options::Options;
use plan::Batch;
use report::Tally;
use run::Finished;

pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "test",
    about: "run every crate's tests on every runtime",
    help: HELP,
    run: subcommand,
};

const HELP: &str = "\
Runs every crate's tests: unit tests, documentation, and the same tests on each runtime.

usage: cargo xtask test [OPTIONS]

  --only CRATE[/RUNTIME]  only this crate, or this cell of the matrix (may be repeated)
  --runtime NAME          only this column of the matrix (may be repeated)
  --seeds N               seeds per simulated test
  --deep                  10000 seeds per simulated test, and the tests that are ignored otherwise
  --list                  show the plan without running it
  --json FILE             write the results for a program to read
  --jobs N                processes at once (default: one per core)
  --limit SECONDS         stop a process that gives no verdict for so long (default: 600; 3600 if deep)

CRATE is a folder's name (`scopes`) or a package's (`weirs-scopes`). RUNTIME is one of smol, smol_mt,
async_std, tokio_ct, tokio_mt, tokio_paused, sim; or unit (the name names no runtime), or doc (documentation).

The last line is `N passed, N failed`, with `, N skipped` if some were. The exit status is 0 if all passed,
1 if not, 2 if an option was wrong.
";

/// Runs the tests and tells whether all passed. The closing line is the last that is printed.
pub(crate) fn run(workspace: &Workspace, options: &mut Options) -> Result<bool, Error> {
    let chosen = |package: &&Package| options.selection.includes_executables(package);
    let packages: Vec<&Package> = workspace.packages.iter().filter(chosen).collect();
    let executables = build::build(workspace, &packages)?;
    let batches = plan::plan(workspace, &executables, options)?;
    if batches.is_empty() {
        return Err(Error::Failed("no test is selected".to_owned()));
    }
    let screen = Screen::new();
    if options.list {
        print!("{}", table(&batches).render(&screen));
        return Ok(true);
    }

    let start = Instant::now();
    let progress = Progress::new(&batches, &screen);
    let finished = run::run(&batches, options, |batch, tests| progress.report(batch, tests))?;
    screen.progress("");
    if let Some((path, file)) = options.json.take() {
        json::write(file, &finished, start.elapsed(), options)
            .map_err(|cause| Error::doing(format_args!("write {}", path.display()), cause))?;
    }
    report::print(&finished, options, &screen);
    Ok(Tally::of(&finished).failed == 0)
}

fn subcommand(arguments: Arguments) -> Result<ExitCode, Error> {
    let workspace = Workspace::read()?;
    let mut options = Options::parse(arguments, &workspace)?;
    Ok(if run(&workspace, &mut options)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The plan: a row for each cell of the matrix, with the command that runs it alone.
fn table(batches: &[Batch<'_>]) -> Table {
    let mut cells: BTreeMap<_, usize> = BTreeMap::new();
    for test in batches.iter().flat_map(|batch| &batch.tests) {
        *cells.entry((&test.package.folder, test.package.short_name(), test.column)).or_default() += 1;
    }
    let mut table = Table::new(["crate", "runtime", "tests", "command"]);
    for ((_, name, column), number) in cells {
        let cell = format!("{name}/{}", column.name());
        let command = Step::cargo(["xtask", "test", "--only", &cell]).to_string();
        table.row([name, column.name(), &number.to_string(), &command].map(Cell::plain));
    }
    table
}

/// Tells how far the run is: a progress line on a terminal, a line per process in a log.
struct Progress<'s> {
    screen: &'s Screen,
    tests: usize,
    /// How many tests are done, and how many failures were seen.
    so_far: Mutex<(usize, usize)>,
}

impl<'s> Progress<'s> {
    fn new(batches: &[Batch<'_>], screen: &'s Screen) -> Self {
        let tests = batches.iter().map(|batch| batch.tests.len()).sum();
        screen.progress(&format!("0/{tests} tests"));
        Self { screen, tests, so_far: Mutex::default() }
    }

    fn report(&self, batch: &Batch<'_>, finished: &[Finished<'_>]) {
        let done = Tally::of(finished);
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.0 += batch.tests.len();
        so_far.1 += done.failed;
        let (number, failed) = *so_far;
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let text = format!("{number}/{} tests{failed}: {}", self.tests, batch.title());
        if self.screen.is_terminal() && done.failed == 0 {
            self.screen.progress(&text);
            return;
        }
        let outcome = self.screen.paint(&done.outcome(), done.tone());
        self.screen.line(&format!("{text:<50}  {outcome}"));
    }
}
