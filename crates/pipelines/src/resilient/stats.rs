//! [`ResilientStats`], [`ResilientCounts`], [`ResilientEvent`]: what is seen from outside.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use weirs_resilience::Circuit;

use crate::{Reason, Times};

/// A look at a [`ResilientPipeline`](crate::ResilientPipeline). Its `Display` is two lines, and two more if
/// it is [measured](crate::ResilientBuilder::measured).
///
/// # Examples
/// ```
/// use weirs_pipelines::ResilientPipeline;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let work = async |n: u64| if n > 0 { Ok(n) } else { Err("nothing") };
///     let pipeline = ResilientPipeline::builder(work).measured().build(&runtime).unwrap();
///     for n in 0..3 {
///         pipeline.submit(n).await.unwrap();
///     }
///     pipeline.close().await;
///     let text = pipeline.stats().to_string();
///     assert!(text.starts_with("0 wait, 0 in hand, 3 unread, closed\n3 taken, 2 done, 1 given up"));
/// }).unwrap();
/// ```
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
    /// How long jobs waited and took, if it is [measured](crate::ResilientBuilder::measured).
    pub times: Option<Times>,
    /// How the others ended.
    pub counts: ResilientCounts,
}

impl fmt::Display for ResilientStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queued, in_hand, unread, counts, .. } = self;
        write!(f, "{queued} wait, {in_hand} in hand")?;
        let parts = [(self.paused, "stand still"), (self.limited, "wait for the limiter")];
        for (number, what) in parts.iter().filter(|(number, _)| *number > 0) {
            write!(f, " ({number} {what})")?;
        }
        write!(f, ", {unread} unread{}", if self.closed { ", closed" } else { "" })?;
        if let Some(circuit) = self.circuit {
            write!(f, ", the circuit is {circuit}")?;
        }
        write!(f, "\n{counts}")?;
        if let Some(Times { wait, work }) = &self.times {
            write!(f, "\nwait  {wait}\nwork  {work}")?;
        }
        Ok(())
    }
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

impl fmt::Display for ResilientCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} taken, {} done", self.taken, self.done)?;
        let others = [
            (self.fallback, "by fallback"),
            (self.dead_lettered, "dead letters"),
            (self.given_up, "given up"),
            (self.handed_back, "handed back"),
            (self.attempts, "calls"),
        ];
        others
            .iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, how)| write!(f, ", {number} {how}"))
    }
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
