//! `cargo xtask loom`: the models, under every schedule that loom can find.

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::error::Error;
use crate::step::Step;
use crate::subcommand::Subcommand;
use crate::workspace::Workspace;

/// The manifest of the models: outside the workspace, because `--cfg loom` reaches every dependency.
pub(crate) const MANIFEST: &str = "tests/models/Cargo.toml";

pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "loom",
    about: "check the models in tests/models under every schedule",
    help: HELP,
    run,
};

const HELP: &str = "\
Runs the loom models in tests/models: every schedule of at most two preemptions.

usage: cargo xtask loom [OPTIONS]

  --only NAME       only the models whose name contains this

LOOM_MAX_PREEMPTIONS in the environment replaces the bound of two; RUSTFLAGS is replaced by `--cfg loom`.
";

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let mut only = None;
    while let Some(option) = arguments.next()? {
        match option.as_str() {
            "only" => only = Some(arguments.value()?),
            _ => return Err(arguments.unknown(&format!("--{option}"))),
        }
    }
    let workspace = Workspace::read()?;
    if !workspace.root.join(MANIFEST).exists() {
        return Err(Error::Failed(format!("there is no {MANIFEST}")));
    }
    let step = plan(only.as_deref());
    println!("{step}");
    Ok(if step.succeeds(&workspace.root)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(only: Option<&str>) -> Step {
    let bound = std::env::var("LOOM_MAX_PREEMPTIONS").unwrap_or_else(|_| "2".to_owned());
    Step::cargo(["test", "--release", "--manifest-path", MANIFEST, "--target-dir", "target/loom"])
        .with(only.into_iter().flat_map(|name| ["--", name]))
        .variable("RUSTFLAGS", "--cfg loom")
        .variable("LOOM_MAX_PREEMPTIONS", &bound)
}
