//! Names and folders.

use super::{Finding, tree::Tree};

/// What every folder under `crates/` has.
const FILES: [&str; 3] = ["Cargo.toml", "README.md", "src/lib.rs"];
/// How its `lib.rs` makes the README the crate's page.
const PAGE: &str = "#![doc = include_str!(\"../README.md\")]";

/// Packages that are called otherwise than their folder.
pub(super) fn names(tree: &Tree) -> Vec<Finding> {
    let packages = tree.workspace.packages.iter();
    let wrong = packages.filter_map(|package| {
        let expected = expected_name(&package.folder)?;
        let message = || format!("the package is `{}`; its folder says `{expected}`", package.name);
        (package.name != expected).then(|| Finding::file(format!("{}/Cargo.toml", package.folder), message()))
    });
    wrong.collect()
}

/// Folders under `crates/` that do not look like the others.
pub(super) fn crates(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.workspace.packages.iter().filter(|package| package.folder.starts_with("crates/")) {
        for file in FILES {
            let path = format!("{}/{file}", package.folder);
            match tree.find(&path) {
                None => findings.push(Finding::file(path, "the file is missing")),
                Some(found) if file == "src/lib.rs" && !found.text.contains(PAGE) => {
                    findings.push(Finding::file(
                        path,
                        format!("the crate's page is not its README: no `{PAGE}`"),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    findings
}

/// `crates/weirs` is the facade; `xtask` is cargo's name for it.
fn expected_name(folder: &str) -> Option<String> {
    match folder {
        "xtask" => Some("xtask".to_owned()),
        "crates/weirs" => Some("weirs".to_owned()),
        _ => folder.rsplit('/').next().map(|last| format!("weirs-{last}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_called_after_its_folder() {
        assert_eq!(expected_name("crates/channels-utils").unwrap(), "weirs-channels-utils");
        assert_eq!(expected_name("tests/versus").unwrap(), "weirs-versus");
        assert_eq!(expected_name("examples").unwrap(), "weirs-examples");
        assert_eq!(expected_name("crates/weirs").unwrap(), "weirs");
    }
}
