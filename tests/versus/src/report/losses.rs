//! Where we lose: every row with a ratio above one or a goal that is missed.

use std::fmt::Write;

use super::figures;
use super::reasons::reason;
use super::results::{Entry, Results};
use super::shelves::{SHELVES, shelf_of};
use crate::row::Unit;

/// What is said of a row that has no reason.
pub(super) const UNKNOWN: &str = "not yet understood";

/// What is said of a row without a goal whose rounds do not tell who is cheaper.
const LEVEL: &str = "level: the middle half of the rounds lies on both sides of 1";

/// What is said of a row without a goal that is a little dearer, where nothing else is known.
const CLOSE: &str = "close: within five parts in a hundred";

/// Added where the rounds do not tell whether the goal is missed.
const NEAR: &str = "the middle half of the rounds reaches the goal";

/// Whether a row is in the section.
pub(super) fn lost(entry: &Entry) -> bool {
    // What is no number was not won. How flat a curve is is at least 1.
    let dearer = entry.ratio.is_some_and(|ratio| ratio.median.is_nan() || ratio.median > 1.0);
    let unjudged = entry.goal.is_some() && entry.ratio.is_none();
    dearer && entry.unit != Unit::Times || entry.met() == Some(false) || unjudged
}

/// The section.
pub(super) fn section(results: &Results) -> String {
    let mut text = String::new();
    for shelf in &SHELVES {
        let rows: Vec<&Entry> =
            results.rows.iter().filter(|row| shelf_of(&row.name) == shelf && lost(row)).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = write!(text, "### {}\n\n| | ratio | goal | why |\n|---|---|---|---|\n", shelf.title);
        // One line for a row and what stands beside it, if both are lost.
        for row in rows.iter().filter(|row| !is_beside(row, &rows)) {
            let beside: Vec<String> = rows
                .iter()
                .filter(|other| row_beside(other) == Some(&*row.name))
                .map(|other| told(other))
                .collect();
            let ratio = row.ratio.map(figures::ratio).unwrap_or_default();
            let goal = row.goal.map(figures::goal).unwrap_or_default();
            let goal = if row.met() == Some(false) { format!("**{goal}**") } else { goal };
            let ratio = [vec![ratio], beside].concat().join("; ");
            let _ = writeln!(text, "| {} | {ratio} | {goal} | {} |", row.name, why(row));
        }
        text.push('\n');
    }
    if text.is_empty() { "Nowhere in this run.\n".to_owned() } else { text }
}

fn why(row: &Entry) -> String {
    let known = reason(&row.name);
    let Some(ratio) = row.ratio else { return "it has a goal, and no ratio to hold against it".to_owned() };
    let missed = row.met() == Some(false);
    if !missed && ratio.low <= 1.0 && ratio.high >= 1.0 && ratio.low < ratio.high {
        return LEVEL.to_owned();
    }
    if known.is_none() && !missed && ratio.median <= 1.05 {
        return CLOSE.to_owned();
    }
    let reaches = row.goal.is_some_and(|goal| missed && ratio.low <= goal);
    let word = known.unwrap_or(UNKNOWN);
    if reaches { format!("{word}; {NEAR}") } else { word.to_owned() }
}

/// `processor 1.20`.
fn told(beside: &Entry) -> String {
    let what = if beside.name.ends_with("/cpu") { "processor" } else { "wall" };
    format!("{what} {}", beside.ratio.map(|ratio| figures::short(ratio.median)).unwrap_or_default())
}

/// The row beside which this one stands, as the processor time does beside the time on the wall.
pub(super) fn row_beside(row: &Entry) -> Option<&str> {
    row.name.strip_suffix("/cpu").or_else(|| row.name.strip_suffix("/wall"))
}

fn is_beside(row: &Entry, rows: &[&Entry]) -> bool {
    row_beside(row).is_some_and(|name| rows.iter().any(|other| other.name == name))
}
