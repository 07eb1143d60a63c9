//! Rules about Rust files.

use super::Finding;
use super::exceptions::{MAY_BE_AMBIENT, MAY_BE_UNSAFE, excepted};
use super::source::{Source, attribute_length};
use super::tree::{File, Tree};

/// The widest line: `max_width` of rustfmt.toml.
const COLUMNS: usize = 110;
/// The longest file that is still a small room.
const LINES: usize = 600;

/// Macros and notes of somebody who was not finished.
const PLACEHOLDERS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];
const NOTES: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// Calls that take time or threads out of the air.
const AMBIENT: [&str; 4] = ["Instant::now(", "SystemTime::now(", "thread::sleep(", "thread::spawn("];

/// Files that do not say what they are.
pub(super) fn module_docs(tree: &Tree) -> Vec<Finding> {
    let silent = tree.rust().filter(|(file, source)| !opens_with_docs(file, source));
    silent.map(|(file, _)| Finding::line(&file.path, 1, "the file does not open with `//!`")).collect()
}

/// Code that is there because a feature is not.
pub(super) fn cfg_not_feature(tree: &Tree) -> Vec<Finding> {
    in_code(tree, "cfg-not-feature", |line| {
        line.contains("not(feature").then(|| "a feature is negated".to_owned())
    })
}

/// What somebody meant to come back to.
pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    let left = |found: &str| format!("`{found}` is left");
    let mut findings = in_code(tree, "unfinished", |line| {
        PLACEHOLDERS.into_iter().find(|word| line.contains(word)).map(left)
    });
    for (file, source) in tree.rust() {
        for (number, line) in source.comment_lines() {
            let note = NOTES.into_iter().find(|note| has_word(line, note));
            findings.extend(note.map(|note| Finding::line(&file.path, number, left(note))));
        }
    }
    findings
}

/// Lints that are silenced without a word.
pub(super) fn lint_reasons(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        for (number, attribute) in source.attributes().filter(|(_, attribute)| silences(attribute)) {
            if !has_word(attribute, "reason") {
                findings.push(Finding::line(
                    &file.path,
                    number,
                    "a lint is silenced without `reason = \"...\"`",
                ));
            }
        }
    }
    findings
}

/// Time and threads that no clock and no runtime gave.
pub(super) fn ambient(tree: &Tree) -> Vec<Finding> {
    let findings = in_code(tree, "ambient", |line| {
        AMBIENT.into_iter().find(|call| line.contains(call)).map(|call| format!("`{call}..)`"))
    });
    findings.into_iter().filter(|finding| !excepted(&finding.path, &MAY_BE_AMBIENT)).collect()
}

/// `unsafe` outside the listed files, and crates that need none and do not forbid it.
pub(super) fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let findings = in_code(tree, "unsafe", |line| has_word(line, "unsafe").then(|| "`unsafe`".to_owned()));
    let mut findings: Vec<Finding> =
        findings.into_iter().filter(|finding| !excepted(&finding.path, &MAY_BE_UNSAFE)).collect();
    for package in tree.workspace.published() {
        let may = MAY_BE_UNSAFE.iter().any(|(path, _)| path.starts_with(&format!("{}/", package.folder)));
        let library = tree.find(&format!("{}/src/lib.rs", package.folder)).filter(|_| !may);
        if let Some(library) = library.filter(|library| !library.text.contains("#![forbid(unsafe_code)]")) {
            findings.push(Finding::file(&library.path, "`#![forbid(unsafe_code)]` is missing"));
        }
    }
    findings
}

/// Lines that rustfmt left long.
pub(super) fn width(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, _) in tree.rust() {
        for (number, line) in file.lines() {
            let columns = line.chars().count();
            if columns > COLUMNS {
                findings.push(Finding::line(&file.path, number, format!("{columns} columns")));
            }
        }
    }
    findings
}

/// Files that are too long and do not say why.
pub(super) fn size(tree: &Tree) -> Vec<Finding> {
    let lines = |file: &File| file.text.lines().count();
    let long = tree.rust().filter(|(file, _)| lines(file) > LINES);
    let silent =
        long.filter(|(_, source)| !source.comments.lines().take(20).any(|line| allows(line, "size")));
    silent.map(|(file, _)| Finding::file(&file.path, format!("{} lines", lines(file)))).collect()
}

/// Lines of code to which `object` objects, where the rule is not set aside.
fn in_code(tree: &Tree, rule: &str, object: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        let comments: Vec<&str> = source.comments.lines().collect();
        for (number, line) in source.code_lines() {
            let Some(message) = object(line) else { continue };
            // The line itself and the one above.
            let near = &comments[number.saturating_sub(2)..number];
            if !near.iter().any(|comment| allows(comment, rule)) {
                findings.push(Finding::line(&file.path, number, message));
            }
        }
    }
    findings
}

/// Whether a comment sets the rule aside, with a reason: `// tidy: allow(size): a table of constants`.
fn allows(comment: &str, rule: &str) -> bool {
    let reason = comment.split_once(&format!("tidy: allow({rule}):")).map(|(_, reason)| reason.trim());
    reason.is_some_and(|reason| !reason.is_empty())
}

/// Whether the first thing in the file is `//!`, or an attribute that brings in a page. Other inner
/// attributes and words to this program may stand before.
fn opens_with_docs(file: &File, source: &Source) -> bool {
    let mut at = 0;
    loop {
        let rest = &file.text[at..];
        let blank = rest.len() - rest.trim_start().len();
        let rest = &rest[blank..];
        at += blank;
        if rest.starts_with("//!") || rest.starts_with("#![doc = include_str!(") {
            return true;
        } else if rest.starts_with("// tidy: ") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(length) = attribute_length(&source.code[at..]).filter(|_| rest.starts_with("#!")) {
            at += length;
        } else {
            return false;
        }
    }
}

/// Whether an attribute silences a lint, perhaps within a `cfg_attr`.
fn silences(attribute: &str) -> bool {
    ["allow", "expect"].into_iter().any(|word| {
        let places = attribute.match_indices(word);
        places
            .into_iter()
            .any(|(at, _)| is_word(attribute, at, word) && attribute[at + word.len()..].starts_with('('))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| is_word(line, at, word))
}

/// Whether the word that was found stands alone and is not a part of a longer one.
fn is_word(line: &str, at: usize, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    fn tree(path: &str, text: &str) -> Tree {
        let workspace = Workspace { root: "/".into(), packages: Vec::new() };
        Tree { workspace, files: vec![File::new(text.to_owned(), path.to_owned())] }
    }

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().filter_map(|finding| finding.line).collect()
    }

    #[test]
    fn docs_come_first() {
        let opens = |text: &str| module_docs(&tree("a.rs", text)).is_empty();
        assert!(opens("//! What it is.\n"));
        assert!(opens(
            "#![forbid(unsafe_code)]\n#![allow(\n    x,\n    reason = \"]\"\n)]\n\n//! What it is.\n"
        ));
        assert!(opens("#![doc = include_str!(\"../README.md\")]\n"));
        assert!(opens("// tidy: allow(size): a table\n//! What it is.\n"));
        assert!(!opens("use std::fmt;\n//! late\n"));
        assert!(!opens("// a comment\n//! What it is.\n"));
        assert!(!opens(""));
    }

    #[test]
    fn negated_features_need_a_reason() {
        let text = "\
#[cfg(not(feature = \"smol\"))]
// tidy: allow(cfg-not-feature): a private helper macro
#[cfg(all(test, not(feature = \"smol\")))]
#[cfg(feature = \"smol\")] // not(feature
// tidy: allow(cfg-not-feature):
#[cfg(not(feature = \"tokio\"))]
";
        assert_eq!(lines(&cfg_not_feature(&tree("a.rs", text))), [1, 6]);
    }

    #[test]
    fn notes_count_in_comments_and_placeholders_in_code() {
        let text = "fn a() { todo!() }\n// TODO: b\nlet c = \"TODO\"; // todo!()\nlet TODO = 1;\n// TODOS\n";
        assert_eq!(lines(&unfinished(&tree("a.rs", text))), [1, 2]);
    }

    #[test]
    fn silenced_lints_need_a_reason() {
        let text = "\
#![allow(dead_code, reason = \"because\")]
#[expect(
    dead_code
)]
fn a() { b.expect(\"c\") }
#[cfg_attr(loom, allow(dead_code))]
#[derive(Debug)]
";
        assert_eq!(lines(&lint_reasons(&tree("a.rs", text))), [2, 6]);
    }

    #[test]
    fn time_and_threads_stand_in_listed_files() {
        let text = "let a = Instant::now();\nlet b = clock.now();\nstd::thread::spawn(|| ());\n";
        assert_eq!(lines(&ambient(&tree("crates/scopes/src/lib.rs", text))), [1, 3]);
        assert!(ambient(&tree("crates/runtime/src/clock/real.rs", text)).is_empty());
        assert!(ambient(&tree("crates/scopes/benches/spawn.rs", text)).is_empty());
    }

    #[test]
    fn unsafe_stands_in_listed_files() {
        let text = "#![forbid(unsafe_code)]\n// unsafe\nunsafe { a() }\n";
        assert_eq!(lines(&unsafe_code(&tree("crates/scopes/src/lib.rs", text))), [3]);
        assert!(unsafe_code(&tree("tests/versus/src/main.rs", text)).is_empty());
    }

    #[test]
    fn columns_are_characters() {
        let text = format!("// {}\n// {}\n", "é".repeat(COLUMNS - 3), "e".repeat(COLUMNS - 2));
        assert_eq!(lines(&width(&tree("a.rs", &text))), [2]);
    }

    #[test]
    fn long_files_need_a_reason() {
        let long = "fn a() {}\n".repeat(LINES + 1);
        assert_eq!(size(&tree("a.rs", &long)).len(), 1);
        assert!(size(&tree("a.rs", &format!("// tidy: allow(size): a table\n{long}"))).is_empty());
        assert!(size(&tree("a.rs", &"\n".repeat(LINES))).is_empty());
    }
}
