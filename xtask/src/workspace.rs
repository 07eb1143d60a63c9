//! The workspace as cargo sees it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;
use crate::step::Step;

/// The packages of the workspace, in the order of their folders.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// From the root, with `/` between: `crates/scopes`.
    pub(crate) folder: String,
    /// Whether it goes to the registry.
    pub(crate) published: bool,
    pub(crate) rust_version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) has_library: bool,
    pub(crate) has_documentation_tests: bool,
    /// Whether there is anything in its `tests` folder.
    pub(crate) has_integration_tests: bool,
    pub(crate) programs: Vec<Program>,
    /// Without `default`, in the order of their names.
    pub(crate) features: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// An executable of a package.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// The file with its `main`.
    pub(crate) source: PathBuf,
}

/// A line of a package's dependency tables.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
    pub(crate) has_path: bool,
    pub(crate) has_version: bool,
}

/// The table in which a dependency stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum DependencyKind {
    Normal,
    Development,
    Build,
}

impl Workspace {
    /// Asks cargo, from the current folder.
    pub(crate) fn read() -> Result<Self, Error> {
        let step = Step::cargo(["metadata", "--format-version=1", "--no-deps"]);
        let output = step.command(Path::new(".")).output();
        let output = output.map_err(|cause| Error::doing("start cargo", cause))?;
        if !output.status.success() {
            return Err(Error::doing("read the workspace", String::from_utf8_lossy(&output.stderr)));
        }
        let metadata = serde_json::from_slice(&output.stdout);
        Ok(Self::from_metadata(&metadata.map_err(|cause| Error::doing("read cargo's metadata", cause))?))
    }

    /// The packages that go to the registry.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.published)
    }

    /// The package that a user means by its name or its folder's name.
    pub(crate) fn find(&self, name: &str) -> Result<&Package, Error> {
        let fits = |package: &&Package| package.name == name || package.short_name() == name;
        self.packages.iter().find(fits).ok_or_else(|| {
            let known: Vec<&str> = self.packages.iter().map(Package::short_name).collect();
            Error::unknown("crate", name, &known)
        })
    }

    fn from_metadata(metadata: &Value) -> Self {
        let root = PathBuf::from(text(&metadata["workspace_root"]).unwrap_or_default());
        let mut packages: Vec<Package> = items(&metadata["packages"])
            .iter()
            .map(|package| Package::from_metadata(package, &root))
            .collect();
        packages.sort_by(|one, other| one.folder.cmp(&other.folder));
        Self { root, packages }
    }
}

impl Package {
    /// The last part of the folder: what one types after `--only`.
    pub(crate) fn short_name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(&self.name)
    }

    fn from_metadata(package: &Value, root: &Path) -> Self {
        let manifest = PathBuf::from(text(&package["manifest_path"]).unwrap_or_default());
        let folder =
            manifest.parent().and_then(|folder| folder.strip_prefix(root).ok()).unwrap_or(Path::new(""));
        let targets = items(&package["targets"]);
        let is = |kind: &'static str| {
            move |target: &&Value| items(&target["kind"]).iter().any(|known| *known == kind)
        };
        let features = package["features"].as_object().into_iter().flat_map(|features| features.keys());
        Self {
            name: text(&package["name"]).unwrap_or_default(),
            version: text(&package["version"]).unwrap_or_default(),
            folder: folder.to_string_lossy().replace('\\', "/"),
            // `publish = false` is an empty list of registries; no word about it is null.
            published: package["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            rust_version: text(&package["rust_version"]),
            description: text(&package["description"]),
            license: text(&package["license"]),
            readme: text(&package["readme"]),
            has_library: targets.iter().any(|target| is("lib")(&target)),
            has_documentation_tests: targets.iter().any(|target| target["doctest"] == true),
            has_integration_tests: targets.iter().any(|target| is("test")(&target)),
            programs: targets.iter().filter(is("bin")).map(Program::from_metadata).collect(),
            features: features.filter(|feature| *feature != "default").cloned().collect(),
            dependencies: items(&package["dependencies"]).iter().map(Dependency::from_metadata).collect(),
        }
    }
}

impl Program {
    fn from_metadata(target: &Value) -> Self {
        Self {
            name: text(&target["name"]).unwrap_or_default(),
            source: text(&target["src_path"]).unwrap_or_default().into(),
        }
    }
}

impl Dependency {
    fn from_metadata(dependency: &Value) -> Self {
        Self {
            name: text(&dependency["name"]).unwrap_or_default(),
            kind: match dependency["kind"].as_str() {
                Some("dev") => DependencyKind::Development,
                Some("build") => DependencyKind::Build,
                _ => DependencyKind::Normal,
            },
            has_path: dependency["path"].is_string(),
            has_version: dependency["req"].as_str().is_some_and(|version| version != "*"),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Workspace {
        Workspace::from_metadata(&serde_json::json!({
            "workspace_root": "/w",
            "packages": [
                {
                    "name": "weirs-scopes",
                    "manifest_path": "/w/crates/scopes/Cargo.toml",
                    "publish": null,
                    "targets": [
                        { "kind": ["test"], "name": "scope", "doctest": false },
                        { "kind": ["lib"], "name": "weirs_scopes", "doctest": true },
                    ],
                    "features": { "default": [], "tokio": ["dep:tokio"] },
                    "dependencies": [
                        { "name": "weirs-testing", "kind": "dev", "req": "*", "path": "/w/crates/testing" },
                        { "name": "futures-core", "kind": null, "req": "^0.3" },
                    ],
                },
                {
                    "name": "weirs-examples",
                    "manifest_path": "/w/examples/Cargo.toml",
                    "publish": [],
                    "targets": [
                        { "kind": ["bin"], "name": "probe", "src_path": "/w/examples/src/bin/probe.rs" },
                    ],
                },
            ],
        }))
    }

    #[test]
    fn reads_what_cargo_says() {
        let workspace = sample();
        let scopes = workspace.find("scopes").unwrap();
        assert_eq!((scopes.folder.as_str(), scopes.published), ("crates/scopes", true));
        assert_eq!(scopes.features, ["tokio"]);
        assert_eq!(scopes.dependencies[0].kind, DependencyKind::Development);
        assert!(scopes.dependencies[0].has_path && !scopes.dependencies[0].has_version);
        assert!(!scopes.dependencies[1].has_path && scopes.dependencies[1].has_version);
        assert!(scopes.has_library && scopes.has_documentation_tests && scopes.has_integration_tests);
        assert!(scopes.programs.is_empty());
        let examples = workspace.find("examples").unwrap();
        assert!(!examples.has_library && !examples.has_integration_tests);
        assert_eq!(examples.programs[0].source, Path::new("/w/examples/src/bin/probe.rs"));
        assert_eq!(workspace.published().count(), 1);
    }

    #[test]
    fn a_crate_goes_by_its_folder_or_its_name() {
        let workspace = sample();
        assert_eq!(workspace.find("weirs-examples").unwrap().short_name(), "examples");
        let Err(Error::Usage(message)) = workspace.find("scope") else { panic!("there is no such crate") };
        assert_eq!(message, "unknown crate `scope`; known are: scopes, examples");
    }
}
