//! [`TaskReport`]: what a report says of a task.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::tasks::{Record, Tasks};
use super::trace::NOBODY;

/// A task that a run ended with, as a [`Failure`](super::Failure) lists it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskReport {
    /// Its number: tasks are counted in the order in which they were spawned, and the body is 0.
    pub number: u32,
    /// Its name, if it was given one. The body is called `main`.
    pub name: Option<String>,
    /// Where in the source it was spawned.
    pub location: &'static Location<'static>,
    /// The number of the task that spawned it.
    pub parent: Option<u32>,
    /// How long ago it was spawned, in virtual time.
    pub age: Duration,
    /// How often it was polled.
    pub polls: u64,
    /// The step at which it was last polled.
    pub last_step: u64,
    /// Whether it was about to be polled; else it waits.
    pub runnable: bool,
}

impl TaskReport {
    pub(super) fn new(tasks: &Tasks, number: u32, now: u64) -> Option<Self> {
        let record = tasks.get(number)?;
        Some(Self {
            number,
            name: record.name.as_deref().map(str::to_owned),
            location: record.location,
            parent: record.parent,
            age: Duration::from_nanos(now.saturating_sub(record.spawned_at)),
            polls: record.polls,
            last_step: record.last_step,
            runnable: record.queued,
        })
    }
}

impl fmt::Display for TaskReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, location, age, polls, last_step, .. } = self;
        match &self.name {
            Some(name) => write!(f, "#{number} \"{name}\"")?,
            None => write!(f, "#{number}")?,
        }
        let state = match (self.runnable, polls) {
            (true, 0) => "was never polled".to_owned(),
            (true, _) => format!("runnable, {polls} polls, the last at step {last_step}"),
            (false, _) => format!("waiting, {polls} polls, the last at step {last_step}"),
        };
        write!(f, " spawned at {location}, {age:?} ago: {state}")
    }
}

/// A task's number and its name, or where it was spawned if it has none.
pub(super) struct Named<'a> {
    number: u32,
    record: Option<&'a Record>,
}

impl<'a> Named<'a> {
    pub(super) fn new(tasks: &'a Tasks, number: u32) -> Self {
        Self { number, record: tasks.get(number) }
    }
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, record } = self;
        match record {
            Some(Record { name: Some(name), .. }) => write!(f, "#{number} \"{name}\""),
            Some(record) => write!(f, "#{number} ({})", record.location),
            None if *number == NOBODY => f.write_str("nobody"),
            None => write!(f, "#{number}"),
        }
    }
}
