//! Rules about Markdown: the pages, and the comments that become pages.

use super::Finding;
use super::tree::{File, Tree};

/// Examples that are never compiled.
pub(super) fn examples(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let lines: Vec<(usize, &str)> = match &file.source {
            Some(source) => source.comment_lines().collect(),
            None if is_page(file) => file.lines().collect(),
            None => continue,
        };
        let ignored = lines.into_iter().filter(|(_, line)| is_ignored(line));
        findings.extend(
            ignored.map(|(number, _)| Finding::line(&file.path, number, "an example that is ignored")),
        );
    }
    findings
}

/// Links from page to file that lead nowhere.
pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_page(file)) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, target) in local_links(file) {
            if !tree.workspace.root.join(folder).join(target).exists() {
                findings.push(Finding::line(&file.path, number, format!("`{target}` is not there")));
            }
        }
    }
    findings
}

fn is_page(file: &File) -> bool {
    file.path.ends_with(".md")
}

/// Whether the line opens a fence whose words contain `ignore`.
fn is_ignored(line: &str) -> bool {
    let line = line.trim_start_matches(['/', '!', '*', ' ']);
    let Some(words) = line.strip_prefix("```") else {
        return false;
    };
    words.split([',', ' ']).any(|word| word == "ignore" || word.starts_with("ignore-"))
}

/// The targets of links to files, without their anchors.
fn local_links(file: &File) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut fenced = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if !fenced {
            let targets =
                line.match_indices("](").filter_map(|(at, open)| line[at + open.len()..].split(')').next());
            links.extend(targets.filter_map(local).map(|target| (number, target)));
        }
    }
    links
}

/// The file that a target means: no address, no item of a crate, no place on the same page.
fn local(target: &str) -> Option<&str> {
    let path = target.split(['#', ' ']).next().filter(|path| !path.is_empty())?;
    let foreign = path.contains("://") || path.contains("::") || path.starts_with("mailto:");
    (!foreign).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_to_files() {
        let page = "See [a](../a/README.md#top), [b](https://b.c/d) and [c](crate::Scope).\n\
                    ```rust\nlet x = [y](z);\n```\n[d](#here) ![plot](docs/plot.svg \"a plot\")\n";
        let file = File::new(page.to_owned(), "crates/b/README.md".to_owned());
        assert_eq!(local_links(&file), [(1, "../a/README.md"), (5, "docs/plot.svg")]);
    }

    #[test]
    fn finds_ignored_examples() {
        let fence = "```";
        assert!(is_ignored(&format!("/// {fence}ignore")));
        assert!(is_ignored(&format!("    //! {fence}rust,ignore")));
        assert!(is_ignored(&format!("{fence}ignore-windows")));
        assert!(!is_ignored(&format!("/// {fence}no_run")));
        assert!(!is_ignored("/// do not ignore this"));
    }
}
