//! Rules about the lines of any text file.

use super::{Finding, tree::Tree};

/// Folders of machines and not of the project, without their first slash: so this list does not find itself.
const FOLDERS: [&str; 4] = ["root/", "home/", "work/", "tmp/bash_jobs"];

/// Lines with a path of somebody's machine.
pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in file.lines() {
            if let Some(folder) = FOLDERS.into_iter().find(|folder| has_path(line, folder)) {
                findings.push(Finding::line(&file.path, number, format!("a path under /{folder}")));
            }
        }
    }
    findings
}

/// White space that nobody sees.
pub(super) fn white_space(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let lines = (1..).zip(file.text.split('\n'));
        for (number, line) in lines {
            if line.ends_with('\r') {
                findings.push(Finding::line(&file.path, number, "a carriage return"));
            } else if line.ends_with([' ', '\t']) {
                findings.push(Finding::line(&file.path, number, "white space at the end"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            findings.push(Finding::file(&file.path, "no line feed at the end"));
        }
    }
    findings
}

/// Whether an absolute path begins in the line with this folder. A longer path or an address does not count.
fn has_path(line: &str, folder: &str) -> bool {
    let inside = |letter: char| letter.is_alphanumeric() || "_-.}*".contains(letter);
    let mut places = line.match_indices(folder).map(|(at, _)| &line[..at]);
    places.any(|before| before.strip_suffix('/').is_some_and(|before| !before.ends_with(inside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_count() {
        let line = |before: &str| format!("{before}/root/x");
        assert!(
            has_path(&line("cd "), "root/")
                && has_path(&line(""), "root/")
                && has_path(&line("file://"), "root/")
        );
        for before in ["crates", "https://example.org", "{folder}", "."] {
            assert!(!has_path(&line(before), "root/"), "{before}");
        }
        assert!(!has_path("the root/ of it", "root/"));
    }
}
