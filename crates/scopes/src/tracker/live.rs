//! [`LiveTask`]: one that lives, as a [`Tracker`](super::Tracker) shows it.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use weirs_runtime::{TaskId, TaskInfo, TaskKind, TaskState};

/// One that lived at the moment of the look; from [`Tracker::tasks`](super::Tracker::tasks).
#[derive(Clone, Debug)]
pub struct LiveTask {
    pub(super) name: Option<String>,
    pub(super) location: &'static Location<'static>,
    pub(super) kind: LiveKind,
    pub(super) age: Duration,
    pub(super) task: Option<(TaskId, TaskState, u64)>,
}

/// What sort of thing lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LiveKind {
    /// A task of the runtime.
    Task,
    /// A blocking job.
    Blocking,
    /// A scope that was begun and is not over; its children follow it in the list.
    Scope,
    /// A child of a scope.
    Child,
    /// A service of a scope.
    Service,
    /// What a scope had deferred, now running.
    Deferred,
}

impl LiveTask {
    pub(super) fn of_task(info: TaskInfo) -> Self {
        let kind = match info.kind {
            TaskKind::Blocking => LiveKind::Blocking,
            _ => LiveKind::Task,
        };
        let task = Some((info.id, info.state, info.polls));
        Self { name: info.name, location: info.location, kind, age: info.age, task }
    }

    /// The name that it was given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where in the source it was spawned; a scope: made.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// What it is.
    pub fn kind(&self) -> LiveKind {
        self.kind
    }

    /// How long ago it was spawned, in the time of the runtime's clock; a scope: begun.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// The number of a task or a blocking job; a scope and its children have none.
    pub fn id(&self) -> Option<TaskId> {
        Some(self.task?.0)
    }

    /// What a task or a blocking job is doing.
    pub fn state(&self) -> Option<TaskState> {
        Some(self.task?.1)
    }

    /// How often a task or a blocking job was polled.
    pub fn polls(&self) -> Option<u64> {
        Some(self.task?.2)
    }
}

/// The line of a table.
impl fmt::Display for LiveTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            LiveKind::Task => "task",
            LiveKind::Blocking => "blocking",
            LiveKind::Scope => "scope",
            LiveKind::Child => "- child",
            LiveKind::Service => "- service",
            LiveKind::Deferred => "- deferred",
        };
        let state = match self.state() {
            None => "",
            Some(TaskState::New) => "new",
            Some(TaskState::Running) => "running",
            Some(_) => "waiting",
        };
        let name = self.name().unwrap_or("(no name)");
        let age = format!("{:?}", self.age);
        write!(f, "{name:<20} {kind:<10} {state:<8} {age:>10} ")?;
        match self.polls() {
            Some(polls) => write!(f, "{polls:>7}")?,
            None => write!(f, "{:>7}", "")?,
        }
        write!(f, "  {}", self.location)
    }
}

/// A table of them.
pub(super) struct Lines<'a>(pub(super) &'a [LiveTask]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20} {:<10} {:<8} {:>10} {:>7}  spawned at", "name", "kind", "state", "age", "polls")?;
        self.0.iter().try_for_each(|task| writeln!(f, "{task}"))
    }
}
