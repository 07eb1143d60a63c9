//! The tables of promises in the README name tests that are there.

use std::path::Path;

#[test]
fn every_promise_has_its_test() {
    let crate_ = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(crate_.join("README.md")).unwrap();
    let (_, tables) = readme.split_once("## What is promised").unwrap();
    let (tables, _) = tables.split_once("## What it costs").unwrap();
    let names = |cell: &str| -> Vec<String> {
        cell.split(", ").map(|name| name.trim().trim_matches('`').to_owned()).collect()
    };
    let mut found = 0;
    for row in tables.lines().filter(|line| line.ends_with("` |")) {
        let mut cells = row.trim_matches('|').rsplit('|');
        let (tests, files) = (names(cells.next().unwrap()), names(cells.next().unwrap()));
        let read = |file: &String| std::fs::read_to_string(crate_.join(format!("tests/{file}.rs")));
        let text: String = files.iter().map(|file| read(file).unwrap_or_else(|_| panic!("{file}"))).collect();
        for test in tests {
            assert!(text.contains(&format!("fn {test}(")), "{test} is not in {files:?}");
            found += 1;
        }
    }
    assert!(found > 30);
}
