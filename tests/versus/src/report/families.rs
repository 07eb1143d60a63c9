//! Rows that are points of one curve, and the panels that they make.

use super::curves::{Line, Panel};
use super::figures;
use super::results::{Entry, Results};
use super::shelves::shelf_of;
use crate::row::Unit;

/// Fewer points make no curve.
const POINTS: usize = 3;

/// Rows whose names differ in one number.
#[derive(Clone, Debug)]
pub(super) struct Family<'r> {
    /// The name with a star for the number.
    pub(super) name: String,
    /// The number, and the row.
    pub(super) points: Vec<(f64, &'r Entry)>,
}

/// All of them, in the order of their first rows.
pub(super) fn families(results: &Results) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for entry in &results.rows {
        if entry.name.starts_with("seeds/") {
            continue;
        }
        let Some((name, number)) = starred(entry) else { continue };
        match families.iter_mut().find(|family| family.name == name) {
            Some(family) => family.points.push((number, entry)),
            None => families.push(Family { name, points: vec![(number, entry)] }),
        }
    }
    families.retain(|family| family.points.len() >= POINTS);
    for family in &mut families {
        family.points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    families
}

/// Whether a row is a point of a curve, or says how flat one is: the charts of bars leave it out.
pub(super) fn in_a_family(entry: &Entry, families: &[Family<'_>]) -> bool {
    entry.unit == Unit::Times
        || families.iter().any(|family| family.points.iter().any(|(_, point)| point.name == entry.name))
}

/// `workers/spin-20us/*/tokio-mt` and 100; or `crossover/*/tokio-mt/semaphore` and a time in nanoseconds.
fn starred(entry: &Entry) -> Option<(String, f64)> {
    let mut parts = entry.parts();
    let at = (1..parts.len()).find(|at| number(parts[*at]).is_some() || is_length(&parts, *at))?;
    let value = number(parts[at]).or_else(|| length(parts[at]))?;
    parts[at] = "*";
    Some((parts.join("/"), value))
}

fn number(part: &str) -> Option<f64> {
    part.chars().all(|letter| letter.is_ascii_digit()).then(|| part.parse().ok())?
}

/// Lengths are steps of a curve where they stand right behind the subject.
fn is_length(parts: &[&str], at: usize) -> bool {
    at == 1 && length(parts[at]).is_some()
}

/// `100us` in nanoseconds.
fn length(part: &str) -> Option<f64> {
    let unit = part.find(|letter: char| !letter.is_ascii_digit())?;
    let times = match &part[unit..] {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        _ => return None,
    };
    Some(number(&part[..unit]).filter(|_| unit > 0)? * times)
}

/// What sort of curve it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// The cost of one item as there are more of them.
    Scale,
    /// How many workers are best.
    Workers,
    /// From which length on something pays.
    Length,
    /// The processor time beside a curve that is drawn already.
    Beside,
}

impl Family<'_> {
    pub(super) fn sort(&self) -> Sort {
        let parts: Vec<&str> = self.name.split('/').collect();
        if parts.last().is_some_and(|last| ["cpu", "wall"].contains(last)) {
            Sort::Beside
        } else if parts[0] == "workers" {
            Sort::Workers
        } else if self.points.iter().all(|(_, entry)| length(entry.parts()[1]).is_some()) {
            Sort::Length
        } else {
            Sort::Scale
        }
    }

    /// The section to which it belongs.
    pub(super) fn file(&self) -> &'static str {
        shelf_of(&self.name).file
    }

    fn ours(&self) -> Vec<(f64, f64)> {
        self.points.iter().map(|(number, entry)| (*number, entry.ours.median)).collect()
    }

    fn peer(&self) -> Vec<(f64, f64)> {
        self.points.iter().filter_map(|(number, entry)| Some((*number, entry.peer?.median))).collect()
    }

    fn peer_name(&self) -> &str {
        self.points.iter().find_map(|(_, entry)| entry.peer_name.as_deref()).unwrap_or("the peer")
    }

    /// The last part of the name, or the one before a star there.
    fn host(&self) -> &str {
        let mut parts = self.name.split('/').skip(2).filter(|part| *part != "*");
        parts.next().unwrap_or_default()
    }
}

/// How many times more a point costs than one before it, at the worst. That an item costs less among many is
/// no fault.
pub(super) fn rise(points: &[(f64, f64)]) -> f64 {
    let (mut lowest, mut rise) = (f64::INFINITY, 1.0_f64);
    for (_, cost) in points {
        lowest = lowest.min(*cost);
        rise = rise.max(cost / lowest);
    }
    rise
}

/// The cost of one item beside the peer's.
pub(super) fn scale(family: &Family<'_>, rows: &[Entry]) -> Panel {
    let (ours, peer) = (family.ours(), family.peer());
    let title = family.name.trim_end_matches("/*").to_owned();
    let mut note = format!("rises {} times at the most", figures::short(rise(&ours)));
    let flatness = rows.iter().find(|row| row.name == format!("{title}/flatness"));
    if let Some((goal, met)) = flatness.and_then(|row| Some((row.goal?, row.met()?))) {
        note += &format!(" (goal {}, {})", figures::goal(goal), if met { "met" } else { "MISSED" });
    }
    if !peer.is_empty() {
        note += &format!(", the peer's {}", figures::short(rise(&peer)));
    }
    let mut lines = vec![Line { label: "ours".to_owned(), colour: 0, dashed: false, points: ours }];
    if !peer.is_empty() {
        lines.push(Line { label: family.peer_name().to_owned(), colour: 1, dashed: true, points: peer });
    }
    let unit = family.points[0].1.unit;
    let up = if unit == Unit::Bytes { "bytes for one item" } else { "cost of one item" };
    Panel { title, note, across: ("items", Unit::Each), up: (up, unit), lines, times: 10.0, level: None }
}

/// Jobs in a second by the number of workers: a panel for each job, with all runtimes.
pub(super) fn workers(families: &[Family<'_>]) -> Vec<Panel> {
    let of = |family: &Family<'_>| family.name.split('/').nth(1).unwrap_or_default().to_owned();
    let wanted: Vec<&Family<'_>> = families.iter().filter(|family| family.sort() == Sort::Workers).collect();
    let panels = wanted.chunk_by(|one, other| of(one) == of(other)).map(|group| {
        let rate = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
            points.into_iter().map(|(workers, cost)| (workers, 1e9 / cost)).collect()
        };
        let mut lines = Vec::new();
        let mut best = Vec::new();
        for (colour, family) in group.iter().enumerate() {
            let (ours, peer) = (rate(family.ours()), rate(family.peer()));
            let peak = ours.iter().max_by(|one, other| one.1.total_cmp(&other.1));
            best.extend(peak.map(|peak| format!("{} ({})", figures::plain(peak.0), family.host())));
            lines.push(Line { label: family.host().to_owned(), colour, dashed: false, points: ours });
            let label = format!("{} beside {}", family.peer_name(), family.host());
            lines.push(Line { label, colour, dashed: true, points: peer });
        }
        Panel {
            title: format!("jobs of {}", of(group[0])),
            note: format!("best number of workers: {}", best.join(", ")),
            across: ("workers", Unit::Each),
            up: ("jobs a second", Unit::StepsPerSecond),
            lines,
            times: 10.0,
            level: None,
        }
    });
    panels.collect()
}

/// Our cost over the peer's by the length of a job: a panel for each subject.
pub(super) fn lengths(families: &[Family<'_>]) -> Vec<Panel> {
    let of = |family: &Family<'_>| family.name.split('/').next().unwrap_or_default().to_owned();
    let wanted: Vec<&Family<'_>> = families.iter().filter(|family| family.sort() == Sort::Length).collect();
    let panels = wanted.chunk_by(|one, other| of(one) == of(other)).map(|group| {
        let lines = group.iter().enumerate().map(|(colour, family)| {
            let ratios =
                family.points.iter().filter_map(|(length, entry)| Some((*length, entry.ratio?.median)));
            let label = format!("{} / {}", family.host(), family.peer_name());
            Line { label, colour, dashed: false, points: ratios.collect() }
        });
        Panel {
            title: of(group[0]),
            note: "below the line at 1 ours is cheaper".to_owned(),
            across: ("how long a job computes", Unit::Nanoseconds),
            up: ("our cost / the peer's", Unit::Times),
            lines: lines.collect(),
            times: 4.0,
            level: Some(1.0),
        }
    });
    panels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_times() {
        assert_eq!(
            ["100ns", "10us", "1ms", "us", "10", "1000-sparse"].map(length),
            [Some(100.0), Some(1e4), Some(1e6), None, None, None]
        );
    }

    #[test]
    fn a_curve_rises_from_its_lowest_point_so_far() {
        assert_eq!(rise(&[(1.0, 4.0), (2.0, 2.0), (3.0, 5.0)]), 2.5);
        assert_eq!(rise(&[(1.0, 4.0), (2.0, 2.0), (3.0, 1.0)]), 1.0);
    }
}
