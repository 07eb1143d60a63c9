//! [`Ending`]: what the future of a job gives.

use weirs_runtime::PanicPayload;

use crate::dead_letter::Reason;

/// What the future of a job gives: a result, and by a stack what it took, too.
pub(super) trait Ending {
    /// What was made of the job.
    type Value;
    /// How it failed.
    type Error;

    fn tried(self) -> Tried<Self::Value, Self::Error>;
}

/// What came of a job that was begun.
pub(super) struct Tried<U, E> {
    pub(super) result: Result<U, Trouble<E>>,
    /// How often the work was begun.
    pub(super) attempts: u32,
    /// Why it failed, if that is known better than from the error.
    pub(super) reason: Option<Reason>,
}

/// How a job fails.
pub(super) enum Trouble<E> {
    Error(E),
    Panicked(PanicPayload),
    /// It was not begun in time.
    Expired,
}

impl<U, E> Ending for Result<U, E> {
    type Value = U;
    type Error = E;

    fn tried(self) -> Tried<U, E> {
        Tried { result: self.map_err(Trouble::Error), attempts: 1, reason: None }
    }
}

impl<U, E> Ending for Tried<U, E> {
    type Value = U;
    type Error = E;

    fn tried(self) -> Self {
        self
    }
}
