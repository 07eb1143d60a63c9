//! A bar for each row: how many times our cost is the peer's.

use super::axis::Axis;
use super::figures;
use super::results::Entry;
use super::svg::{Anchor, Drawing, Ink, name_width};

const WIDTH: f64 = 1000.0;
const LINE: f64 = 17.0;
/// For the numbers behind the bars.
const BEHIND: f64 = 130.0;
const EDGE: f64 = 16.0;
/// Beyond these a bar is cut, for one of them would make all others small. The number beside it is true.
const ENDS: (f64, f64) = (1e-3, 100.0);

/// The chart of these rows, which all have a ratio. Rows with the same first part stand together.
pub(super) fn chart(title: &str, rows: &[&Entry]) -> String {
    let left = EDGE + rows.iter().map(|row| name_width(&row.name)).fold(120.0, f64::max) + 10.0;
    let right = WIDTH - BEHIND - EDGE;
    let axis = axis(rows, (left, right));
    let mut drawing = Drawing::new(WIDTH, title);
    drawing.bold(EDGE, 28.0, 16.0, title);
    let about = "our cost / the peer's cost, on a scale of logarithms: left of 1 we are cheaper; the thin \
                 line is the middle half of the rounds";
    drawing.text(EDGE, 48.0, Ink::Quiet, Anchor::Start, about);
    legend(&mut drawing, 68.0);

    let first = 108.0;
    let groups = rows.chunk_by(|one, other| one.parts()[0] == other.parts()[0]);
    let gaps = groups.clone().count().saturating_sub(1) as f64 * LINE / 2.0;
    let bottom = first + rows.len() as f64 * LINE + gaps;
    scale(&mut drawing, axis, (first - 6.0, bottom + 2.0));
    drawing.text(WIDTH - EDGE - 62.0, first - 12.0, Ink::Quiet, Anchor::End, "ratio");
    drawing.text(WIDTH - EDGE, first - 12.0, Ink::Quiet, Anchor::End, "goal");

    let mut y = first;
    for group in groups {
        for row in group {
            bar(&mut drawing, row, axis, (left, y));
            y += LINE;
        }
        y += LINE / 2.0;
    }
    drawing.finish(bottom + 34.0)
}

fn axis(rows: &[&Entry], ends: (f64, f64)) -> Axis {
    let ratios = rows.iter().filter_map(|row| row.ratio).map(|ratio| ratio.median);
    let goals = rows.iter().filter_map(|row| row.goal);
    let all = ratios.chain(goals).chain([0.5, 2.0]).map(|number| number.clamp(ENDS.0, ENDS.1));
    Axis::about(all, 4.0, ends)
}

fn legend(drawing: &mut Drawing, y: f64) {
    let mut x = EDGE;
    for (ink, text) in [(Ink::Good, "goal met"), (Ink::Bad, "goal missed"), (Ink::Plain, "no goal")] {
        drawing.rect(x, y - 10.0, 12.0, 12.0, ink);
        drawing.text(x + 18.0, y, Ink::Text, Anchor::Start, text);
        x += 110.0;
    }
    drawing.rect(x + 4.0, y - 11.0, 3.0, 14.0, Ink::Text);
    drawing.text(x + 18.0, y, Ink::Text, Anchor::Start, "the goal: the bar shall end left of it");
}

/// The lines of round ratios, above and below the bars.
fn scale(drawing: &mut Drawing, axis: Axis, (top, bottom): (f64, f64)) {
    for tick in axis.ticks(8) {
        let (x, one) = (axis.at(tick), (tick - 1.0).abs() < 1e-6);
        let ink = if one { Ink::Text } else { Ink::Grid };
        drawing.line((x, top), (x, bottom), if one { 1.5 } else { 1.0 }, ink);
        for y in [top - 6.0, bottom + 16.0] {
            drawing.text(x, y, Ink::Quiet, Anchor::Middle, &figures::plain(tick));
        }
    }
}

fn bar(drawing: &mut Drawing, row: &Entry, axis: Axis, (left, y): (f64, f64)) {
    let Some(ratio) = row.ratio else { return };
    let ink = match row.met() {
        Some(true) => Ink::Good,
        Some(false) => Ink::Bad,
        None => Ink::Plain,
    };
    let (one, end, middle) = (axis.at(1.0), axis.at(ratio.median), y + LINE / 2.0);
    drawing.name(left - 10.0, y + 12.5, Anchor::End, &row.name);
    drawing.rect(one.min(end), y + 3.0, (one - end).abs(), LINE - 6.0, ink);
    if ratio.low < ratio.high {
        drawing.line((axis.at(ratio.low), middle), (axis.at(ratio.high), middle), 1.5, Ink::Text);
    }
    if let Some(goal) = row.goal {
        drawing.rect(axis.at(goal) - 1.5, y + 1.0, 3.0, LINE - 2.0, Ink::Text);
        drawing.text(WIDTH - EDGE, y + 12.5, Ink::Quiet, Anchor::End, &figures::goal(goal));
    }
    let ink = if row.met() == Some(false) { Ink::Bad } else { Ink::Text };
    drawing.text(WIDTH - EDGE - 62.0, y + 12.5, ink, Anchor::End, &figures::short(ratio.median));
}
