//! The results for a program to read: `--json FILE`.
//!
//! ```json
//! {
//!   "format": 1,
//!   "machine": "on 2 cores of ...",
//!   "rows": [
//!     { "name": "spawn/smol", "ours": 410.2, "peer": 320.1, "peer_name": "smol 2.0.2",
//!       "unit": "ns", "ratio": 1.28, "goal": 1.7, "met": true,
//!       "spread": { "ours": [401.0, 420.8], "peer": [315.3, 331.9], "ratio": [1.24, 1.33] } }
//!   ],
//!   "missing": [ { "name": "task-bytes/smol-own", "reason": "no /proc here" } ]
//! }
//! ```
//!
//! - `ours` and `peer` are the median costs in `unit`; `ratio` is the median of the ratios of neighbouring
//!   rounds, and so not quite `ours` over `peer`. Lower is better, and `goal` is an upper bound of `ratio`.
//! - Without a peer, `peer`, `peer_name` and `ratio` are null; without a goal, `goal` and `met` are.
//! - `spread` is the middle half of the rounds, and null where the number is.
//! - `missing` names the rows that gave no numbers, because they cannot be measured here or failed.
//! - `format` changes when a reader of the old form would be misled; new fields do not change it.

use std::io::Write;

use serde_json::{Value, json};

use crate::row::Measured;
use crate::statistics::Spread;

/// Writes the results, each row on a line of its own so that two files compare well.
///
/// # Errors
/// When the file cannot be written.
pub fn write(
    mut file: impl Write,
    machine: &str,
    rows: &[Measured],
    missing: &[(String, String)],
) -> std::io::Result<()> {
    let lines = |values: Vec<Value>| {
        let lines: Vec<String> = values.iter().map(|value| format!("\n    {value}")).collect();
        lines.join(",")
    };
    let missing = missing.iter().map(|(name, reason)| json!({ "name": name, "reason": reason }));
    writeln!(file, "{{\n  \"format\": 1,\n  \"machine\": {},", Value::from(machine))?;
    writeln!(file, "  \"rows\": [{}\n  ],", lines(rows.iter().map(row).collect()))?;
    writeln!(file, "  \"missing\": [{}]\n}}", lines(missing.collect()))?;
    file.flush()
}

fn row(measured: &Measured) -> Value {
    let middle = |spread: Option<Spread>| spread.map(|spread| rounded(spread.median));
    let around = |spread: Option<Spread>| spread.map(|spread| [rounded(spread.low), rounded(spread.high)]);
    let Measured { row, ours, peer, ratio } = measured;
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
    })
}

/// To four digits behind the point: more would be noise.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Row, Samples};

    #[test]
    fn rows_have_the_keys_that_others_read() {
        let pair = Measured::new(Row::new("a/b", "peer 1.0").goal(0.6), Samples::Pairs(vec![(1.0, 2.0)]));
        let alone = Measured::new(Row::alone("c"), Samples::Alone(vec![3.0]));
        let mut file = Vec::new();
        write(&mut file, "a \"machine\"", &[pair, alone], &[("d".into(), "no".into())]).unwrap();

        let read: Value = serde_json::from_slice(&file).unwrap();
        let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let expected = ["goal", "met", "name", "ours", "peer", "peer_name", "ratio", "spread", "unit"];
        assert_eq!(keys(&read["rows"][0]), expected);
        assert_eq!(keys(&read["rows"][1]), expected);

        let first = &read["rows"][0];
        assert_eq!((&first["ratio"], &first["met"]), (&json!(0.5), &json!(true)));
        assert_eq!((&first["peer_name"], &first["unit"]), (&json!("peer 1.0"), &json!("ns")));
        let second = &read["rows"][1];
        for key in ["peer", "peer_name", "ratio", "goal", "met"] {
            assert!(second[key].is_null(), "{key}");
        }
        assert_eq!(read["missing"][0]["name"], "d");
    }

    #[test]
    fn nothing_measured_is_still_json() {
        let mut file = Vec::new();
        write(&mut file, "", &[], &[]).unwrap();
        let read: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(read["rows"], json!([]));
    }
}
