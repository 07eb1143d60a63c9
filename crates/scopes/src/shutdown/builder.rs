//! [`ShutdownBuilder`]: how long the stages of a shutdown may take.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use weirs_runtime::Runtime;

use super::Shutdown;
use super::inner::Inner;

#[cfg(all(unix, feature = "signals"))]
use crate::Signals;

/// As long as Kubernetes waits between asking and killing.
const TOTAL: Duration = Duration::from_secs(30);

/// Sets how long the stages of a [`Shutdown`] may take; from [`Shutdown::builder`].
///
/// What is left of the total after the durations that were set is shared out to the others: sixteen parts to
/// the drain, two to the grace, and one each to the drop and to the cleanup. There is no lame duck unless it
/// is set.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::Runtime;
/// use weirs_scopes::{Shutdown, ShutdownError};
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let seconds = Duration::from_secs;
/// let error = Shutdown::builder().total(seconds(30)).drain(seconds(60)).build(&runtime).unwrap_err();
/// assert_eq!(error.to_string(), "the stages take 60s, which is more than the total of 30s");
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing before it builds"]
pub struct ShutdownBuilder {
    total: Option<Duration>,
    lame_duck: Duration,
    drain: Option<Duration>,
    grace: Option<Duration>,
    drop: Option<Duration>,
    cleanup: Option<Duration>,
    #[cfg(all(unix, feature = "signals"))]
    signals: Option<Signals>,
}

/// How long the stages may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) total: Duration,
    pub(super) lame_duck: Duration,
    pub(super) drain: Duration,
    pub(super) grace: Duration,
    pub(super) drop: Duration,
    pub(super) cleanup: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        match ShutdownBuilder::new().plan() {
            Ok(plan) => plan,
            Err(_) => unreachable!("the default total is not zero, and no stage is set"),
        }
    }
}

impl ShutdownBuilder {
    /// Thirty seconds in all.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long all stages together may take, from the trigger on. Choose less than whoever started the
    /// program allows it.
    pub fn total(mut self, total: Duration) -> Self {
        self.total = Some(total);
        self
    }

    /// How long work is accepted after the trigger, while [`Shutdown::is_ready`] says no already: for load
    /// balancers that hear of it late.
    pub fn lame_duck(mut self, lame_duck: Duration) -> Self {
        self.lame_duck = lame_duck;
        self
    }

    /// How long what was begun may go on after the intake was stopped.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = Some(drain);
        self
    }

    /// How long a cancelled task may take to end by itself. Groups that wait for others share it.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// How long the end of polls is waited for that are under way when the rest is dropped.
    pub fn drop(mut self, drop: Duration) -> Self {
        self.drop = Some(drop);
        self
    }

    /// How long what was deferred may take, together.
    pub fn cleanup(mut self, cleanup: Duration) -> Self {
        self.cleanup = Some(cleanup);
        self
    }

    /// These signals trigger the shutdown; the second forces it, and the third ends the process, even one
    /// whose threads are all stuck. See [`Escalation`](crate::Escalation). They are listened for from now
    /// on, and no longer than [`Shutdown::run`] runs: after that they do by default what they did before.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::{Shutdown, Signals};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let runtime = Runtime::new(futures::executor::ThreadPool::new()?);
    /// let shutdown = Shutdown::builder().signals(Signals::interrupt_and_terminate()?).build(&runtime)?;
    /// # shutdown.trigger("in place of a signal");
    /// let report = block_on(shutdown.run(shutdown.intake().cancelled()));
    /// eprintln!("{report}");
    /// assert_eq!(report.exit_code(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(all(unix, feature = "signals"))]
    pub fn signals(mut self, signals: Signals) -> Self {
        self.signals = Some(signals);
        self
    }

    /// A shutdown of what runs on this runtime, in the time of its clock.
    ///
    /// # Errors
    /// When the total is zero, or less than the stages together.
    pub fn build(self, runtime: &Runtime) -> Result<Shutdown, ShutdownError> {
        let plan = self.plan()?;
        let inner = Inner::new(runtime.clone(), plan);
        #[cfg(all(unix, feature = "signals"))]
        let inner = inner.with_escalation(self.signals.map(Signals::escalate));
        Ok(Shutdown::from_inner(inner))
    }

    fn plan(&self) -> Result<Plan, ShutdownError> {
        let total = self.total.unwrap_or(TOTAL);
        if total.is_zero() {
            return Err(ShutdownError::ZeroTotal);
        }
        let shares = [(self.drain, 16), (self.grace, 2), (self.drop, 1), (self.cleanup, 1)];
        let given = shares.iter().filter_map(|share| share.0);
        let stages = given.fold(self.lame_duck, |sum, stage| sum.saturating_add(stage));
        let rest = total.checked_sub(stages).ok_or(ShutdownError::StagesExceedTotal { stages, total })?;
        let parts: u32 = shares.iter().filter(|share| share.0.is_none()).map(|share| share.1).sum();
        let of = |(given, part): (Option<Duration>, u32)| match given {
            Some(given) => given,
            // Without the fractions of a nanosecond, so the sum cannot exceed the rest.
            None => rest / parts * part,
        };
        let [drain, grace, drop, cleanup] = shares.map(of);
        Ok(Plan { total, lame_duck: self.lame_duck, drain, grace, drop, cleanup })
    }
}

/// Why a [`Shutdown`] cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// There is no time at all.
    ZeroTotal,
    /// The stages together take more than the total.
    StagesExceedTotal {
        /// The sum of those that were set.
        stages: Duration,
        /// What it exceeds.
        total: Duration,
    },
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroTotal => f.write_str("the total time of a shutdown is zero"),
            Self::StagesExceedTotal { stages, total } => {
                write!(f, "the stages take {stages:?}, which is more than the total of {total:?}")
            }
        }
    }
}

impl Error for ShutdownError {}
