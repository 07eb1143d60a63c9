//! [`Report`]: how a shutdown went.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::process::{ExitCode, Termination};
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::PanicPayload;

use crate::Reason;

/// How a shutdown went: what ended by itself, what had to be dropped, what could not be.
///
/// Its `Display` is a table. `main` may return it: the process then ends with its
/// [`exit_code`](Report::exit_code). Where a task was left running, call `std::process::exit` instead, for
/// an executor that waits for its threads at its end would wait for that one.
#[derive(Debug)]
pub struct Report {
    pub(super) reason: Reason,
    pub(super) forced: bool,
    pub(super) main: MainEnd,
    pub(super) stages: Vec<StageReport>,
    pub(super) groups: Vec<GroupReport>,
    pub(super) cleanup: Vec<MemberReport>,
}

/// A part of a shutdown; see [`Shutdown`](super::Shutdown).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Not ready, but still accepting.
    LameDuck,
    /// No new work; what was begun goes on.
    Drain,
    /// The tokens are cancelled.
    Cancel,
    /// What is left was dropped; polls that are under way are waited for.
    Drop,
    /// What was deferred runs.
    Cleanup,
}

/// How long a stage took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageReport {
    pub(super) stage: Stage,
    pub(super) took: Duration,
}

/// How the main future ended.
#[derive(Debug)]
pub enum MainEnd {
    /// Well.
    Finished,
    /// With an error, of which this is the text.
    Failed(String),
    /// With a panic.
    Panicked(PanicPayload),
    /// It did not end by itself in time, and was dropped.
    Dropped,
}

/// What a main future may give: whatever can be told to have failed or not.
pub trait MainOutput {
    /// The text of the error, if it is one.
    fn failure(&self) -> Option<String>;
}

impl MainOutput for () {
    fn failure(&self) -> Option<String> {
        None
    }
}

/// So that the main future may be that of a token.
impl MainOutput for Reason {
    fn failure(&self) -> Option<String> {
        None
    }
}

impl<T, E: fmt::Display> MainOutput for Result<T, E> {
    fn failure(&self) -> Option<String> {
        self.as_ref().err().map(E::to_string)
    }
}

/// What became of the tasks of a group, without those in groups within it.
#[derive(Clone, Debug)]
pub struct GroupReport {
    pub(super) path: Arc<str>,
    pub(super) counts: Counts,
    pub(super) named: Vec<MemberReport>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts([usize; 5]);

impl Counts {
    pub(super) fn add(&mut self, end: MemberEnd) {
        self.0[end as usize] += 1;
    }
}

/// What became of one task.
#[derive(Clone, Debug)]
pub struct MemberReport {
    name: Cow<'static, str>,
    location: &'static Location<'static>,
    age: Duration,
    end: MemberEnd,
}

/// How a task of a shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberEnd {
    /// By itself, before it was cancelled.
    Finished,
    /// By itself, after it was cancelled.
    Cancelled,
    /// It was dropped; of what was deferred: it was skipped, or cut short.
    Dropped,
    /// It panicked.
    Panicked,
    /// It did not: it was being polled when it was to be dropped, and did not come back in time.
    StillRunning,
}

impl Report {
    /// Why the program was shut down.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Whether it was forced, by a second signal or by hand.
    pub fn is_forced(&self) -> bool {
        self.forced
    }

    /// How the main future ended.
    pub fn main(&self) -> &MainEnd {
        &self.main
    }

    /// The stages in their order, each with the time it took.
    pub fn stages(&self) -> &[StageReport] {
        &self.stages
    }

    /// How long a stage took.
    pub fn took(&self, stage: Stage) -> Duration {
        self.stages.iter().filter(|report| report.stage == stage).map(|report| report.took).sum()
    }

    /// How long it took in all, from the trigger on.
    pub fn total(&self) -> Duration {
        self.stages.iter().map(|report| report.took).sum()
    }

    /// The groups that had tasks, those that were made first before the others. Tasks in no group have the
    /// empty path.
    pub fn groups(&self) -> &[GroupReport] {
        &self.groups
    }

    /// The group with this path, if it had tasks.
    pub fn group(&self, path: &str) -> Option<&GroupReport> {
        self.groups.iter().find(|group| group.path() == path)
    }

    /// How many tasks of all groups ended so.
    pub fn count(&self, end: MemberEnd) -> usize {
        self.groups.iter().map(|group| group.count(end)).sum()
    }

    /// What was deferred and did not finish.
    pub fn unfinished_cleanup(&self) -> &[MemberReport] {
        &self.cleanup
    }

    /// Whether all went as it should: nothing was dropped, left running or skipped, and nothing panicked
    /// since the shutdown began. Tasks that ended when they were cancelled count as good.
    pub fn is_clean(&self) -> bool {
        let bad = [MemberEnd::Dropped, MemberEnd::Panicked, MemberEnd::StillRunning];
        let tasks = bad.iter().all(|end| self.count(*end) == 0);
        !self.forced && tasks && self.cleanup.is_empty() && matches!(self.main, MainEnd::Finished)
    }

    /// The code to end the process with:
    ///
    /// | code | meaning |
    /// |---|---|
    /// | 0 | [all went as it should](Report::is_clean) |
    /// | 1 | the main future failed |
    /// | 101 | the main future panicked |
    /// | 2 | anything else: it was forced, or something was dropped, left, skipped, or panicked |
    pub fn exit_code(&self) -> u8 {
        match self.main {
            MainEnd::Failed(_) => 1,
            MainEnd::Panicked(_) => 101,
            _ if self.is_clean() => 0,
            _ => 2,
        }
    }
}

impl Termination for Report {
    fn report(self) -> ExitCode {
        ExitCode::from(self.exit_code())
    }
}

impl StageReport {
    /// Which stage.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// How long it took.
    pub fn took(&self) -> Duration {
        self.took
    }
}

impl GroupReport {
    /// The group's path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How many tasks ended so, of those that were there when the shutdown was triggered or came after that.
    pub fn count(&self, end: MemberEnd) -> usize {
        self.counts.0[end as usize]
    }

    /// Those whose end was not a good one, by name: the first 64.
    pub fn named(&self) -> &[MemberReport] {
        &self.named
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.0 == [0; 5]
    }
}

impl MemberReport {
    pub(super) fn new(
        name: Cow<'static, str>,
        location: &'static Location<'static>,
        age: Duration,
        end: MemberEnd,
    ) -> Self {
        Self { name, location, age, end }
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where in the source it was spawned, or deferred.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// How long it had lived by its end, or by the report; of what was deferred: how long it ran.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// How it ended.
    pub fn end(&self) -> MemberEnd {
        self.end
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LameDuck => "lame duck",
            Self::Drain => "drain",
            Self::Cancel => "cancel",
            Self::Drop => "drop",
            Self::Cleanup => "cleanup",
        })
    }
}

impl fmt::Display for MainEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(payload) => write!(f, "panicked: {}", payload.message()),
            Self::Dropped => f.write_str("dropped"),
        }
    }
}

impl fmt::Display for MemberEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Dropped => "dropped",
            Self::Panicked => "panicked",
            Self::StillRunning => "still running",
        })
    }
}

impl fmt::Display for MemberReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} after {:?}, spawned at {}", self.name, self.end, self.age, self.location)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forced = if self.forced { ", forced" } else { "" };
        writeln!(f, "shutdown ({}){forced} in {:?}", self.reason, self.total())?;
        for stage in &self.stages {
            writeln!(f, "  {:<10} {:?}", stage.stage, stage.took)?;
        }
        writeln!(f, "  main {}", self.main)?;
        if !self.groups.is_empty() {
            let [finished, cancelled, dropped, panicked, running] =
                ["finished", "cancelled", "dropped", "panicked", "running"];
            let title = "group";
            writeln!(
                f,
                "  {title:<20} {finished:>9} {cancelled:>9} {dropped:>9} {panicked:>9} {running:>9}"
            )?;
        }
        for group in &self.groups {
            let path = if group.path.is_empty() { "(none)" } else { &group.path };
            let [finished, cancelled, dropped, panicked, running] = group.counts.0;
            writeln!(f, "  {path:<20} {finished:>9} {cancelled:>9} {dropped:>9} {panicked:>9} {running:>9}")?;
            group.named.iter().try_for_each(|member| writeln!(f, "    {member}"))?;
        }
        self.cleanup.iter().try_for_each(|deferred| writeln!(f, "  cleanup {deferred}"))
    }
}
