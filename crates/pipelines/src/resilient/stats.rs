//! [`ResilientStats`], [`ResilientCounts`], [`ResilientEvent`]: what is seen from outside.

use std::error::Error;
use std::time::Duration;

use weirs_resilience::Circuit;

use crate::Reason;

/// A look at a [`ResilientPipeline`](crate::ResilientPipeline).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResilientStats {
    /// How many jobs wait.
    pub queued: usize,
    /// How many are in the hands of workers.
    pub in_hand: usize,
    /// How many ends were not read.
    pub unread: usize,
    /// Whether no more jobs are taken.
    pub closed: bool,
    /// How many workers stand still because the circuit is open.
    pub paused: usize,
    /// How many workers wait for the limiter.
    pub limited: usize,
    /// What the breaker does with calls, if there is one.
    pub circuit: Option<Circuit>,
    /// How the others ended.
    pub counts: ResilientCounts,
}

/// How the jobs of a [`ResilientPipeline`](crate::ResilientPipeline) ended. When nothing runs, `taken` is
/// the sum of `done`, `fallback`, `dead_lettered`, `given_up` and `handed_back`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResilientCounts {
    /// How many jobs were taken.
    pub taken: u64,
    /// The work gave a result.
    pub done: u64,
    /// Something stands in for the result.
    pub fallback: u64,
    /// Given up; the letter is in its place.
    pub dead_lettered: u64,
    /// Given up; the letter is among the results.
    pub given_up: u64,
    /// Of those given up, how many were too late to begin.
    pub expired: u64,
    /// Handed back by [`drain`](crate::ResilientPipeline::drain), or dropped with the pipeline.
    pub handed_back: u64,
    /// How often the work was called.
    pub attempts: u64,
    /// How often the place for dead letters failed.
    pub place_failures: u64,
}

/// Something that a watcher wants to know; see [`on_event`](crate::ResilientBuilder::on_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum ResilientEvent<'a> {
    /// A worker stands still: the circuit is open.
    Paused,
    /// A worker waits for the limiter.
    Limited,
    /// A job is tried again.
    Retried {
        /// After so many attempts.
        attempts: u32,
        /// And this pause.
        after: Duration,
    },
    /// A letter is in its place.
    DeadLettered(Reason),
    /// The place for dead letters failed; it is asked again.
    PlaceFailed {
        /// How.
        error: &'a (dyn Error + Send + Sync + 'static),
        /// After this time.
        after: Duration,
    },
}
