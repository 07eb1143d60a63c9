//! What the manifests must say.

use super::Finding;
use super::tree::{File, Tree};
use crate::workspace::Package;

/// Lines that are missing.
pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(root) = tree.find("Cargo.toml").filter(|root| !has_line(root, "resolver = \"3\"")) {
        // Without it a virtual manifest falls back to the first resolver, which turns on features of
        // dev-dependencies.
        findings.push(Finding::file(&root.path, "`resolver = \"3\"` is missing"));
    }
    for package in &tree.workspace.packages {
        let path = format!("{}/Cargo.toml", package.folder);
        let Some(manifest) = tree.find(&path) else {
            continue;
        };
        findings.extend(
            missing(package, manifest)
                .into_iter()
                .map(|line| Finding::file(&path, format!("{line} is missing"))),
        );
    }
    findings
}

/// Tests that bring a harness of their own: the test runner cannot list them.
pub(super) fn harness(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in tree.files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let mut table = "";
        for (number, line) in manifest.lines() {
            if line.starts_with('[') {
                table = line.trim();
            } else if is_entry(line, "harness = false") && table != "[[bench]]" {
                findings.push(Finding::line(
                    &manifest.path,
                    number,
                    format!("`harness = false` under {table}"),
                ));
            }
        }
    }
    findings
}

fn missing(package: &Package, manifest: &File) -> Vec<&'static str> {
    let lints = manifest.text.split("[lints]").nth(1).unwrap_or_default();
    let mut missing =
        vec![("`[lints] workspace = true`", lints.trim_start().starts_with("workspace = true"))];
    if package.published {
        missing.extend([
            ("`edition.workspace = true`", has_line(manifest, "edition.workspace = true")),
            ("`rust-version.workspace = true`", has_line(manifest, "rust-version.workspace = true")),
            ("`description`", package.description.is_some()),
            ("`license`", package.license.is_some()),
            ("`readme`", package.readme.is_some()),
        ]);
    }
    missing.into_iter().filter(|(_, is_there)| !is_there).map(|(line, _)| line).collect()
}

fn has_line(manifest: &File, wanted: &str) -> bool {
    manifest.text.lines().any(|line| is_entry(line, wanted))
}

/// Whether the line is this entry, but for its comment.
fn is_entry(line: &str, wanted: &str) -> bool {
    line.split('#').next().unwrap_or_default().trim() == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> File {
        File::new(text.to_owned(), "crates/scopes/Cargo.toml".to_owned())
    }

    #[test]
    fn a_published_crate_inherits_and_describes() {
        let manifest =
            manifest("edition.workspace = true\nrust-version = \"1.80\"\n\n[lints]\nworkspace = true\n");
        let package = Package { published: true, license: Some("MIT".to_owned()), ..Package::default() };
        let expected = ["`rust-version.workspace = true`", "`description`", "`readme`"];
        assert_eq!(missing(&package, &manifest), expected);
        assert!(missing(&Package::default(), &manifest).is_empty());
    }

    #[test]
    fn lints_are_inherited_by_everybody() {
        let missing = missing(&Package::default(), &manifest("[lints.rust]\nunused = \"allow\"\n"));
        assert_eq!(missing, ["`[lints] workspace = true`"]);
    }

    #[test]
    fn a_comment_after_an_entry_does_no_harm() {
        assert!(has_line(&manifest("resolver = \"3\"  # why\n"), "resolver = \"3\""));
        assert!(!has_line(&manifest("# resolver = \"3\"\n"), "resolver = \"3\""));
    }
}
