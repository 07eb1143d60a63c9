//! [`When`] and [`NotSent`]: judgements made of a question about the work's error.

use std::fmt;

use crate::{ByDefault, Class, Classify, Error};

/// Errors that are worth another attempt; made by [`Retry::when`](crate::Retry::when).
#[derive(Clone, Copy)]
pub struct When<F>(pub(super) F);

impl<T, E, F: Fn(&E) -> bool> Classify<T, E> for When<F> {
    #[inline]
    fn classify(&self, result: &Result<T, Error<E>>) -> Class {
        match result {
            Err(Error::Inner(error)) if !(self.0)(error) => Class::Permanent,
            other => ByDefault.classify(other),
        }
    }
}

impl<F> fmt::Debug for When<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("When").finish_non_exhaustive()
    }
}

/// Only what never reached the other side; made by
/// [`Retry::only_if_not_sent`](crate::Retry::only_if_not_sent).
#[derive(Clone, Copy)]
pub struct NotSent<C, F> {
    pub(super) classify: C,
    pub(super) sent: F,
}

impl<T, E, C: Classify<T, E>, F: Fn(&E) -> Option<bool>> Classify<T, E> for NotSent<C, F> {
    #[inline]
    fn classify(&self, result: &Result<T, Error<E>>) -> Class {
        let class = self.classify.classify(result);
        if !matches!(class, Class::Failure | Class::Throttled | Class::After(_)) {
            return class;
        }
        let sent = match result {
            Err(Error::Inner(error)) => (self.sent)(error),
            Err(Error::Rejected(_)) => Some(false),
            Ok(_) => Some(true),
            Err(Error::Timeout(_)) => None,
        };
        if sent == Some(false) { class } else { Class::Permanent }
    }
}

impl<C, F> fmt::Debug for NotSent<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotSent").finish_non_exhaustive()
    }
}
