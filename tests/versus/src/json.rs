//! The results for a program to read: `--json FILE`.
//!
//! ```json
//! {
//!   "format": 1,
//!   "machine": "on 2 cores of ...",
//!   "about": { "cores": 2, "processor": "...", "system": "linux 6.8", "compiler": "rustc 1.95.0 (...)",
//!              "commit": "9bf0ca8441", "date": "2026-11-21", "load": ["0.3", "1.9"], "quick": true,
//!              "seconds": 240.1 },
//!   "rows": [
//!     { "name": "spawn/smol", "ours": 410.2, "peer": 320.1, "peer_name": "smol 2.0.2",
//!       "unit": "ns", "ratio": 1.28, "goal": 1.7, "met": true,
//!       "spread": { "ours": [401.0, 420.8], "peer": [315.3, 331.9], "ratio": [1.24, 1.33] },
//!       "rounds": [[401.0, 331.9], [410.2, 320.1], [420.8, 315.3]] }
//!   ],
//!   "missing": [ { "name": "idle/task/10000/smol-own", "reason": "no /proc here", "failed": false } ],
//!   "seconds": { "spawn/smol": 0.4 }
//! }
//! ```
//!
//! - `ours` and `peer` are the median costs in `unit`; `ratio` is the median of the ratios of neighbouring
//!   rounds, and so not quite `ours` over `peer`. Lower is better, and `goal` is an upper bound of `ratio`.
//! - Without a peer, `peer`, `peer_name` and `ratio` are null; without a goal, `goal` and `met` are.
//! - `spread` is the middle half of the rounds, and null where the number is. `rounds` are all of them, ours
//!   and the peer's, or ours alone; null where they were more than a hundred.
//! - `missing` names the rows that gave no numbers, because they cannot be measured here or failed.
//! - `load` is that of the machine at the start and at the end; `seconds` is what the run took, and what each
//!   experiment took, by its first row.
//! - `format` changes when a reader of the old form would be misled; new fields do not change it.
//!
//! [`report::results`](crate::report::Results) reads it.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::machine::{Machine, RUSTC};
use crate::row::{Measured, Samples};
use crate::statistics::Spread;
use crate::verdict::Gap;

/// More rounds than these are not kept.
const ROUNDS: usize = 100;

/// A run as a whole.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it ran on.
    pub machine: Machine,
    /// The load at its end.
    pub load: String,
    /// Whether there were few rounds.
    pub quick: bool,
    /// How long it took.
    pub seconds: f64,
    /// What was measured.
    pub rows: Vec<Measured>,
    /// What was not.
    pub missing: Vec<Gap>,
    /// How long each experiment took.
    pub times: Vec<(String, f64)>,
}

/// Writes the results, each row on a line of its own so that two files compare well.
///
/// # Errors
/// When the file cannot be written.
pub fn write(mut file: impl Write, outcome: &Outcome) -> std::io::Result<()> {
    let lines = |values: Vec<Value>| {
        let lines: Vec<String> = values.iter().map(|value| format!("\n    {value}")).collect();
        lines.join(",")
    };
    let gap = |gap: &Gap| json!({ "name": gap.name, "reason": gap.reason, "failed": gap.failed });
    let machine = Value::from(outcome.machine.to_string());
    let times = outcome.times.iter().map(|(name, seconds)| (name.clone(), tenths(*seconds)));
    writeln!(file, "{{\n  \"format\": 1,\n  \"machine\": {machine},\n  \"about\": {},", about(outcome))?;
    writeln!(file, "  \"rows\": [{}\n  ],", lines(outcome.rows.iter().map(row).collect()))?;
    writeln!(file, "  \"missing\": [{}],", lines(outcome.missing.iter().map(gap).collect()))?;
    writeln!(file, "  \"seconds\": {}\n}}", Value::from(times.collect::<Map<_, _>>()))?;
    file.flush()
}

fn about(outcome: &Outcome) -> Value {
    let Machine { cores, processor, system, load, commit, date } = &outcome.machine;
    json!({
        "cores": cores,
        "processor": processor,
        "system": system,
        "compiler": RUSTC,
        "commit": commit,
        "date": date,
        "load": [load, outcome.load],
        "quick": outcome.quick,
        "seconds": tenths(outcome.seconds),
    })
}

fn row(measured: &Measured) -> Value {
    let middle = |spread: Option<Spread>| spread.map(|spread| rounded(spread.median));
    let around = |spread: Option<Spread>| spread.map(|spread| [rounded(spread.low), rounded(spread.high)]);
    let Measured { row, ours, peer, ratio, rounds } = measured;
    json!({
        "name": row.name,
        "ours": rounded(ours.median),
        "peer": middle(*peer),
        "peer_name": row.peer,
        "unit": row.unit.name(),
        "ratio": middle(*ratio),
        "goal": row.goal,
        "met": measured.met(),
        "spread": { "ours": around(Some(*ours)), "peer": around(*peer), "ratio": around(*ratio) },
        "rounds": kept(rounds),
    })
}

fn kept(rounds: &Samples) -> Value {
    match rounds {
        Samples::Pairs(pairs) if pairs.len() <= ROUNDS => {
            pairs.iter().map(|pair| json!([short(pair.0), short(pair.1)])).collect()
        }
        Samples::Alone(ours) if ours.len() <= ROUNDS => ours.iter().map(|ours| short(*ours)).collect(),
        _ => Value::Null,
    }
}

/// To four digits behind the point: more would be noise.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// To five digits in all: a round is one of many.
fn short(number: f64) -> f64 {
    let size = if number == 0.0 { 0.0 } else { number.abs().log10().floor() };
    let scale = 10_f64.powf(4.0 - size);
    if scale.is_finite() { (number * scale).round() / scale } else { number }
}

fn tenths(number: f64) -> Value {
    json!((number * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    fn outcome(rows: Vec<Measured>, missing: Vec<Gap>) -> Outcome {
        let machine = Machine {
            cores: 2,
            processor: "a \"machine\"".to_owned(),
            system: "linux 6".to_owned(),
            load: "0.5".to_owned(),
            commit: "abc".to_owned(),
            date: "2026-11-21".to_owned(),
        };
        let times = vec![("a/b".to_owned(), 1.26)];
        Outcome { machine, load: "1.5".to_owned(), quick: true, seconds: 61.04, rows, missing, times }
    }

    fn written(outcome: &Outcome) -> Value {
        let mut file = Vec::new();
        write(&mut file, outcome).unwrap();
        serde_json::from_slice(&file).unwrap()
    }

    #[test]
    fn rows_have_the_keys_that_others_read() {
        let pair = Measured::new(Row::new("a/b", "peer 1.0").goal(0.6), Samples::Pairs(vec![(1.0, 2.0)]));
        let alone = Measured::new(Row::alone("c"), Samples::Alone(vec![3.0]));
        let gap = Gap { name: "d".into(), reason: "no".into(), failed: true };
        let read = written(&outcome(vec![pair, alone], vec![gap]));
        let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let expected =
            ["goal", "met", "name", "ours", "peer", "peer_name", "ratio", "rounds", "spread", "unit"];
        assert_eq!(keys(&read["rows"][0]), expected);
        assert_eq!(keys(&read["rows"][1]), expected);

        let first = &read["rows"][0];
        assert_eq!((&first["ratio"], &first["met"]), (&json!(0.5), &json!(true)));
        assert_eq!((&first["peer_name"], &first["unit"]), (&json!("peer 1.0"), &json!("ns")));
        assert_eq!(first["rounds"], json!([[1.0, 2.0]]));
        let second = &read["rows"][1];
        for key in ["peer", "peer_name", "ratio", "goal", "met"] {
            assert!(second[key].is_null(), "{key}");
        }
        assert_eq!(second["rounds"], json!([3.0]));
        assert_eq!(read["missing"][0], json!({ "name": "d", "reason": "no", "failed": true }));
    }

    #[test]
    fn a_run_says_where_and_when_it_was() {
        let read = written(&outcome(Vec::new(), Vec::new()));
        let about = &read["about"];
        assert_eq!((&about["commit"], &about["date"]), (&json!("abc"), &json!("2026-11-21")));
        assert_eq!((&about["load"], &about["seconds"]), (&json!(["0.5", "1.5"]), &json!(61.0)));
        assert_eq!((&about["compiler"], &about["quick"]), (&json!(RUSTC), &json!(true)));
        assert_eq!(read["seconds"], json!({ "a/b": 1.3 }));
    }

    #[test]
    fn nothing_measured_is_still_json() {
        assert_eq!(written(&outcome(Vec::new(), Vec::new()))["rows"], json!([]));
    }

    #[test]
    fn many_rounds_are_not_kept_and_each_is_short() {
        assert!(kept(&Samples::Alone(vec![1.0; ROUNDS + 1])).is_null());
        assert_eq!(
            kept(&Samples::Alone(vec![123_456.789, 0.000_123_456_7, 0.0])),
            json!([123_460.0, 0.000_123_46, 0.0])
        );
    }
}
