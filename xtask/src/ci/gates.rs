//! The gates as data, the cheap ones first.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::loom;
use crate::step::Step;
use crate::workspace::{Package, Workspace};

use super::compiler;

/// Something that must hold before a change goes in.
pub(crate) struct Gate {
    pub(crate) name: &'static str,
    /// What holds if the gate passes.
    pub(crate) about: &'static str,
    /// What to do if it does not.
    pub(crate) remedy: &'static str,
    pub(crate) plan: fn(&Workspace) -> Plan,
}

/// What there is to do for a gate.
pub(crate) enum Plan {
    Run(Vec<Step>),
    /// Nothing, and why.
    Skip(String),
}

pub(crate) const GATES: [Gate; 8] = [
    Gate {
        name: "fmt",
        about: "the code is formatted",
        remedy: "run `cargo fmt --all`",
        plan: |_| Plan::Run(vec![Step::cargo(["fmt", "--all", "--check", "--", "--color=never"])]),
    },
    Gate {
        name: "tidy",
        about: "the house rules hold that a program can check",
        remedy: "each finding above says how; `cargo xtask tidy` shows them again",
        plan: |_| Plan::Run(vec![Step::cargo(["xtask", "tidy"])]),
    },
    Gate {
        name: "clippy",
        about: "no target has a warning",
        remedy: "mend the warning, or allow it where it stands with `reason = \"...\"`",
        plan: |_| Plan::Run(vec![clippy(["--workspace", "--all-targets"])]),
    },
    Gate {
        name: "docs",
        about: "the documentation builds, and every link in it leads somewhere",
        remedy: "mend the link or the code block that rustdoc names",
        plan: docs,
    },
    Gate {
        name: "features",
        about: "each published crate compiles with no feature, with each alone and with all",
        remedy: "a feature only adds items: put what it needs behind `#[cfg(feature = \"...\")]`",
        plan: features,
    },
    Gate {
        name: "msrv",
        about: "the published crates compile with the oldest compiler that they promise",
        remedy: "use what the declared `rust-version` has, or raise it on purpose and say so in CHANGELOG.md",
        plan: oldest_compiler,
    },
    Gate {
        name: "publish",
        about: "the published crates can be packaged, and compile from their packages",
        remedy: "give each dependency between published crates a version; weirs-testing stays a path alone",
        plan: publish,
    },
    Gate {
        name: "loom",
        about: "the models hold under every schedule of at most two preemptions",
        remedy: "run `cargo xtask loom --only MODEL`; loom prints the schedule that fails",
        plan: models,
    },
];

fn docs(workspace: &Workspace) -> Plan {
    let doc = |step: Step| step.variable("RUSTDOCFLAGS", "-D warnings");
    let all = Step::cargo(["doc", "--no-deps", "--workspace"]);
    // As docs.rs builds them: the items behind features have links too.
    let published = Step::cargo(["doc", "--no-deps", "--all-features"]).with(published_names(workspace));
    Plan::Run(vec![doc(all), doc(published)])
}

fn features(workspace: &Workspace) -> Plan {
    Plan::Run(workspace.published().flat_map(feature_sets).collect())
}

/// Package by package, because features unify across packages that are built together. With clippy rather
/// than
/// `RUSTFLAGS`: other flags would build every dependency anew.
fn feature_sets(package: &Package) -> Vec<Step> {
    let bare = ["-p", &package.name, "--no-default-features"];
    let mut steps = vec![clippy(bare)];
    for feature in &package.features {
        steps.push(clippy(bare.into_iter().chain(["--features", feature])));
    }
    if !package.features.is_empty() {
        steps.push(clippy(["-p", &package.name, "--all-features"]));
    }
    steps
}

fn oldest_compiler(workspace: &Workspace) -> Plan {
    let Some(version) = workspace.published().find_map(|package| package.rust_version.as_deref()) else {
        return Plan::Skip("no published crate declares a `rust-version`".to_owned());
    };
    let Some(compiler) = compiler::find(version) else {
        return Plan::Skip(format!("no rustc {version} here; {} may name one", compiler::VARIABLE));
    };
    let check = |features: &[&str]| {
        Step::cargo(["check", "--target-dir", "target/msrv"])
            .with(published_names(workspace))
            .with(features.iter().copied())
            .variable("RUSTC", &compiler.to_string_lossy())
    };
    Plan::Run(vec![check(&[]), check(&["--all-features"])])
}

/// In a folder of its own each time: cargo unpacks the packages where the path of this folder leads it, and
/// takes what lies there from an earlier run for the package of today, for it has the same version.
fn publish(_: &Workspace) -> Plan {
    let folder = format!("target/publish/{:x}", RandomState::new().build_hasher().finish());
    let dry_run = Step::cargo(["publish", "--workspace", "--dry-run", "--allow-dirty"]);
    let clean = Step::cargo(["clean"]);
    Plan::Run([dry_run, clean].map(|step| step.with(["--target-dir", &folder])).to_vec())
}

fn models(workspace: &Workspace) -> Plan {
    if workspace.root.join(loom::MANIFEST).exists() {
        Plan::Run(vec![Step::cargo(["xtask", "loom"])])
    } else {
        Plan::Skip(format!("there is no {}", loom::MANIFEST))
    }
}

fn clippy<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Step {
    Step::cargo(["clippy"]).with(arguments).with(["--", "-D", "warnings"])
}

fn published_names(workspace: &Workspace) -> impl Iterator<Item = &str> {
    workspace.published().flat_map(|package| ["-p", package.name.as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_stands_alone_once() {
        let package = Package {
            name: "weirs-runtime".to_owned(),
            features: vec!["smol".to_owned(), "tokio".to_owned()],
            ..Package::default()
        };
        let steps: Vec<String> = feature_sets(&package).iter().map(Step::to_string).collect();
        let expected = [
            "cargo clippy -p weirs-runtime --no-default-features -- -D warnings",
            "cargo clippy -p weirs-runtime --no-default-features --features smol -- -D warnings",
            "cargo clippy -p weirs-runtime --no-default-features --features tokio -- -D warnings",
            "cargo clippy -p weirs-runtime --all-features -- -D warnings",
        ];
        assert_eq!(steps, expected);
    }
}
