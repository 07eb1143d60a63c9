//! The batch exercise: one job as a pool, as a pipeline and as a fan-out, in one table.

use std::fmt::Write;

use super::figures;
use super::results::{Entry, Results};

/// What one record computes, in nanoseconds.
const WORK: f64 = 20_000.0;

const SHAPES: [&str; 3] = ["pool", "pipeline", "fan-out"];

/// The table; nothing where no such row was measured.
pub(super) fn table(results: &Results) -> Option<String> {
    let mut text = "| | a record, on tokio | times faster | ours / Go: smol, async-std, tokio | \
                    allocations a record | peak bytes |\n|---|---|---|---|---|---|\n"
        .to_owned();
    let before = text.len();
    for shape in SHAPES {
        let row = |rest: &str| {
            let name = format!("batch/{shape}/{rest}");
            results.rows.iter().find(|row| row.name == name)
        };
        let Some(ours) = row("tokio/go") else { continue };
        let go: Vec<String> =
            ["smol/go", "async-std/go", "tokio/go"].into_iter().filter_map(row).filter_map(ratio).collect();
        let _ = writeln!(
            text,
            "| {shape} | {} | {:.2} | {} | {} | {} |",
            figures::cost(ours.ours.median, ours.unit),
            WORK / ours.ours.median,
            go.join(", "),
            row("tokio/allocations").map(both).unwrap_or_default(),
            row("tokio/peak-bytes").map(both).unwrap_or_default(),
        );
    }
    (text.len() > before).then_some(text)
}

fn ratio(row: &Entry) -> Option<String> {
    let ratio = figures::short(row.ratio?.median);
    Some(if row.met() == Some(false) { format!("**{ratio}**") } else { ratio })
}

/// Ours and the peer's.
fn both(row: &Entry) -> String {
    let cost = |cost: f64| figures::cost(cost, row.unit);
    let peer = row.peer.map(|peer| format!(" / {}", cost(peer.median))).unwrap_or_default();
    format!("{}{peer}", cost(row.ours.median))
}
