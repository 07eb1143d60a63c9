//! A table for the terminal: columns as wide as their widest cell.

use crate::screen::{Screen, Tone};

/// Rows of cells under a head.
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// A text and its colour.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Table {
    pub(crate) fn new<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        Self { rows: vec![head.into_iter().map(|text| Cell::new(text, Tone::Strong)).collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines of the table, without white space at their ends.
    pub(crate) fn render(&self, screen: &Screen) -> String {
        let widths = self.widths();
        self.rows.iter().map(|row| line(row, &widths, screen) + "\n").collect()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }
}

fn line(row: &[Cell], widths: &[usize], screen: &Screen) -> String {
    let mut line = String::new();
    let mut gap = 0;
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(&" ".repeat(gap));
        line.push_str(&screen.paint(&cell.text, cell.tone));
        gap = width - cell.text.chars().count() + 2;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["crate", "sim"]);
        table.row([Cell::plain("a"), Cell::plain("12 ok 3.1s")]);
        table.row([Cell::plain("channels-utils"), Cell::plain("-")]);
        let expected = "crate           sim\na               12 ok 3.1s\nchannels-utils  -\n";
        assert_eq!(table.render(&Screen::log()), expected);
    }
}
