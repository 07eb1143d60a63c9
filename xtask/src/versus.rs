//! `cargo xtask versus`: side-by-side measurements against named peers.

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::error::Error;
use crate::step::Step;
use crate::subcommand::Subcommand;
use crate::workspace::Workspace;

/// Only the door: the measurements and the options live in `tests/versus`.
pub(crate) const SUBCOMMAND: Subcommand =
    Subcommand { name: "versus", about: "measure the crates side by side with their peers", help: HELP, run };

const HELP: &str = "\
Measures the crates side by side with their peers, in one release build and one run.

usage: cargo xtask versus [OPTIONS]

  --list            show the measurements without running them
  --only NAME       only the measurements with NAME in their names (may be repeated)
  --quick           few rounds: less than five minutes for all
  --check           fail if a goal is missed; missed rows are measured up to twice more, or once if quick
  --json FILE       write the results for a program to read
  --report PLACE    write a page with plots: into a folder, or as PAGE.md with its plots in a folder beside it
  --from FILE       with --report: of the results that an earlier run wrote with --json; nothing is measured
  --instructions    count the instructions of single operations (needs valgrind)
  --bless           with --instructions: keep the counts, whatever they are
  --setup-go        get a Go toolchain into the build folder, for the rows beside Go

The options are read by the program itself, in tests/versus.
";

fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    let workspace = Workspace::read()?;
    let here = std::env::current_dir().map_err(|cause| Error::doing("find the current folder", cause))?;
    let manifest = workspace.root.join("Cargo.toml");
    // Beside the program there are those that it calls: one whose allocator counts, and the main job, ours
    // and theirs.
    let built = Step::cargo(["build", "--quiet", "--release"])
        .with([
            "--package",
            "weirs-versus",
            "--bin",
            "weirs-versus",
            "--bin",
            "counted",
            "--bin",
            "tokio_probe",
        ])
        .with(["--package", "weirs-examples", "--bin", "probe"]);
    if !built.succeeds(&workspace.root)? {
        return Ok(ExitCode::FAILURE);
    }
    let step = Step::cargo(["run", "--quiet", "--release", "--package", "weirs-versus", "--manifest-path"])
        .with([manifest.to_string_lossy().as_ref(), "--"]);
    // The folder stays the caller's, so that `--json FILE` means what it says.
    let status = step.command(&here).args(arguments.rest()?).status();
    let code = status.map_err(|cause| Error::doing("start the measurements", cause))?.code();
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
