//! Builds the test executables of the chosen crates, once.
//!
//! # Which features
//!
//! A full run builds with `--workspace` and without `--all-features`: each crate gets what somebody in the
//! workspace turns on. The conformance package turns on every runtime, so they are all there, everything is
//! built once, and no crate is tested with a feature that the family itself never uses. Features only add
//! items, so the superset must pass what the default passes; that each crate also compiles with its own
//! default, with each feature alone and with all is what the `features` gate of `cargo xtask ci` shows.
//!
//! A run narrowed by `--only` builds the chosen crates alone (`-p`), as somebody who works on one crate does.
//!
//! # Which targets
//!
//! The libraries, what is in `tests` folders (with the programs that it starts), and those programs that have
//! tests of their own. Told nothing, cargo builds each program a second time, as a harness without a test.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::error::Error;
use crate::step::Step;
use crate::workspace::{Package, Workspace};

/// A test executable of a package.
#[derive(Debug)]
pub(crate) struct Executable<'w> {
    pub(crate) package: &'w Package,
    /// How cargo is told to run this one: `--lib`, `--test semantics`.
    pub(crate) target: String,
    pub(crate) path: PathBuf,
}

/// Builds them all; cargo's messages go to the terminal.
pub(crate) fn build<'w>(
    workspace: &'w Workspace,
    packages: &[&'w Package],
) -> Result<Vec<Executable<'w>>, Error> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    let step = Step::cargo(["test", "--no-run"]).with(scope(packages, &workspace.packages));
    let step = step.with(targets(packages));
    let run = step.clone().with(["--message-format=json-render-diagnostics"]);
    let output = run.command(&workspace.root).stderr(Stdio::inherit()).output();
    let output = output.map_err(|cause| Error::doing("start cargo", cause))?;
    if !output.status.success() {
        return Err(Error::Failed(format!(
            "the tests do not compile; nothing was run. To see it again: {step}"
        )));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages.lines().filter_map(|message| executable(message, workspace)).collect())
}

/// How cargo is told which packages: the workspace if they are all that there are to choose from, or each by
/// name.
pub(crate) fn scope<'p, P>(packages: &[&'p Package], all: &[P]) -> Vec<&'p str> {
    if packages.len() == all.len() {
        return vec!["--workspace"];
    }
    packages.iter().flat_map(|package| ["-p", package.name.as_str()]).collect()
}

/// How cargo is told which of their targets.
fn targets<'p>(packages: &[&'p Package]) -> Vec<&'p str> {
    let mut targets = Vec::new();
    if packages.iter().any(|package| package.has_library) {
        targets.push("--lib");
    }
    if packages.iter().any(|package| package.has_integration_tests) {
        targets.extend(["--test", "*"]);
    }
    let programs = packages.iter().flat_map(|package| &package.programs);
    let with_tests = programs.filter(|program| has_tests(&program.source));
    targets.extend(with_tests.flat_map(|program| ["--bin", program.name.as_str()]));
    targets
}

/// Whether there are tests in a program: in the file with its `main`, and in those beside it if it has a
/// folder of its own. One that can't be read counts: cargo will say why.
fn has_tests(main: &Path) -> bool {
    let tests = |file: &Path| match std::fs::read_to_string(file) {
        Ok(text) => text.contains("#[cfg(test)]") || text.contains("#[test]"),
        Err(_) => true,
    };
    if main.file_name().is_none_or(|name| name != "main.rs") {
        return tests(main);
    }
    let mut folders: Vec<PathBuf> = main.parent().into_iter().map(Path::to_path_buf).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { return true };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && tests(&path) {
                return true;
            }
        }
    }
    false
}

/// Reads one of cargo's JSON messages; most are about something else.
fn executable<'w>(message: &str, workspace: &'w Workspace) -> Option<Executable<'w>> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let folder = manifest.parent()?;
    let target = &message["target"];
    let name = target["name"].as_str()?;
    Some(Executable {
        package: workspace.packages.iter().find(|package| workspace.root.join(&package.folder) == folder)?,
        target: match target["kind"][0].as_str()? {
            kind @ ("test" | "bin" | "example" | "bench") => format!("--{kind} {name}"),
            _ => "--lib".to_owned(),
        },
        path: message["executable"].as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Program;

    fn workspace() -> Workspace {
        let package = Package { folder: "tests/conformance".to_owned(), ..Package::default() };
        Workspace { root: "/w".into(), packages: vec![package] }
    }

    #[test]
    fn programs_without_tests_are_not_built_as_tests() {
        let folder = std::env::temp_dir().join(format!("weirs-xtask-programs-{}", std::process::id()));
        let nested = folder.join("folder/of/its");
        std::fs::create_dir_all(&nested).unwrap();
        for (file, text) in [
            ("plain.rs", "fn main() {}"),
            ("tested.rs", "fn main() {} #[cfg(test)] mod tests {}"),
            ("folder/main.rs", "mod of; fn main() {}"),
            ("folder/of/its/own.rs", "#[test] fn it() {}"),
        ] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let names = ["plain.rs", "tested.rs", "folder/main.rs", "missing.rs"];
        let program = |name: &&str| Program { name: (*name).to_owned(), source: folder.join(name) };
        let programs: Vec<Program> = names.iter().map(program).collect();
        let library = Package { has_library: true, has_integration_tests: true, ..Package::default() };
        let package = Package { programs, ..Package::default() };
        let bins = ["--bin", "tested.rs", "--bin", "folder/main.rs", "--bin", "missing.rs"];
        assert_eq!(targets(&[&package]), bins);
        assert_eq!(targets(&[&package, &library])[..3], ["--lib", "--test", "*"]);
        std::fs::remove_file(nested.join("own.rs")).unwrap();
        assert!(!has_tests(&package.programs[2].source));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn picks_test_executables_from_cargos_messages() {
        let workspace = workspace();
        let message = r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/conformance/Cargo.toml",
            "target":{"kind":["test"],"name":"semantics"},"profile":{"test":true},
            "executable":"/w/target/x-1"}"#;
        let found = executable(message, &workspace).unwrap();
        assert_eq!((found.target.as_str(), found.path), ("--test semantics", PathBuf::from("/w/target/x-1")));
        for (from, to) in
            [(r#""test":true"#, r#""test":false"#), (r#""/w/target/x-1""#, "null"), ("artifact", "message")]
        {
            assert!(executable(&message.replace(from, to), &workspace).is_none(), "{to}");
        }
        let library = message.replace(r#"["test"]"#, r#"["lib"]"#);
        assert_eq!(executable(&library, &workspace).unwrap().target, "--lib");
    }
}
