//! [`Completion`]: how a job ended.

use std::error::Error;
use std::fmt;

use weirs_runtime::PanicPayload;

/// The number of a job: the order of submission, from 0, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub(super) u64);

impl JobId {
    /// As a number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The end of one job.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completion<J, T, E> {
    /// Which job.
    pub id: JobId,
    /// How often it was tried: more than once only with [`retries`](crate::WorkerPoolBuilder::retries), and
    /// not at all if it was not begun.
    pub attempts: u32,
    /// What came of it.
    pub result: Result<T, JobError<J, E>>,
}

/// Why a job has no result.
#[non_exhaustive]
pub enum JobError<J, E> {
    /// It failed, with this.
    Failed(E),
    /// It panicked. The worker goes on with the next.
    Panicked(PanicPayload),
    /// Its deadline passed before a worker was free; here it is, not begun.
    Expired(J),
    /// It was cancelled in the middle, when the pool was shut down.
    Interrupted,
}

impl<J, E> JobError<J, E> {
    /// The job's own error.
    pub fn failed(self) -> Option<E> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl<J, E: fmt::Debug> fmt::Debug for JobError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::Panicked(payload) => f.debug_tuple("Panicked").field(payload).finish(),
            Self::Expired(_) => f.write_str("Expired"),
            Self::Interrupted => f.write_str("Interrupted"),
        }
    }
}

impl<J, E: fmt::Display> fmt::Display for JobError<J, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Panicked(payload) => write!(f, "the job panicked: {}", payload.message()),
            Self::Expired(_) => f.write_str("the job's deadline passed before it began"),
            Self::Interrupted => f.write_str("the job was cancelled in the middle"),
        }
    }
}

impl<J, E: Error + 'static> Error for JobError<J, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}
