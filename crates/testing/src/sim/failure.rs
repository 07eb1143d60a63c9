//! [`Failure`]: why a run failed, and all that helps to see how it came to it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::report::TaskReport;
use super::schedule::Schedule;
use super::settings::Settings;

/// Why a run failed, and how to see it again.
///
/// Both its `Display` and its `Debug` are the whole report: what happened, the seed and the schedule, the
/// tasks that matter, the last events, and the line to paste.
#[derive(Clone)]
pub struct Failure(Box<Report>);

/// All that a failure tells.
#[derive(Clone)]
pub(super) struct Report {
    pub(super) cause: Cause,
    pub(super) settings: Settings,
    pub(super) steps: u64,
    pub(super) elapsed: Duration,
    pub(super) trace_hash: u64,
    pub(super) tasks: Vec<TaskReport>,
    /// How many more there are.
    pub(super) more_tasks: usize,
    pub(super) recent: Vec<String>,
}

/// What went wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The body panicked.
    Panic {
        /// What it panicked with.
        message: String,
    },
    /// Tasks wait, and there is nothing left that could wake them.
    Deadlock,
    /// The run took more steps than it may: some tasks keep each other busy, or one itself.
    StepLimit(u64),
    /// The run took more virtual time than it may.
    TimeLimit(Duration),
    /// Tasks were left when the body was over.
    Leak,
    /// A task panicked that nobody awaited, or a destructor or waker did.
    LostPanic {
        /// Which task it was, and what it panicked with.
        message: String,
    },
    /// Something came from another thread, where no seed decides when.
    ForeignThread {
        /// The thread's name.
        thread: String,
        /// What it did.
        what: &'static str,
        /// How it came to do it.
        backtrace: String,
    },
    /// A task waited in real time.
    RealTime {
        /// The task.
        task: String,
    },
    /// Two runs of the same seed went different ways.
    Nondeterminism {
        /// The first step that differs, if it is known.
        step: Option<u64>,
        /// What the first run did there, and how it ended.
        first: String,
        /// What the second run did there, and how it ended.
        second: String,
    },
}

impl Failure {
    pub(super) fn new(report: Report) -> Self {
        Self(Box::new(report))
    }

    /// What went wrong.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The seed that shows it.
    pub fn seed(&self) -> u64 {
        self.0.settings.seed
    }

    /// The schedule that shows it.
    pub fn schedule(&self) -> Schedule {
        self.0.settings.schedule
    }

    /// How many steps it took.
    pub fn steps(&self) -> u64 {
        self.0.steps
    }

    /// How much virtual time it took.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// What the run's trace comes to; the same for each run that goes the same way.
    pub fn trace_hash(&self) -> u64 {
        self.0.trace_hash
    }

    /// The tasks that matter: those that are stuck, left, or busy, up to a few dozen.
    pub fn tasks(&self) -> &[TaskReport] {
        &self.0.tasks
    }

    /// The line to paste into a shell to see it again.
    pub fn replay(&self) -> String {
        let Settings { seed, schedule, test, .. } = &self.0.settings;
        format!("WEIRS_SEED={seed} WEIRS_SCHEDULE={schedule} {}", test.command())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic { message } => write!(f, "the body panicked: {message}"),
            Self::Deadlock => f.write_str(
                "deadlock: tasks wait, and nothing can wake them: no task is runnable and no timer is set",
            ),
            Self::StepLimit(limit) => write!(
                f,
                "live-lock: the run took more than {limit} steps; if that is its work, raise `step_limit`",
            ),
            Self::TimeLimit(limit) => write!(
                f,
                "live-lock: the next timer is due after more than {limit:?} of virtual time, so tasks wait \
                 or tick for ever; if that is its work, raise `time_limit`",
            ),
            Self::Leak => f.write_str(
                "leak: tasks were left when the body was over; await or cancel them, or say `allow_leaks`",
            ),
            Self::LostPanic { message } => f.write_str(message),
            Self::ForeignThread { thread, what, backtrace } => {
                write!(f, "thread \"{thread}\" {what}: no seed decides when another thread does something.")?;
                f.write_str(if thread == CLOCK_THREAD { USE_CLOCK } else { USE_BLOCKING })?;
                write!(f, "\n{backtrace}")
            }
            Self::RealTime { task } => {
                write!(f, "task {task} waits in real time, on a `Clock::default()`.{USE_CLOCK}")
            }
            Self::Nondeterminism { step, first, second } => {
                f.write_str("the same seed went two ways, so something besides the seed decides")?;
                if let Some(step) = step {
                    write!(f, "; they part at step {step}")?;
                }
                write!(f, "\n    one run:   {first}\n    the other: {second}")?;
                f.write_str(
                    "\n  look for real time, threads, random numbers, the order of a `HashMap`, and statics \
                     that outlive a run",
                )
            }
        }
    }
}

/// The thread that the real clock's timers live on.
const CLOCK_THREAD: &str = "weirs-clock";
const USE_CLOCK: &str = "\n  Take the time from `runtime.clock()`.";
const USE_BLOCKING: &str = "\n  Have `runtime.spawn_blocking` do its work, which is a step of the run here.";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { cause, settings, steps, elapsed, tasks, more_tasks, recent, .. } = &*self.0;
        writeln!(f, "{cause}")?;
        writeln!(f, "  seed {}, schedule {}, faults: {}", settings.seed, settings.schedule, settings.faults)?;
        writeln!(f, "  after {steps} steps and {elapsed:?} of virtual time")?;
        list(f, cause.tasks_heading(), tasks)?;
        if *more_tasks > 0 {
            writeln!(f, "    and {more_tasks} more")?;
        }
        list(f, "the last events", recent)?;
        write!(f, "  to see it again:\n    {}", self.replay())
    }
}

impl Cause {
    fn tasks_heading(&self) -> &'static str {
        match self {
            Self::Deadlock => "these tasks are stuck",
            Self::StepLimit(_) | Self::TimeLimit(_) => "these tasks were alive, the busiest first",
            Self::Leak => "these tasks were left",
            _ => "these tasks were alive",
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, heading: &str, lines: &[impl fmt::Display]) -> fmt::Result {
    if !lines.is_empty() {
        writeln!(f, "  {heading}:")?;
    }
    lines.iter().try_for_each(|line| writeln!(f, "    {line}"))
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Failure {}
