//! Who may know whom.

use super::{Finding, tree::Tree};
use crate::error::Error;
use crate::step::Step;
use crate::workspace::{Dependency, DependencyKind, Package};

/// The arrows of ARCHITECTURE.md: a crate and the crates that it may know. The facade may know every one.
const ARROWS: [(&str, &[&str]); 8] = [
    ("weirs-runtime", &[]),
    ("weirs-testing", &["weirs-runtime"]),
    ("weirs-channels-utils", &["weirs-runtime"]),
    ("weirs-scopes", &["weirs-runtime"]),
    ("weirs-limiters", &["weirs-runtime"]),
    ("weirs-resilience", &["weirs-runtime", "weirs-scopes", "weirs-limiters"]),
    (
        "weirs-pipelines",
        &["weirs-runtime", "weirs-scopes", "weirs-limiters", "weirs-channels-utils", "weirs-resilience"],
    ),
    ("weirs-actors", &["weirs-runtime", "weirs-scopes", "weirs-limiters", "weirs-resilience"]),
];
const FACADE: &str = "weirs";
const TESTING: &str = "weirs-testing";

/// Packages that are an executor, or bring one.
const RUNTIMES: [&str; 7] =
    ["async-executor", "async-global-executor", "async-io", "async-std", "blocking", "smol", "tokio"];

/// Dependencies between crates of the family that are not drawn, and versions where only a path may stand.
pub(super) fn arrows(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.workspace.packages.iter().filter(|package| package.folder.starts_with("crates/")) {
        let path = format!("{}/Cargo.toml", package.folder);
        let known = ARROWS.iter().any(|(name, _)| *name == package.name);
        if !known && package.name != FACADE {
            findings.push(Finding::file(&path, format!("{} has no place in the family yet", package.name)));
        }
        let kin = |dependency: &&Dependency| {
            tree.workspace.packages.iter().any(|package| package.name == dependency.name)
        };
        for dependency in package.dependencies.iter().filter(kin) {
            findings.extend(objection(package, dependency).map(|message| Finding::file(&path, message)));
        }
    }
    findings
}

/// Executors in the default build, crate by crate: `--workspace` would unify features, and the answer would
/// lie.
pub(super) fn runtimes(tree: &Tree) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for package in tree.workspace.published() {
        let step =
            Step::cargo(["tree", "-e", "normal", "--prefix", "none", "--format", "{p}", "-p", &package.name]);
        let output = step.command(&tree.workspace.root).output();
        let output = output.map_err(|cause| Error::doing(format_args!("start `{step}`"), cause))?;
        if !output.status.success() {
            return Err(Error::doing(format_args!("run `{step}`"), String::from_utf8_lossy(&output.stderr)));
        }
        for runtime in executors(&String::from_utf8_lossy(&output.stdout)) {
            let message = format!("the default build contains {runtime}: `{step} -i {runtime}` shows why");
            findings.push(Finding::file(format!("{}/Cargo.toml", package.folder), message));
        }
    }
    Ok(findings)
}

fn objection(package: &Package, dependency: &Dependency) -> Option<String> {
    let name = &dependency.name;
    match dependency.kind {
        DependencyKind::Development
            if name == TESTING && (dependency.has_version || !dependency.has_path) =>
        {
            Some(format!(
                "{name} is a dev-dependency by path alone: a version would have to be published before"
            ))
        }
        DependencyKind::Development => None,
        _ if name == TESTING && package.name != FACADE => {
            Some(format!("{name} may only be a dev-dependency"))
        }
        _ if may_know(&package.name, name) => None,
        _ => Some(format!("{} must not know {name}", package.name)),
    }
}

fn may_know(package: &str, other: &str) -> bool {
    package == FACADE || ARROWS.iter().any(|(name, known)| *name == package && known.contains(&other))
}

/// The runtimes in a list of `name version`.
fn executors(list: &str) -> Vec<&'static str> {
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    RUNTIMES.into_iter().filter(|runtime| names.contains(runtime)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(package: &str, name: &str, kind: DependencyKind, has_version: bool) -> bool {
        let package = Package { name: package.to_owned(), ..Package::default() };
        let dependency = Dependency { name: name.to_owned(), kind, has_path: true, has_version };
        objection(&package, &dependency).is_some()
    }

    #[test]
    fn arrows_point_down() {
        assert!(!objects("weirs-resilience", "weirs-scopes", DependencyKind::Normal, true));
        assert!(objects("weirs-scopes", "weirs-resilience", DependencyKind::Normal, true));
        assert!(objects("weirs-scopes", "weirs-limiters", DependencyKind::Normal, true));
        assert!(!objects("weirs", "weirs-actors", DependencyKind::Normal, true));
    }

    #[test]
    fn testing_is_for_tests_and_by_path_alone() {
        assert!(!objects("weirs-runtime", "weirs-testing", DependencyKind::Development, false));
        assert!(objects("weirs-runtime", "weirs-testing", DependencyKind::Development, true));
        assert!(objects("weirs-scopes", "weirs-testing", DependencyKind::Normal, false));
    }

    #[test]
    fn executors_are_found_by_their_whole_name() {
        assert_eq!(executors("weirs-runtime v0.1.0 (/x)\ntokio-stream v0.1.0\nsmol v2.0.2\n"), ["smol"]);
    }
}
