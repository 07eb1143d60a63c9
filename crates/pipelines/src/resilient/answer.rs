//! [`Answer`]: what became of a job.

use std::fmt;

use weirs_resilience::Error;

use crate::{DeadLetter, JobId, Reason};

/// The end of one job of a [`ResilientPipeline`](crate::ResilientPipeline).
#[derive(Debug)]
#[non_exhaustive]
pub struct Answered<J, T, E> {
    /// Which job.
    pub id: JobId,
    /// What became of it.
    pub answer: Answer<J, T, E>,
}

/// What became of a job.
#[non_exhaustive]
pub enum Answer<J, T, E> {
    /// The work gave this.
    Done(T),
    /// The work failed, and this stands in.
    Fallback(T),
    /// It was given up, and its letter is in the place for dead letters.
    DeadLettered(Reason),
    /// It was given up, and there is no place for its letter, or the place is broken.
    GivenUp(Box<DeadLetter<J, Error<E>>>),
}

impl<J, T, E> Answer<J, T, E> {
    /// What the work gave, or what stands in for it.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Done(value) | Self::Fallback(value) => Some(value),
            Self::DeadLettered(_) | Self::GivenUp(_) => None,
        }
    }

    /// Why it was given up, if it was.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Done(_) | Self::Fallback(_) => None,
            Self::DeadLettered(reason) => Some(*reason),
            Self::GivenUp(letter) => Some(letter.reason),
        }
    }
}

impl<J, T: fmt::Debug, E: fmt::Debug> fmt::Debug for Answer<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(value) => f.debug_tuple("Done").field(value).finish(),
            Self::Fallback(value) => f.debug_tuple("Fallback").field(value).finish(),
            Self::DeadLettered(reason) => f.debug_tuple("DeadLettered").field(reason).finish(),
            Self::GivenUp(letter) => f.debug_tuple("GivenUp").field(letter).finish(),
        }
    }
}
