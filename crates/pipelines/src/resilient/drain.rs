//! [`ResilientDrained`]: what a pipeline that was drained leaves.

use std::fmt;

use super::answer::Answered;
use super::stats::ResilientCounts;

/// A job that was not finished when its pipeline was drained.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished<J> {
    /// The job.
    pub job: J,
    /// How often it was attempted. The last attempt may have been cancelled in the middle.
    pub attempts: u32,
}

impl<J> fmt::Debug for Unfinished<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unfinished").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

/// What a [drain](crate::ResilientPipeline::drain) came to.
#[non_exhaustive]
pub struct ResilientDrained<J, T, E> {
    /// How all jobs ended.
    pub counts: ResilientCounts,
    /// The jobs that have no end: first those that workers had in their hands, then those of the queue, in
    /// the order of submission.
    pub handed_back: Vec<Unfinished<J>>,
    /// The ends that nobody has read.
    pub unread: Vec<Answered<J, T, E>>,
}

impl<J, T, E> fmt::Debug for ResilientDrained<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientDrained")
            .field("counts", &self.counts)
            .field("handed_back", &self.handed_back.len())
            .field("unread", &self.unread.len())
            .finish()
    }
}
