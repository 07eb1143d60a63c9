//! [`PipelineStats`]: a look at a pipeline.

use std::fmt;
use std::time::Duration;

use super::gauge::Throughput;
use crate::pool::{Quantiles, Times};

/// A look at a pipeline at one moment: a row for each stage, from the source to the sink. Its `Display` is a
/// small table, wider for a pipeline that is [measured](crate::Plan::measured).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineStats {
    /// The stages, in the order in which items pass them.
    pub stages: Vec<StageStats>,
}

/// What a stage has seen.
///
/// When the pipeline is over, `taken` is the sum of `given`, `failed`, `expired`, `interrupted` and
/// `handed_back`: no job is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageStats {
    /// Its name; `source` and `sink` are the two ends.
    pub name: &'static str,
    /// How many jobs it may do at once, now.
    pub workers: usize,
    /// How many items it has taken in.
    pub taken: u64,
    /// How many results it has handed on.
    pub given: u64,
    /// How many jobs failed or panicked, and were not retried any more.
    pub failed: u64,
    /// How many were not begun in time.
    pub expired: u64,
    /// Of those that failed, how many were left out.
    pub skipped: u64,
    /// Of those that failed or expired, how many became dead letters.
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
    /// How long jobs waited in the stage for their turn, and how long they took with all their attempts, if
    /// the pipeline is [measured](crate::Plan::measured). The two ends have no jobs.
    pub times: Option<Times>,
    /// How long items waited in the buffer before it, if there is one and it is measured.
    pub buffered: Option<Quantiles>,
    /// How many jobs have ended of late, if it is measured: of the ends, how many items have passed.
    pub recent: Option<Throughput>,
}

impl PipelineStats {
    /// The row of this stage.
    pub fn stage(&self, name: &str) -> Option<&StageStats> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

const TITLES: [&str; 10] =
    ["stage", "workers", "queued", "in flight", "in", "out", "failed", "skipped", "dead", "retried"];

/// Of those there are some only in some pipelines.
const EXPIRED: &str = "expired";
const MEASURED: [&str; 6] = ["per second", "buffered p95", "wait p95", "p50", "p95", "p99"];

impl StageStats {
    fn cells(&self, expired: bool, measured: bool) -> Vec<String> {
        let Self { workers, taken, given, failed, skipped, dead_lettered, retried, .. } = self;
        let numbers =
            [self.queued, self.in_flight, *taken, *given, *failed, *skipped, *dead_lettered, *retried];
        let mut cells = vec![self.name.to_owned(), workers.to_string()];
        cells.extend(numbers.map(|number| number.to_string()));
        cells.extend(expired.then(|| self.expired.to_string()));
        if measured {
            let none = || "-".to_owned();
            let time = |time: Option<Duration>| time.map_or_else(none, |time| format!("{time:.1?}"));
            let seen = |times: Option<Quantiles>| times.filter(|times| times.count > 0);
            let (wait, work) =
                (seen(self.times.map(|times| times.wait)), seen(self.times.map(|times| times.work)));
            cells.push(self.recent.map_or_else(none, |recent| format!("{:.1}", recent.per_second())));
            cells.push(time(seen(self.buffered).map(|times| times.p95)));
            cells.push(time(wait.map(|times| times.p95)));
            cells.extend([
                time(work.map(|times| times.p50)),
                time(work.map(|times| times.p95)),
                time(work.map(|times| times.p99)),
            ]);
        }
        cells
    }
}

impl fmt::Display for PipelineStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expired = self.stages.iter().any(|stage| stage.expired > 0);
        let measured = self.stages.iter().any(|stage| stage.recent.is_some());
        let mut titles = TITLES.to_vec();
        titles.extend(expired.then_some(EXPIRED));
        titles.extend(measured.then_some(MEASURED).into_iter().flatten());
        let rows: Vec<_> = self.stages.iter().map(|stage| stage.cells(expired, measured)).collect();
        let mut widths: Vec<_> = titles.iter().map(|title| title.len()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut line = |cells: &[&str]| {
            let (name, numbers) = (cells[0], &cells[1..]);
            write!(f, "{name:<width$}", width = widths[0])?;
            for (cell, width) in numbers.iter().zip(&widths[1..]) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)
        };
        line(&titles)?;
        rows.iter().try_for_each(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}
