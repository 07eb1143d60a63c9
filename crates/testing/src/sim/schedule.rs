//! [`Schedule`]: which of the runnable tasks comes next.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// Which of the runnable tasks comes next.
///
/// Its text form is what `WEIRS_SCHEDULE` takes: `fifo`, `random`, `pct3`.
///
/// # Examples
/// ```
/// use weirs_testing::sim::Schedule;
///
/// assert_eq!("pct3".parse(), Ok(Schedule::Pct { depth: 3 }));
/// assert_eq!(Schedule::Random.to_string(), "random");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Schedule {
    /// The one that was woken first. Most executors do about this, so it finds least.
    Fifo,
    /// Any, each equally likely. Finds what goes wrong in many ways.
    #[default]
    Random,
    /// Probabilistic concurrency testing: each task has a random priority, the highest runs, and at `depth -
    /// 1` random steps the running task falls below all others.
    ///
    /// It starves tasks for long, as a loaded machine does, and so finds what needs a few particular steps
    /// in a row: a bug that takes `depth` of them in a run of n tasks and k steps shows with a probability
    /// of at least 1 / (n * k^(depth-1)). A task that wakes itself while it is polled (it yields) falls
    /// below all others too, so that tasks that spin do not hold up what they wait for.
    Pct {
        /// How many ordering constraints the bug to look for has; 3 finds most.
        depth: u32,
    },
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fifo => f.write_str("fifo"),
            Self::Random => f.write_str("random"),
            Self::Pct { depth } => write!(f, "pct{depth}"),
        }
    }
}

impl FromStr for Schedule {
    type Err = UnknownSchedule;

    fn from_str(text: &str) -> Result<Self, UnknownSchedule> {
        let unknown = || UnknownSchedule(text.to_owned());
        match text {
            "fifo" => Ok(Self::Fifo),
            "random" => Ok(Self::Random),
            _ => {
                let depth = text.strip_prefix("pct").ok_or_else(unknown)?;
                Ok(Self::Pct { depth: depth.parse().map_err(|_| unknown())? })
            }
        }
    }
}

/// A text that names no [`Schedule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSchedule(String);

impl fmt::Display for UnknownSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no schedule is called {:?}: there are fifo, random, and pct with a depth, as in pct3",
            self.0
        )
    }
}

impl Error for UnknownSchedule {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for schedule in [Schedule::Fifo, Schedule::Random, Schedule::Pct { depth: 12 }] {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        for text in ["", "pct", "pct-1", "lifo"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
