//! `cargo xtask tidy`: the house rules that a program can check.
//!
//! A rule is a row of [`RULES`]: what holds, how to mend it, and a function from the tree to its findings. A
//! rule about lines can be set aside where it stands, or on the line above, by `// tidy: allow(RULE):
//! reason`.

mod exceptions;
mod family;
mod layout;
mod lines;
mod manifests;
mod markdown;
mod rust;
mod source;
mod tree;

use std::fmt;
use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::error::Error;
use crate::screen::{Screen, Tone};
use crate::subcommand::Subcommand;
use crate::workspace::Workspace;

use tree::Tree;

pub(crate) const SUBCOMMAND: Subcommand =
    Subcommand { name: "tidy", about: "check the house rules that a program can check", help: HELP, run };

const HELP: &str = "\
Checks the house rules that a program can check: names, layers, manifests, comments, white space.

usage: cargo xtask tidy [OPTIONS]

  --only RULE       only this rule (may be repeated)
  --list            show the rules without checking them

A rule about lines can be set aside where it stands, or on the line above: `// tidy: allow(RULE): reason`.
";

/// Something that must hold everywhere.
struct Rule {
    name: &'static str,
    /// What holds.
    about: &'static str,
    /// How to mend it.
    remedy: &'static str,
    find: fn(&Tree) -> Result<Vec<Finding>, Error>,
}

const RULES: [Rule; 18] = [
    Rule {
        name: "names",
        about: "a package is called after its folder: crates/scopes is weirs-scopes",
        remedy: "rename the package or move it",
        find: |tree| Ok(layout::names(tree)),
    },
    Rule {
        name: "layout",
        about: "a folder under crates/ has Cargo.toml, README.md and src/lib.rs, and the README is its page",
        remedy: "add the file; lib.rs opens with `#![doc = include_str!(\"../README.md\")]`",
        find: |tree| Ok(layout::crates(tree)),
    },
    Rule {
        name: "manifests",
        about: "manifests inherit what the workspace decides, and published ones say what the registry shows",
        remedy: "write the line that is missing",
        find: |tree| Ok(manifests::findings(tree)),
    },
    Rule {
        name: "family",
        about: "a crate knows only the crates below it, and weirs-testing only for its tests",
        remedy: "move the code to a crate that may know both; the arrows are in xtask/src/tidy/family.rs",
        find: |tree| Ok(family::arrows(tree)),
    },
    Rule {
        name: "runtime-free",
        about: "the default build of a published crate contains no executor",
        remedy: "put the dependency behind a feature named after the runtime",
        find: family::runtimes,
    },
    Rule {
        name: "module-docs",
        about: "every Rust file opens with `//!`: what the module is",
        remedy: "say it in one sentence at the top",
        find: |tree| Ok(rust::module_docs(tree)),
    },
    Rule {
        name: "cfg-not-feature",
        about: "a feature only adds: nothing is compiled because a feature is off",
        remedy: "compile the item always, or find a design in which both may be on",
        find: |tree| Ok(rust::cfg_not_feature(tree)),
    },
    Rule {
        name: "unfinished",
        about: "nothing is left to do: no note of it, no placeholder, no debug print",
        remedy: "finish it, or write an issue and delete the note",
        find: |tree| Ok(rust::unfinished(tree)),
    },
    Rule {
        name: "lint-reasons",
        about: "whoever silences a lint says why",
        remedy: "add `reason = \"...\"` to the attribute",
        find: |tree| Ok(rust::lint_reasons(tree)),
    },
    Rule {
        name: "ambient",
        about: "time and threads come from a `Clock` and a `Runtime`: a seed replays nothing else",
        remedy: "take a `Clock` or a `Runtime`, or list the file in xtask/src/tidy/exceptions.rs",
        find: |tree| Ok(rust::ambient(tree)),
    },
    Rule {
        name: "unsafe",
        about: "`unsafe` stands only in the listed modules, and every other crate forbids it",
        remedy: "compose safe parts; else measure, and list the file in xtask/src/tidy/exceptions.rs",
        find: |tree| Ok(rust::unsafe_code(tree)),
    },
    Rule {
        name: "width",
        about: "a line of Rust has at most 110 columns: rustfmt sees to the code, not to comments and texts",
        remedy: "break the line",
        find: |tree| Ok(rust::width(tree)),
    },
    Rule {
        name: "size",
        about: "a file is a small room: at most 600 lines",
        remedy: "split it by concept; else `// tidy: allow(size): reason` at its head",
        find: |tree| Ok(rust::size(tree)),
    },
    Rule {
        name: "examples",
        about: "every example in the documentation is compiled",
        remedy: "make it compile (`no_run` at most), or fence it as `text`",
        find: |tree| Ok(markdown::examples(tree)),
    },
    Rule {
        name: "links",
        about: "links between files of the project lead somewhere",
        remedy: "mend the path, from the folder of the file that links",
        find: |tree| Ok(markdown::links(tree)),
    },
    Rule {
        name: "machine-paths",
        about: "no path of somebody's machine is left in a file",
        remedy: "write the path from the project's root",
        find: |tree| Ok(lines::machine_paths(tree)),
    },
    Rule {
        name: "white-space",
        about: "no white space at the end of a line, no carriage returns, a line feed at the end of the file",
        remedy: "let the editor strip them",
        find: |tree| Ok(lines::white_space(tree)),
    },
    Rule {
        name: "harness",
        about: "every test speaks libtest, so that `cargo xtask test` sees it",
        remedy: "leave `harness = false` to benchmarks; a test that must be alone is a file with one test",
        find: |tree| Ok(manifests::harness(tree)),
    },
];

/// A place where a rule does not hold.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    path: String,
    /// None for the file as a whole.
    line: Option<usize>,
    message: String,
}

impl Finding {
    /// About a file as a whole.
    fn file(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, message: message.into() }
    }

    /// About one line; the first is 1.
    fn line(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.message),
            None => write!(formatter, "{}: {}", self.path, self.message),
        }
    }
}

fn run(mut arguments: Arguments) -> Result<ExitCode, Error> {
    let mut only = Vec::new();
    let mut list = false;
    while let Some(option) = arguments.next()? {
        match option.as_str() {
            "only" => only.push(known(arguments.value()?)?),
            "list" => list = true,
            _ => return Err(arguments.unknown(&format!("--{option}"))),
        }
    }
    let rules: Vec<&Rule> =
        RULES.iter().filter(|rule| only.is_empty() || only.iter().any(|name| name == rule.name)).collect();
    if list {
        rules.iter().for_each(|rule| println!("{:<17} {}", rule.name, rule.about));
        return Ok(ExitCode::SUCCESS);
    }

    let tree = Tree::read(Workspace::read()?)?;
    let screen = Screen::new();
    let mut total = 0;
    for rule in &rules {
        let findings = (rule.find)(&tree)?;
        total += findings.len();
        if !findings.is_empty() {
            println!("{} {}", screen.paint(&format!("{}:", rule.name), Tone::Bad), rule.about);
            findings.iter().for_each(|finding| println!("    {finding}"));
            println!("    to mend it: {}\n", rule.remedy);
        }
    }
    println!("tidy: {} rules, {} files, {total} findings", rules.len(), tree.files.len());
    Ok(if total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn known(name: String) -> Result<String, Error> {
    let names = RULES.map(|rule| rule.name);
    if names.contains(&name.as_str()) { Ok(name) } else { Err(Error::unknown("rule", &name, &names)) }
}
