//! Asks a test executable, or rustdoc, which tests it has.

use std::process::{Command, Stdio};

use crate::error::Error;

/// Runs the command, a `--list --format=terse`, and reads the names. A program that answers with anything
/// else does not speak libtest: with `harness = false` its tests cannot be seen from here.
pub(crate) fn names(mut command: Command, title: &str) -> Result<Vec<String>, Error> {
    let failed = |cause: String| Error::doing(format_args!("list the tests of {title}"), cause);
    let output = command.stdin(Stdio::null()).output().map_err(|cause| failed(cause.to_string()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(failed(format!("it ended with {}\n{errors}", output.status)));
    }
    let mut names = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match read(line) {
            Line::Test(name) => names.push(name.to_owned()),
            Line::Other => {}
            Line::Foreign => return Err(failed(format!("it has no libtest harness: it said `{line}`"))),
        }
    }
    Ok(names)
}

#[derive(Debug, PartialEq)]
enum Line<'l> {
    Test(&'l str),
    /// What belongs to a listing and names no test.
    Other,
    Foreign,
}

fn read(line: &str) -> Line<'_> {
    match line.rsplit_once(": ") {
        Some((name, "test")) => Line::Test(name),
        Some((_, "benchmark")) => Line::Other,
        // rustdoc's own closing line.
        _ if line.is_empty() || line.starts_with("all doctests ran in ") => Line::Other,
        _ => Line::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_terse_listing() {
        assert_eq!(read("a::smol: test"), Line::Test("a::smol"));
        let documented = "crates/a/src/lib.rs - a (line 3): test";
        assert_eq!(read(documented), Line::Test("crates/a/src/lib.rs - a (line 3)"));
        assert_eq!(read("quick: benchmark"), Line::Other);
        let closing = "all doctests ran in 0.16s; merged doctests compilation took 0.15s";
        assert_eq!(read(closing), Line::Other);
        assert_eq!(read("hello"), Line::Foreign);
    }
}
