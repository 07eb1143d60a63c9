//! [`Stats`]: how often what happened.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Counters, GiveUp};
use crate::Reason;

/// How often a stack did what, since it was made; a snapshot, from [`Stack::stats`](crate::Stack::stats).
///
/// All that is not the happy path is always counted. Calls, successes and attempts are counted only if the
/// stack was told to by [`counted`](crate::StackBuilder::counted).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Reason, Stack};
/// use weirs_runtime::block_on;
///
/// let stack = Stack::builder().counted().timeout(Duration::from_secs(1)).build().unwrap();
/// block_on(stack.call(async |_| Ok::<_, ()>(1))).unwrap();
/// let stats = stack.stats();
/// assert_eq!((stats.timeouts, stats.rejected(Reason::Shed)), (0, 0));
/// assert_eq!(stats.calls.unwrap().succeeded, 1);
/// println!("{stats}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The stack's name.
    pub name: String,
    /// How long ago the stack was made.
    pub age: Duration,
    /// Calls and their ends, if they are counted.
    pub calls: Option<CallStats>,
    /// Attempts that failed and were followed by another.
    pub retries: u64,
    /// Attempts that began beside others.
    pub hedges: u64,
    /// Those of them that were the first to succeed.
    pub hedges_won: u64,
    /// How often there was no budget for another attempt.
    pub budget_spent: u64,
    /// Limits of time that struck.
    pub timeouts: u64,
    /// Other answers in place of errors.
    pub fallbacks: u64,
    /// Old answers in place of errors.
    pub stale_answers: u64,
    /// Faults that were made on purpose.
    pub faults: u64,
    /// Calls that were dropped in the middle, as policies told.
    pub abandoned: u64,
    rejections: [u64; Reason::ALL.len()],
    gave_up: [u64; GiveUp::ALL.len()],
}

impl Stats {
    pub(crate) fn new(name: &str, age: Duration, counters: &Counters, calls: Option<CallStats>) -> Self {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            name: name.to_owned(),
            age,
            calls,
            retries: load(&counters.retries),
            hedges: load(&counters.hedges_started),
            hedges_won: load(&counters.hedges_won),
            budget_spent: load(&counters.budget_spent),
            timeouts: load(&counters.timeouts),
            fallbacks: load(&counters.fell_back),
            stale_answers: load(&counters.served_stale),
            faults: load(&counters.faults),
            abandoned: load(&counters.abandoned),
            rejections: std::array::from_fn(|index| load(&counters.rejected[index])),
            gave_up: std::array::from_fn(|index| load(&counters.gave_up[index])),
        }
    }

    /// How often a policy refused for that reason.
    pub fn rejected(&self, reason: Reason) -> u64 {
        self.rejections[reason as usize]
    }

    /// How often a policy refused.
    pub fn rejections(&self) -> u64 {
        self.rejections.iter().sum()
    }

    /// How often a retry went no further for that reason.
    pub fn gave_up(&self, reason: GiveUp) -> u64 {
        self.gave_up[reason as usize]
    }
}

/// A small table; what never happened is left out.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "stack" } else { &self.name };
        writeln!(f, "{name}, {:?} old", self.age)?;
        let mut row = |what: &dyn fmt::Display, count: u64| match count {
            0 => Ok(()),
            count => writeln!(f, "{count:>10}  {what}"),
        };
        if let Some(calls) = &self.calls {
            row(&"calls", calls.begun)?;
            row(&"calls in flight", calls.in_flight())?;
            row(&"successes", calls.succeeded)?;
            row(&"failures", calls.failed)?;
            row(&"dropped", calls.dropped)?;
            row(&"attempts", calls.attempts)?;
        }
        row(&"retries", self.retries)?;
        for reason in GiveUp::ALL {
            row(&format_args!("gave up: {reason}"), self.gave_up(reason))?;
        }
        row(&"budget spent", self.budget_spent)?;
        row(&"hedges", self.hedges)?;
        row(&"hedges won", self.hedges_won)?;
        row(&"timeouts", self.timeouts)?;
        for reason in Reason::ALL {
            row(&format_args!("refused: {reason}"), self.rejected(reason))?;
        }
        row(&"fallbacks", self.fallbacks)?;
        row(&"stale answers", self.stale_answers)?;
        row(&"faults on purpose", self.faults)?;
        row(&"abandoned", self.abandoned)
    }
}

/// Calls and their ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallStats {
    /// Calls that were polled.
    pub begun: u64,
    /// Calls that gave a value.
    pub succeeded: u64,
    /// Calls that gave an error, a refusal too.
    pub failed: u64,
    /// Calls that were dropped in the middle, or panicked.
    pub dropped: u64,
    /// How often the work was begun by the calls that have ended.
    pub attempts: u64,
}

impl CallStats {
    /// Calls that have begun and not ended.
    pub fn in_flight(&self) -> u64 {
        self.begun - self.succeeded - self.failed - self.dropped
    }
}
