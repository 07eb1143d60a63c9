//! How far rounds lie apart: a lane for ours and one for the peer's, with a dot for each round.

use super::axis::Axis;
use super::figures;
use super::results::Entry;
use super::svg::{Anchor, Drawing, Ink, name_width};
use crate::statistics::Spread;

const WIDTH: f64 = 1000.0;
const EDGE: f64 = 16.0;
const LANE: f64 = 20.0;
const BEHIND: f64 = 90.0;

/// The subjects whose rounds are worth looking at one by one: they wait for something.
pub(super) fn wanted(entry: &Entry) -> bool {
    let waits = ["timer/lateness", "echo/"].iter().any(|prefix| entry.name.starts_with(prefix));
    waits && entry.unit == crate::row::Unit::Nanoseconds && entry.peer.is_some()
}

/// A lane for each side of these rows.
pub(super) fn chart(title: &str, about: &str, rows: &[&Entry]) -> String {
    let mut drawing = Drawing::new(WIDTH, title);
    drawing.bold(EDGE, 28.0, 16.0, title);
    drawing.text(EDGE, 48.0, Ink::Quiet, Anchor::Start, about);
    drawing.dot(EDGE + 5.0, 64.0, 4.0, false, Ink::Line(0));
    drawing.text(EDGE + 18.0, 68.0, Ink::Text, Anchor::Start, "ours");
    drawing.dot(EDGE + 75.0, 64.0, 4.0, true, Ink::Line(1));
    drawing.text(EDGE + 88.0, 68.0, Ink::Text, Anchor::Start, "the peer");
    drawing.rect(EDGE + 172.0, 57.0, 2.5, 14.0, Ink::Text);
    drawing.text(EDGE + 184.0, 68.0, Ink::Text, Anchor::Start, "the median");

    let names = rows.iter().map(|row| name_width(&row.name)).fold(120.0, f64::max);
    let (left, right) = (EDGE + names + 12.0, WIDTH - EDGE - BEHIND);
    let values = rows.iter().flat_map(|row| {
        let rounds = row.rounds.iter().flat_map(|(ours, peer)| [Some(*ours), *peer]);
        let spreads = [Some(row.ours), row.peer].into_iter().flatten();
        rounds.flatten().chain(spreads.flat_map(|spread| [spread.low, spread.high])).collect::<Vec<_>>()
    });
    let axis = Axis::about(values, 10.0, (left, right));
    let (first, height) = (104.0, 2.0 * LANE + 10.0);
    let bottom = first + rows.len() as f64 * height;
    for tick in axis.ticks(9) {
        let x = axis.at(tick);
        drawing.line((x, first - 6.0), (x, bottom), 1.0, Ink::Grid);
        for y in [first - 12.0, bottom + 16.0] {
            drawing.text(x, y, Ink::Quiet, Anchor::Middle, &figures::mark(tick, rows[0].unit));
        }
    }
    for (at, row) in rows.iter().enumerate() {
        let y = first + at as f64 * height;
        drawing.name(left - 12.0, y + LANE + 4.0, Anchor::End, &row.name);
        let ours: Vec<f64> = row.rounds.iter().map(|round| round.0).collect();
        let peer: Vec<f64> = row.rounds.iter().filter_map(|round| round.1).collect();
        lane(&mut drawing, axis, y + LANE / 2.0, row.ours, &ours, 0, row);
        if let Some(spread) = row.peer {
            lane(&mut drawing, axis, y + LANE * 1.5, spread, &peer, 1, row);
        }
    }
    drawing.finish(bottom + 34.0)
}

fn lane(
    drawing: &mut Drawing,
    axis: Axis,
    y: f64,
    spread: Spread,
    rounds: &[f64],
    colour: usize,
    row: &Entry,
) {
    drawing.line((axis.at(spread.low), y), (axis.at(spread.high), y), 2.0, Ink::Line(colour));
    for round in rounds {
        drawing.dot(axis.at(*round), y, 4.0, colour == 1, Ink::Line(colour));
    }
    drawing.rect(axis.at(spread.median) - 1.25, y - 8.0, 2.5, 16.0, Ink::Text);
    let median = figures::cost(spread.median, row.unit);
    drawing.text(WIDTH - EDGE, y + 4.0, Ink::Line(colour), Anchor::End, &median);
}
