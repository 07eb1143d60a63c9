//! Panels of curves, two beside each other.

use super::axis::Axis;
use super::figures;
use super::svg::{Anchor, Drawing, Ink, text_width};
use crate::row::Unit;

const WIDTH: f64 = 1000.0;
const EDGE: f64 = 16.0;
/// A panel with its words; two stand in a row.
const PANEL: f64 = WIDTH / 2.0;
/// From the left edge of a panel to its vertical axis.
const LEFT: f64 = 84.0;
const HEIGHT: f64 = 200.0;
const LEGEND_LINE: f64 = 17.0;

/// One pair of axes.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    /// What is noted below the title.
    pub(super) note: String,
    /// What runs to the right, and how its numbers are written.
    pub(super) across: (&'static str, Unit),
    /// What runs upwards.
    pub(super) up: (&'static str, Unit),
    pub(super) lines: Vec<Line>,
    /// The vertical axis spans at least so many times: then what is flat looks flat.
    pub(super) times: f64,
    /// A number on the vertical axis of its own.
    pub(super) level: Option<f64>,
}

/// One curve.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) label: String,
    /// Which of the colours.
    pub(super) colour: usize,
    /// The peer's.
    pub(super) dashed: bool,
    pub(super) points: Vec<(f64, f64)>,
}

/// A drawing of these panels.
pub(super) fn chart(title: &str, about: &str, panels: &[Panel]) -> String {
    let mut drawing = Drawing::new(WIDTH, title);
    drawing.bold(EDGE, 28.0, 16.0, title);
    drawing.text(EDGE, 48.0, Ink::Quiet, Anchor::Start, about);
    let mut top = 64.0;
    for pair in panels.chunks(2) {
        let head = pair.iter().map(head).fold(0.0, f64::max);
        for (at, panel) in pair.iter().enumerate() {
            draw(&mut drawing, panel, (at as f64 * PANEL, top), head);
        }
        top += head + HEIGHT + 66.0;
    }
    drawing.finish(top + 4.0)
}

/// Room for the words above the axes.
fn head(panel: &Panel) -> f64 {
    52.0 + legend(panel).last().map_or(0.0, |(_, row, _)| *row as f64 + 1.0) * LEGEND_LINE
}

/// Where the words of the legend stand: from the left, and in which line.
fn legend(panel: &Panel) -> Vec<(f64, usize, &Line)> {
    let (mut x, mut row) = (0.0, 0);
    let mut places = Vec::new();
    for line in &panel.lines {
        let width = 34.0 + text_width(&line.label) + 14.0;
        if x > 0.0 && x + width > PANEL - 2.0 * EDGE {
            (x, row) = (0.0, row + 1);
        }
        places.push((x, row, line));
        x += width;
    }
    places
}

fn draw(drawing: &mut Drawing, panel: &Panel, (x, y): (f64, f64), head: f64) {
    drawing.bold(x + EDGE, y + 18.0, 13.0, &panel.title);
    drawing.text(x + EDGE, y + 35.0, Ink::Quiet, Anchor::Start, &panel.note);
    for (place, row, line) in legend(panel) {
        let (x, y) = (x + EDGE + place, y + 54.0 + row as f64 * LEGEND_LINE);
        drawing.curve(&[(x, y - 4.0), (x + 28.0, y - 4.0)], line.dashed, Ink::Line(line.colour));
        drawing.text(x + 34.0, y, Ink::Text, Anchor::Start, &line.label);
    }

    let (top, bottom) = (y + head, y + head + HEIGHT);
    let (left, right) = (x + LEFT, x + PANEL - EDGE - 8.0);
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let across = Axis::about(points().map(|point| point.0), 10.0, (left, right));
    let up = Axis::about(points().map(|point| point.1).chain(panel.level), panel.times, (bottom, top));
    for tick in up.ticks(7) {
        let y = up.at(tick);
        drawing.line((left, y), (right, y), 1.0, Ink::Grid);
        drawing.text(left - 6.0, y + 4.0, Ink::Quiet, Anchor::End, &figures::mark(tick, panel.up.1));
    }
    if let Some(level) = panel.level {
        drawing.line((left, up.at(level)), (right, up.at(level)), 1.5, Ink::Text);
    }
    for tick in across.ticks(6) {
        let x = across.at(tick);
        drawing.line((x, bottom), (x, bottom + 4.0), 1.0, Ink::Quiet);
        drawing.text(x, bottom + 18.0, Ink::Quiet, Anchor::Middle, &figures::mark(tick, panel.across.1));
    }
    drawing.line((left, top), (left, bottom), 1.0, Ink::Quiet);
    drawing.line((left, bottom), (right, bottom), 1.0, Ink::Quiet);
    drawing.text((left + right) / 2.0, bottom + 36.0, Ink::Quiet, Anchor::Middle, panel.across.0);
    drawing.upright(x + EDGE + 4.0, (top + bottom) / 2.0, panel.up.0);

    for line in &panel.lines {
        let points: Vec<(f64, f64)> = line.points.iter().map(|(x, y)| (across.at(*x), up.at(*y))).collect();
        drawing.curve(&points, line.dashed, Ink::Line(line.colour));
        for (x, y) in points {
            drawing.dot(x, y, 3.5, line.dashed, Ink::Line(line.colour));
        }
    }
}
