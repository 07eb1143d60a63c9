//! What a handle tells a supervisor, and what it may answer.

use std::error::Error;
use std::fmt;

use super::machine::Key;
use super::spec::Spec;
use crate::answer::Answerer;
use crate::{Exit, Id, Invalid};

/// What a handle tells a supervisor.
pub(crate) enum Command {
    /// Whoever does not wait has no answerer.
    Start(Box<Spec>, Option<Answerer<Result<(), StartChildError>>>),
    Stop(Which, Answerer<Result<Exit, CommandError>>),
    Restart(Which, Answerer<Result<(), CommandError>>),
    Delete(Which, Answerer<Result<(), CommandError>>),
    Shutdown,
    Kill,
}

/// Which child.
pub(crate) enum Which {
    Called(Id),
    At(Key),
}

/// Why a tree did not start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A setting makes no sense.
    Invalid(Invalid),
    /// This child did not become ready. Those before it are stopped again.
    Child {
        /// Where it stands in the tree.
        path: String,
        /// How it ended.
        exit: Exit,
    },
    /// It was stopped or killed before all its children were ready.
    Interrupted(Exit),
}

/// Why a child was not added.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartChildError {
    /// A setting of it makes no sense. Here is the child again.
    Invalid(Invalid, Box<Spec>),
    /// There is one of that name, running or not. Here is the new one again.
    Taken(Box<Spec>),
    /// It ended before it was ready.
    NotStarted(Exit),
    /// Somebody stopped it before it was ready.
    Interrupted,
    /// The supervisor is at its end. Here is the child again, if it was not begun.
    Ended(Option<Box<Spec>>),
}

/// Why a child was not stopped, restarted or deleted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such child.
    Unknown,
    /// It runs, or is about to: stop it first.
    Running,
    /// It was killed, and does not give its thread back.
    Stuck,
    /// It ended before it was ready.
    NotStarted(Exit),
    /// Somebody stopped it before it was ready.
    Interrupted,
    /// The supervisor is at its end.
    Ended,
    /// It is the one that asks, or that is below it: it was told to stop, and cannot wait for its own end.
    Itself,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Child { path, exit } => write!(f, "{path} did not start: {exit}"),
            Self::Interrupted(exit) => write!(f, "ended before all children were ready: {exit}"),
        }
    }
}

impl Error for StartError {}

impl StartChildError {
    /// The child again, if it was not begun.
    pub fn into_spec(self) -> Option<Spec> {
        match self {
            Self::Invalid(_, spec) | Self::Taken(spec) | Self::Ended(Some(spec)) => Some(*spec),
            Self::NotStarted(_) | Self::Interrupted | Self::Ended(None) => None,
        }
    }
}

impl fmt::Display for StartChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid, _) => invalid.fmt(f),
            Self::Taken(spec) => write!(f, "there is a child called {}", spec.id()),
            Self::NotStarted(exit) => write!(f, "the child did not start: {exit}"),
            Self::Interrupted => f.write_str("the child was stopped before it was ready"),
            Self::Ended(_) => f.write_str("the supervisor is at its end"),
        }
    }
}

impl Error for StartChildError {}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such child"),
            Self::Running => f.write_str("the child runs, or is about to"),
            Self::Stuck => f.write_str("the child was killed, and does not give its thread back"),
            Self::NotStarted(exit) => write!(f, "the child did not start: {exit}"),
            Self::Interrupted => f.write_str("the child was stopped before it was ready"),
            Self::Ended => f.write_str("the supervisor is at its end"),
            Self::Itself => f.write_str("it was told to stop, and cannot wait for its own end"),
        }
    }
}

impl Error for CommandError {}
