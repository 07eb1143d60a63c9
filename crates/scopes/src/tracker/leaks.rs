//! [`Leaks`]: what still lived when nothing should have.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::LiveTask;
use super::live::Lines;

/// What still lived when nothing should have; from [`Tracker::no_leaks`](super::Tracker::no_leaks).
///
/// Its `Display` is a table of name, kind, state, age, polls and place.
#[derive(Clone, Debug)]
pub struct Leaks {
    tasks: Vec<LiveTask>,
    within: Duration,
}

impl Leaks {
    pub(super) fn new(tasks: Vec<LiveTask>, within: Duration) -> Self {
        Self { tasks, within }
    }

    /// Who they are; there is at least one.
    pub fn tasks(&self) -> &[LiveTask] {
        &self.tasks
    }

    /// How long they were waited for.
    pub fn within(&self) -> Duration {
        self.within
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} still alive after {:?}:", self.tasks.len(), self.within)?;
        Lines(&self.tasks).fmt(f)
    }
}

impl Error for Leaks {}
