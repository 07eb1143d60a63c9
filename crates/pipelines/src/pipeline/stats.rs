//! [`PipelineStats`]: a look at a pipeline.

use std::fmt;

/// A look at a pipeline at one moment: a row for each stage, from the source to the sink. Its `Display` is a
/// small table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineStats {
    /// The stages, in the order in which items pass them.
    pub stages: Vec<StageStats>,
}

/// What a stage has seen.
///
/// When the pipeline is over, `taken` is the sum of `given`, `failed`, `interrupted` and `handed_back`: no
/// job is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageStats {
    /// Its name; `source` and `sink` are the two ends.
    pub name: &'static str,
    /// How many jobs it may do at once.
    pub workers: usize,
    /// How many items it has taken in.
    pub taken: u64,
    /// How many results it has handed on.
    pub given: u64,
    /// How many jobs failed or panicked, and were not retried any more.
    pub failed: u64,
    /// Of these, how many were left out.
    pub skipped: u64,
    /// Of these, how many became dead letters.
    pub dead_lettered: u64,
    /// How many attempts were made again.
    pub retried: u64,
    /// How many jobs were cancelled in the middle.
    pub interrupted: u64,
    /// How many were not begun, or done and not handed on, when the pipeline was aborted.
    pub handed_back: u64,
    /// How many it has taken in and not ended.
    pub in_flight: u64,
    /// How many wait in the buffer before it.
    pub queued: u64,
    /// How many items the policy of the buffer before it has dropped.
    pub overflowed: u64,
    /// How often the place for its dead letters has failed.
    pub place_failures: u64,
}

impl PipelineStats {
    /// The row of this stage.
    pub fn stage(&self, name: &str) -> Option<&StageStats> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

const TITLES: [&str; 10] =
    ["stage", "workers", "queued", "in flight", "in", "out", "failed", "skipped", "dead", "retried"];

impl StageStats {
    fn cells(&self) -> [String; 10] {
        let Self { workers, taken, given, failed, skipped, dead_lettered, retried, .. } = self;
        let numbers =
            [self.queued, self.in_flight, *taken, *given, *failed, *skipped, *dead_lettered, *retried];
        let mut cells: [String; 10] = Default::default();
        cells[0] = self.name.to_owned();
        cells[1] = workers.to_string();
        for (cell, number) in cells[2..].iter_mut().zip(numbers) {
            *cell = number.to_string();
        }
        cells
    }
}

impl fmt::Display for PipelineStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.stages.iter().map(StageStats::cells).collect();
        let mut widths = TITLES.map(str::len);
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut line = |cells: [&str; 10]| {
            write!(f, "{:<width$}", cells[0], width = widths[0])?;
            for (cell, width) in cells.iter().zip(widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)
        };
        line(TITLES)?;
        rows.iter().try_for_each(|row| line(row.each_ref().map(String::as_str)))
    }
}
