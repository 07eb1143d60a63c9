//! The text files of the project.

use std::path::Path;
use std::process::Command;

use super::source::Source;
use crate::error::Error;
use crate::workspace::Workspace;

/// The workspace and the text of its files.
pub(super) struct Tree {
    pub(super) workspace: Workspace,
    pub(super) files: Vec<File>,
}

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    /// From the root, with `/` between.
    pub(super) path: String,
    pub(super) text: String,
    /// For a Rust file: its code and its comments, apart.
    pub(super) source: Option<Source>,
}

impl Tree {
    /// The files that git tracks or would track; without git, all but `target`.
    pub(super) fn read(workspace: Workspace) -> Result<Self, Error> {
        let mut paths = match tracked(&workspace.root) {
            Some(paths) => paths,
            None => {
                let mut paths = Vec::new();
                walk(&workspace.root, "", &mut paths)?;
                paths
            }
        };
        paths.sort();
        // What cannot be read as text is an image, or a file that is deleted but still in git's index.
        let read =
            |path: String| Some(File::new(std::fs::read_to_string(workspace.root.join(&path)).ok()?, path));
        let files = paths.into_iter().filter_map(read).collect();
        Ok(Self { workspace, files })
    }

    pub(super) fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files.iter().filter_map(|file| Some((file, file.source.as_ref()?)))
    }
}

impl File {
    pub(super) fn new(text: String, path: String) -> Self {
        let source = path.ends_with(".rs").then(|| Source::new(&text));
        Self { path, text, source }
    }

    /// The lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(root);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let list = String::from_utf8(output.stdout).ok()?;
    Some(list.split_terminator('\0').map(str::to_owned).collect())
}

fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) -> Result<(), Error> {
    let failed = |cause| Error::doing(format_args!("read the folder {folder:?}"), cause);
    for entry in std::fs::read_dir(root.join(folder)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type().map_err(failed)?.is_dir() {
            paths.push(path);
        } else if name != "target" && name != ".git" {
            walk(root, &path, paths)?;
        }
    }
    Ok(())
}
