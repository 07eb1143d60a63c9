//! Which cells of the matrix the user asked for.

use super::column::Column;
use crate::error::Error;
use crate::workspace::{Package, Workspace};

/// The union of every `--only`, cut down to every `--runtime`; empty lists mean all.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    only: Vec<(String, Option<Column>)>,
    runtimes: Vec<Column>,
}

impl Selection {
    /// `--only CRATE[/RUNTIME]`
    pub(crate) fn only(&mut self, given: &str, workspace: &Workspace) -> Result<(), Error> {
        let (name, column) = match given.split_once('/') {
            Some((name, column)) => (name, Some(Column::parse(column)?)),
            None => (given, None),
        };
        self.only.push((workspace.find(name)?.name.clone(), column));
        Ok(())
    }

    /// `--runtime NAME`
    pub(crate) fn runtime(&mut self, given: &str) -> Result<(), Error> {
        self.runtimes.push(Column::parse(given)?);
        Ok(())
    }

    pub(crate) fn includes(&self, package: &Package, column: Column) -> bool {
        let fits = |(name, only): &(String, Option<Column>)| {
            *name == package.name && only.is_none_or(|only| only == column)
        };
        (self.only.is_empty() || self.only.iter().any(fits))
            && (self.runtimes.is_empty() || self.runtimes.contains(&column))
    }

    /// Whether any column of test executables is wanted of this package.
    pub(crate) fn includes_executables(&self, package: &Package) -> bool {
        Column::ALL.into_iter().any(|column| column != Column::Doc && self.includes(package, column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        let package = |folder: &str| Package {
            name: format!("weirs-{}", folder.rsplit('/').next().unwrap()),
            folder: folder.to_owned(),
            ..Package::default()
        };
        Workspace { root: "/".into(), packages: vec![package("crates/scopes"), package("tests/conformance")] }
    }

    #[test]
    fn without_a_word_everything_is_in() {
        let workspace = workspace();
        assert!(Selection::default().includes(&workspace.packages[0], Column::Doc));
    }

    #[test]
    fn only_adds_and_runtime_cuts() {
        let workspace = workspace();
        let [scopes, conformance] = &workspace.packages[..] else { unreachable!() };
        let mut selection = Selection::default();
        selection.only("scopes/sim", &workspace).unwrap();
        assert!(selection.includes(scopes, Column::Sim));
        assert!(!selection.includes(scopes, Column::Doc));
        assert!(!selection.includes(conformance, Column::Sim));
        selection.only("weirs-conformance", &workspace).unwrap();
        assert!(selection.includes(conformance, Column::Unit));
        selection.runtime("smol").unwrap();
        assert!(selection.includes(conformance, Column::Smol));
        assert!(!selection.includes(conformance, Column::Unit));
        assert!(!selection.includes_executables(scopes));
    }

    #[test]
    fn mistakes_are_found_at_once() {
        let workspace = workspace();
        assert!(Selection::default().only("scope", &workspace).is_err());
        assert!(Selection::default().only("scopes/tokio", &workspace).is_err());
        assert!(Selection::default().runtime("gtk").is_err());
    }
}
