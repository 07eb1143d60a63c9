//! The results of a run for a program to read: `cargo xtask test --json FILE`.
//!
//! ```json
//! {
//!   "format": 1,
//!   "passed": 1, "failed": 1, "skipped": 0, "seconds": 3.25,
//!   "tests": [
//!     { "crate": "weirs-scopes", "runtime": "smol", "target": "--test group", "name": "a::smol",
//!       "verdict": "passed", "seconds": 0.013 },
//!     { "crate": "weirs-scopes", "runtime": "sim", "target": "--test group", "name": "a::sim",
//!       "verdict": "failed", "seconds": 0.2,
//!       "output": "what the test printed", "commands": ["what to paste to repeat it"] }
//!   ]
//! }
//! ```
//!
//! - `format` changes when a reader of the old form would be misled; new fields do not change it.
//! - `seconds` of the run is its wall time without the build; of a test it is its share of its process's
//!   time.
//! - `runtime` is a column of the matrix: a runtime, `unit` or `doc`.
//! - `verdict` is `passed`, `failed` or `skipped`; only a failed test has `output` and `commands`.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::libtest::Verdict;
use super::options::Options;
use super::report::{Tally, commands};
use super::run::Finished;

/// Writes the results, each test on a line of its own so that two files compare well.
pub(crate) fn write(
    mut file: impl Write,
    finished: &[Finished<'_>],
    time: Duration,
    options: &Options,
) -> std::io::Result<()> {
    let Tally { passed, failed, skipped, .. } = Tally::of(finished);
    let seconds = seconds(time);
    writeln!(file, "{{\n  \"format\": 1,")?;
    writeln!(
        file,
        "  \"passed\": {passed}, \"failed\": {failed}, \"skipped\": {skipped}, \"seconds\": {seconds},"
    )?;
    let tests: Vec<String> = finished.iter().map(|test| format!("    {}", value(test, options))).collect();
    writeln!(file, "  \"tests\": [\n{}\n  ]\n}}", tests.join(",\n"))
}

fn value(finished: &Finished<'_>, options: &Options) -> Value {
    let mut value = json!({
        "crate": finished.test.package.name,
        "runtime": finished.test.column.name(),
        "target": finished.test.target,
        "name": finished.test.name,
        "verdict": match finished.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
        },
        "seconds": seconds(finished.time),
    });
    if finished.verdict == Verdict::Failed {
        value["output"] = finished.output.as_str().into();
        value["commands"] = commands(finished, options).into();
    }
    value
}

/// In whole milliseconds: more would be noise.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::column::Column;
    use super::super::plan::Test;
    use super::*;
    use crate::workspace::Package;

    #[test]
    fn what_is_written_is_json() {
        let package = Package { name: "weirs-scopes".to_owned(), ..Package::default() };
        let finished = |name: &str, verdict| Finished {
            test: Test {
                package: &package,
                column: Column::of_test(name),
                target: "--lib".to_owned(),
                name: name.to_owned(),
            },
            verdict,
            time: Duration::from_micros(12_345),
            output: "said \"no\"".to_owned(),
        };
        let finished = [finished("a::smol", Verdict::Passed), finished("a::sim", Verdict::Failed)];
        let mut file = Vec::new();
        write(&mut file, &finished, Duration::from_secs(3), &Options::new()).unwrap();

        let read: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!((&read["passed"], &read["failed"], &read["skipped"]), (&json!(1), &json!(1), &json!(0)));
        assert_eq!(read["tests"][0]["seconds"], 0.012);
        assert_eq!(read["tests"][0].get("output"), None);
        assert_eq!(read["tests"][1]["output"], "said \"no\"");
        assert_eq!(read["tests"][1]["runtime"], "sim");
    }
}
