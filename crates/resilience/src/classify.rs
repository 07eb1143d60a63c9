//! [`Classify`]: what an outcome means.

use std::time::Duration;

use crate::Error;

/// What the end of an attempt means to a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// It went well.
    Success,
    /// It failed, and may go well another time.
    Failure,
    /// It failed, and would fail again: not worth another attempt, and no sign of an ill server. The
    /// caller's own mistake, such as a 404.
    Permanent,
    /// The other side has too much to do.
    Throttled,
    /// The other side says when to come again.
    After(Duration),
    /// It says nothing about the other side.
    Ignored,
}

/// Tells a policy what an outcome means.
///
/// A closure is one; [`ByDefault`] is the one in use where none is given.
///
/// # Examples
/// ```
/// use weirs_resilience::{ByDefault, Class, Classify, Error};
///
/// enum Answer { NotFound, Busy, Broken }
///
/// let judge = |result: &Result<(), Error<Answer>>| match result {
///     Err(Error::Inner(Answer::NotFound)) => Class::Permanent,
///     Err(Error::Inner(Answer::Busy)) => Class::Throttled,
///     other => ByDefault.classify(other),
/// };
/// assert_eq!(judge.classify(&Err(Error::Inner(Answer::Busy))), Class::Throttled);
/// assert_eq!(judge.classify(&Err(Error::Inner(Answer::Broken))), Class::Failure);
/// ```
pub trait Classify<T, E> {
    /// What this outcome means.
    fn classify(&self, result: &Result<T, Error<E>>) -> Class;
}

impl<T, E, F: Fn(&Result<T, Error<E>>) -> Class> Classify<T, E> for F {
    #[inline]
    fn classify(&self, result: &Result<T, Error<E>>) -> Class {
        self(result)
    }
}

/// A result is a success, an error of the work or a timeout is a failure, and a refusal by a policy further
/// in says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByDefault;

impl<T, E> Classify<T, E> for ByDefault {
    #[inline]
    fn classify(&self, result: &Result<T, Error<E>>) -> Class {
        match result {
            Ok(_) => Class::Success,
            Err(Error::Inner(_) | Error::Timeout(_)) => Class::Failure,
            Err(Error::Rejected(_)) => Class::Ignored,
        }
    }
}
