//! The table: a line for each row as soon as it is measured.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use crate::row::{Measured, Row, Unit};
use crate::statistics::Spread;

/// Prints lines whose columns are as wide as the widest row will need.
#[derive(Debug)]
pub struct Table {
    name: usize,
    peer: usize,
    colours: bool,
    terminal: bool,
}

/// How a line is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Good,
    Bad,
    Strong,
}

const NUMBER: usize = 10;

impl Table {
    /// For these rows. Colours are for a terminal, and not where `NO_COLOR` is set (<https://no-color.org>).
    pub fn new<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Self {
        let (mut name, mut peer) = (4, 4);
        for row in rows {
            name = name.max(row.name.len());
            peer = peer.max(row.peer.as_ref().map_or(0, |peer| peer.len() + NUMBER + 2));
        }
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let terminal = std::io::stdout().is_terminal();
        Self { name, peer, colours: terminal && !no_colour, terminal }
    }

    /// The names of the columns.
    pub fn head(&self) {
        let Self { name, peer, .. } = self;
        let head = format!(
            "{:name$}  {:>NUMBER$}  {:peer$}  {:<18}  {:>5}  met",
            "what", "ours", "      peer", "ratio", "goal"
        );
        self.print(&self.paint(&head, Tone::Strong));
    }

    /// What is being measured, until the next line: on a terminal only.
    pub fn progress(&self, row: &Row) {
        if self.terminal {
            print!("\r\x1b[2K{} ...", row.name);
            flush();
        }
    }

    /// A row with its numbers.
    pub fn row(&self, measured: &Measured) {
        let line = self.line(measured);
        let line = match measured.met() {
            Some(true) => self.paint(&line, Tone::Good),
            Some(false) => self.paint(&line, Tone::Bad),
            None => line,
        };
        self.print(&line);
    }

    /// A row without numbers.
    pub fn missing(&self, row: &Row, verb: &str, reason: &str) {
        let name = self.name;
        self.print(&format!("{:name$}  {verb}: {reason}", row.name));
    }

    /// Any other line.
    pub fn print(&self, line: &str) {
        let wipe = if self.terminal { "\r\x1b[2K" } else { "" };
        // A closed pipe is no reason to stop: the exit status still tells the outcome.
        let _ = writeln!(std::io::stdout(), "{wipe}{line}");
        flush();
    }

    fn line(&self, measured: &Measured) -> String {
        let Measured { row, ours, peer, ratio, .. } = measured;
        let (name, peer_width) = (self.name, self.peer);
        let peer = match (peer, &row.peer) {
            (Some(peer), Some(name)) => format!("{:>NUMBER$}  {name}", written(peer.median, row.unit)),
            _ => String::new(),
        };
        let ratio = ratio.map_or_else(|| around(*ours, row.unit), written_ratio);
        let mut line = format!(
            "{:name$}  {:>NUMBER$}  {peer:peer_width$}  {ratio}",
            row.name,
            written(ours.median, row.unit)
        );
        if let (Some(goal), Some(met)) = (row.goal, measured.met()) {
            let gap = " ".repeat(18_usize.saturating_sub(ratio.chars().count()));
            let _ = write!(line, "{gap}  {goal:>5}  {}", if met { "yes" } else { "NO" });
        }
        line.trim_end().to_owned()
    }

    fn paint(&self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Strong => "1",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn flush() {
    let _ = std::io::stdout().flush();
}

/// A ratio and the middle half of its rounds.
pub(crate) fn written_ratio(ratio: Spread) -> String {
    if ratio.low == ratio.high {
        return format!("{:.2}", ratio.median);
    }
    format!("{:.2} ({:.2}..{:.2})", ratio.median, ratio.low, ratio.high)
}

/// The middle half of a row that has no ratio.
fn around(spread: Spread, unit: Unit) -> String {
    if spread.low == spread.high {
        return String::new();
    }
    format!("({} .. {})", written(spread.low, unit), written(spread.high, unit))
}

/// A cost for people: three digits and a unit.
pub(crate) fn written(cost: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds if cost.abs() < 1e3 => format!("{} ns", digits(cost)),
        Unit::Nanoseconds if cost.abs() < 1e6 => format!("{} us", digits(cost / 1e3)),
        Unit::Nanoseconds if cost.abs() < 1e9 => format!("{} ms", digits(cost / 1e6)),
        Unit::Nanoseconds => format!("{} s", digits(cost / 1e9)),
        Unit::Bytes => format!("{cost:.0} B"),
        Unit::Instructions => format!("{cost:.1}"),
        Unit::StepsPerSecond => format!("{} M/s", digits(cost / 1e6)),
        Unit::Times => format!("{cost:.2}"),
        Unit::Each => format!("{cost:.3}"),
        Unit::Percent => format!("{cost:.1} %"),
    }
}

fn digits(number: f64) -> String {
    let behind = match number.abs() {
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    format!("{number:.behind$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Samples;

    #[test]
    fn costs_are_written_for_people() {
        let written = [9.87, 98.76, 987.6, 9876.0, 98_765_432.0].map(|cost| written(cost, Unit::Nanoseconds));
        assert_eq!(written, ["9.87 ns", "98.8 ns", "988 ns", "9.88 us", "98.8 ms"]);
    }

    #[test]
    fn columns_stand_below_their_names() {
        let row = Row::new("spawn/smol", "smol 2.0.2").goal(1.7);
        let table =
            Table { colours: false, terminal: false, ..Table::new([&row, &Row::alone("simulator/steps")]) };
        let pairs = vec![(400.0, 200.0), (410.0, 200.0), (420.0, 200.0)];
        let line = table.line(&Measured::new(row, Samples::Pairs(pairs)));
        assert_eq!(
            line,
            "spawn/smol           410 ns      200 ns  smol 2.0.2  2.05 (2.02..2.08)     1.7  NO"
        );
        let alone = Row::alone("simulator/steps").unit(Unit::StepsPerSecond);
        let line = table.line(&Measured::new(alone, Samples::Alone(vec![2.5e6])));
        assert_eq!(line, "simulator/steps    2.50 M/s");
    }
}
