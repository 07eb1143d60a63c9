//! [`DeadLetter`]: a job that was given up, with its history.

mod any_error;
mod ring;

use std::fmt;

use weirs_runtime::{Instant, PanicPayload};

pub(crate) use any_error::{AnyError, BoxError};
pub use ring::{DeadLetterRing, RingStats};

/// A job that was given up, with all that is known of it.
///
/// The place of dead letters is any [`Sink`](futures_sink::Sink) of them: see
/// [`dead_letters`](crate::Pipeline::dead_letters). A [`DeadLetterRing`] keeps the last ones in memory and
/// sends them through their stage again.
#[non_exhaustive]
pub struct DeadLetter<J, E> {
    /// The job, as it was handed in.
    pub job: J,
    /// The error of the last attempt, if it failed with one.
    pub error: Option<E>,
    /// The panic of the last attempt, if it panicked.
    pub panic: Option<PanicPayload>,
    /// How many attempts there were, since it was last redriven.
    pub attempts: u32,
    /// When the first attempt began.
    pub first_at: Instant,
    /// When the last attempt ended.
    pub last_at: Instant,
    /// Why it was given up.
    pub reason: Reason,
    /// How often it was sent through the stage again.
    pub redrives: u32,
}

/// Why a job was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// All attempts failed.
    Exhausted,
    /// It failed in a way that another attempt would not mend.
    Permanent,
    /// Its time was over before it began.
    Expired,
    /// It panicked.
    Panicked,
    /// There was too much to do.
    Shed,
    /// A policy on the way to the work refused, such as a breaker.
    Refused,
    /// The program ended.
    Shutdown,
}

impl<J, E> DeadLetter<J, E> {
    /// The letter of a job that was never attempted, such as one that is turned away.
    pub const fn new(job: J, reason: Reason, at: Instant) -> Self {
        Self { job, error: None, panic: None, attempts: 0, first_at: at, last_at: at, reason, redrives: 0 }
    }
}

impl<J, E> DeadLetter<J, E> {
    /// The job, and all the rest.
    pub(crate) fn open(self) -> (J, DeadLetter<(), E>) {
        let Self { job, error, panic, attempts, first_at, last_at, reason, redrives } = self;
        (job, DeadLetter { job: (), error, panic, attempts, first_at, last_at, reason, redrives })
    }

    /// The same history of another job.
    pub(crate) fn about<K>(self, job: K) -> DeadLetter<K, E> {
        let Self { job: _, error, panic, attempts, first_at, last_at, reason, redrives } = self;
        DeadLetter { job, error, panic, attempts, first_at, last_at, reason, redrives }
    }
}

impl<J, E: fmt::Debug> fmt::Debug for DeadLetter<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("reason", &self.reason)
            .field("error", &self.error)
            .field("panic", &self.panic)
            .field("attempts", &self.attempts)
            .field("redrives", &self.redrives)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exhausted => "all attempts failed",
            Self::Permanent => "another attempt would not help",
            Self::Expired => "its time was over",
            Self::Panicked => "it panicked",
            Self::Shed => "there was too much to do",
            Self::Refused => "a policy refused",
            Self::Shutdown => "the program ended",
        })
    }
}
