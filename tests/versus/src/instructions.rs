//! Instruction counts: the guard against regressions that noise cannot touch.
//!
//! Callgrind counts the instructions of an operation done a few times and of the same done more often; the
//! difference, divided, is what one costs. The counts are kept in `tests/versus/instructions.json`, with the
//! compiler that they hold for:
//!
//! ```json
//! { "rustc": "rustc 1.95.0 (...)", "valgrind": "valgrind-3.24.0", "operations": { "clock-now": 88 } }
//! ```
//!
//! Another compiler makes other code, and then the counts are only reported. So is an operation that the file
//! does not know. The system's libraries (the allocator, reading the clock) are counted as well, so another
//! machine may differ a little; three parts in a hundred are allowed. Other code of this program may move a
//! count as well, since the compiler inlines by what else there is: so bless what it makes of new rows.
//!
//! It is no gate of `cargo xtask ci`: that would build all peers in release for it, which takes longer than
//! the counting and most other gates, and would say nothing wherever there is another compiler or no
//! valgrind. Whoever works on a hot path runs it, and blesses what a change is worth.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::child;
use crate::machine::RUSTC;
use crate::measure::{Experiment, Missing};
use crate::operations::OPERATIONS;
use crate::row::{Row, Samples, Unit};

/// A count may be this many times the one in the file.
pub const ALLOWED: f64 = 1.03;

/// Operations in the short and the long run.
const TIMES: [u64; 2] = [1_000, 3_000];

/// The counts that were kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// The compiler that they hold for.
    pub rustc: String,
    /// What each operation took.
    pub operations: BTreeMap<String, f64>,
}

impl Kept {
    /// Reads the file; empty where there is none.
    ///
    /// # Errors
    /// When it is not what [`write`](Self::write) wrote.
    pub fn read() -> Result<Self, String> {
        match fs::read_to_string(path()) {
            Ok(text) => Self::parse(&text)
                .ok_or_else(|| format!("{} is not understood; --bless mends it", path().display())),
            Err(_) => Ok(Self::default()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let operations = value["operations"].as_object()?.iter();
        Some(Self {
            rustc: value["rustc"].as_str()?.to_owned(),
            operations: operations
                .map(|(name, count)| Some((name.clone(), count.as_f64()?)))
                .collect::<Option<_>>()?,
        })
    }

    /// Whether they hold for the compiler that built this program.
    pub fn holds(&self) -> bool {
        self.rustc == RUSTC
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<PathBuf, String> {
        let path = path();
        fs::write(&path, self.text()).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }

    fn text(&self) -> String {
        let value = json!({
            "rustc": self.rustc,
            "valgrind": child::valgrind(),
            "operations": self.operations,
        });
        format!("{value:#}\n")
    }
}

/// A row for each operation: its count now over the one that was kept.
pub fn experiments(kept: &Kept) -> Vec<Experiment> {
    OPERATIONS
        .iter()
        .map(|operation| {
            let name = operation.name;
            let before = kept.operations.get(name).copied();
            let row = Row {
                peer: before.map(|_| "instructions.json".to_owned()),
                goal: before.filter(|_| kept.holds()).map(|_| ALLOWED),
                ..Row::alone(format!("instructions/{name}")).unit(Unit::Instructions)
            };
            Experiment::new([row], move |_| {
                let now = count(name).map_err(Missing::Failed)?;
                Ok(vec![match before {
                    Some(before) => Samples::Pairs(vec![(now, before)]),
                    None => Samples::Alone(vec![now]),
                }])
            })
        })
        .collect()
}

/// Whether instructions can be counted here.
pub fn available() -> bool {
    child::valgrind().is_some()
}

/// The instructions of one operation, to a tenth.
fn count(operation: &str) -> Result<f64, String> {
    let [short, long] = TIMES.map(|times| child::instructions(operation, times));
    Ok(per_operation(short?, long?))
}

fn per_operation(short: u64, long: u64) -> f64 {
    let each = long.saturating_sub(short) as f64 / (TIMES[1] - TIMES[0]) as f64;
    (each * 10.0).round() / 10.0
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let kept = Kept { rustc: "rustc 1.0".into(), operations: [("clock-now".to_owned(), 88.5)].into() };
        assert_eq!(Kept::parse(&kept.text()), Some(kept.clone()));
        assert!(!kept.holds());
        assert_eq!(Kept::parse("{}"), None);
    }

    #[test]
    fn the_start_of_the_process_cancels_out() {
        assert_eq!(per_operation(1_000_000 + 1_000 * 88, 1_000_000 + 3_000 * 88), 88.0);
        assert_eq!(per_operation(9, 3), 0.0);
    }

    #[test]
    fn counts_of_another_compiler_are_only_reported() {
        let mut kept =
            Kept { rustc: "rustc 1.0".into(), operations: [("clock-now".to_owned(), 88.0)].into() };
        let goals = |kept: &Kept| -> usize {
            experiments(kept)
                .iter()
                .flat_map(|experiment| &experiment.rows)
                .filter(|row| row.goal.is_some())
                .count()
        };
        assert_eq!(goals(&kept), 0);
        kept.rustc = RUSTC.to_owned();
        assert_eq!(goals(&kept), 1);
    }
}
