//! [`Report`]: what became of all orders.

use std::fmt;

use weirs_pipelines::{PipelineStats, ResilientCounts, ResilientStats};

use crate::shop::Prepared;

/// What became of all orders.
pub(crate) struct Report {
    stages: PipelineStats,
    charge: ResilientStats,
    counts: ResilientCounts,
    turned_away: u64,
    handed_back: u64,
    /// Why the first part has stopped before its end.
    failed: Option<String>,
}

impl Report {
    pub(crate) fn new(
        prepared: Prepared,
        charge: ResilientStats,
        counts: ResilientCounts,
        left: u64,
    ) -> Self {
        let failed = prepared.as_ref().err().map(ToString::to_string);
        let (stages, unprocessed) = match prepared {
            Ok(summary) => (summary.stats, summary.unprocessed),
            Err(error) => (error.stats, error.unprocessed),
        };
        let turned_away = stages.stage("parse").map_or(0, |stage| stage.overflowed);
        let handed_back = unprocessed.len() as u64 + left;
        Self { stages, charge, counts, turned_away, handed_back, failed }
    }

    fn orders(&self) -> u64 {
        self.stages.stage("source").map_or(0, |source| source.given)
    }

    /// Orders of which nobody knows what became of them.
    fn lost(&self) -> i64 {
        let Self { counts, turned_away, handed_back, .. } = self;
        let known = counts.done + counts.dead_lettered + turned_away + handed_back;
        self.orders() as i64 - known as i64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stages, charge, counts, turned_away, handed_back, failed } = self;
        writeln!(f, "\n{stages}\n{charge}\n")?;
        if let Some(error) = failed {
            writeln!(f, "{error}")?;
        }
        writeln!(f, "{} orders:", self.orders())?;
        writeln!(
            f,
            "{} charged, {} dead letters, {turned_away} turned away,",
            counts.done, counts.dead_lettered
        )?;
        writeln!(f, "{handed_back} handed back, {} lost", self.lost())
    }
}
