//! Looks for a compiler of a given version: the oldest one that the crates promise.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the compiler; whoever sets it is believed only if the version is right.
pub(crate) const VARIABLE: &str = "WEIRS_MSRV_RUSTC";

/// The variable first, then rustup's toolchains, then the system's compilers (Debian's `rustc-web` is one).
pub(crate) fn find(version: &str) -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let mut candidates = named.into_iter().chain(toolchains(version)).chain(system());
    candidates.find(|candidate| is(candidate, version))
}

/// The compilers of rustup's toolchains that are named after the version.
fn toolchains(version: &str) -> Vec<PathBuf> {
    let list = said(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    let fitting = names.filter(|name| matches(name.split('-').next().unwrap_or(name), version));
    fitting
        .filter_map(|name| said(Command::new("rustup").args(["which", "rustc", "--toolchain", name])))
        .map(path)
        .collect()
}

fn system() -> Vec<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let folders = folders.filter(|folder| folder.file_name().to_string_lossy().starts_with("rust-"));
    folders.map(|folder| folder.path().join("bin/rustc")).chain([PathBuf::from("/usr/bin/rustc")]).collect()
}

/// Whether the program is a rustc of this version: `rustc 1.85.0 (4d91de4e4 2025-02-17)` is one for `1.85`.
fn is(compiler: &Path, version: &str) -> bool {
    let said = said(Command::new(compiler).arg("--version")).unwrap_or_default();
    said.split_whitespace().nth(1).is_some_and(|found| matches(found, version))
}

/// Whether a version is the wanted one or a patch of it.
fn matches(found: &str, wanted: &str) -> bool {
    found.strip_prefix(wanted).is_some_and(|patch| patch.is_empty() || patch.starts_with('.'))
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

fn path(line: String) -> PathBuf {
    line.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_the_same_version() {
        assert!(matches("1.85.0", "1.85") && matches("1.85", "1.85") && matches("1.85.1", "1.85.1"));
        assert!(!matches("1.850.0", "1.85") && !matches("1.95.0", "1.85") && !matches("1.85.0", "1.85.1"));
    }
}
