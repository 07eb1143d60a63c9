//! The ends that are no value: [`Ended`] of a child, [`ScopeError`] of a scope, [`Rejected`] of a spawn.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use weirs_runtime::PanicPayload;

use crate::Reason;

/// Why a child gave no value.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Ended, scope};
///
/// block_on(scope(async |s| {
///     let child = s.spawn(std::future::pending::<()>());
///     child.cancel();
///     assert_eq!(child.await, Err(Ended::Cancelled));
/// }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// It was cancelled: by its handle, or with its scope.
    Cancelled,
    /// It failed; its error went to the scope.
    Failed,
    /// It panicked; its payload went to the scope.
    Panicked,
    /// The scope takes no more children.
    Refused(Refusal),
    /// It ended, or gave up its [`Started`](super::Started), before it was
    /// [ready](super::Scope::spawn_ready).
    NotReady,
    /// The result was given out by an earlier poll.
    Taken,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the child was cancelled"),
            Self::Failed => f.write_str("the child failed, and its scope has the error"),
            Self::Panicked => f.write_str("the child panicked, and its scope has the payload"),
            Self::Refused(why) => write!(f, "the child never ran: {why}"),
            Self::NotReady => f.write_str("the child ended before it was ready"),
            Self::Taken => f.write_str("the child's result was already taken"),
        }
    }
}

impl Error for Ended {}

/// Why a scope takes no child now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It has as many as its limit allows, or others wait for room. There will be room again.
    Full,
    /// It was closed, or is over.
    Closed,
    /// It is being cancelled.
    Cancelled,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the scope is full",
            Self::Closed => "the scope is closed",
            Self::Cancelled => "the scope is cancelled",
        })
    }
}

impl Error for Refusal {}

/// A future that a scope did not take, and why.
pub struct Rejected<F> {
    future: F,
    why: Refusal,
}

impl<F> Rejected<F> {
    pub(crate) fn new(future: F, why: Refusal) -> Self {
        Self { future, why }
    }

    /// Why it was not taken.
    pub fn why(&self) -> Refusal {
        self.why
    }

    /// Gives the future back.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F> fmt::Debug for Rejected<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("why", &self.why).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for Rejected<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.why, f)
    }
}

impl<F> Error for Rejected<F> {}

/// Why a scope that was [built](super::ScopeBuilder) gave no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScopeError<E = Infallible> {
    /// The first error of the body or a child.
    Failed(E),
    /// The scope was cancelled: by its deadline, by a token above it, or from within.
    Cancelled(Reason),
    /// The body or a child panicked, and [`PanicPolicy::AsError`] was asked for.
    Panicked(PanicPayload),
}

impl<E> ScopeError<E> {
    /// The error of the body or a child, if that is what it is.
    pub fn failed(self) -> Option<E> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the scope was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// Whether its deadline came.
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::Cancelled(Reason::Deadline))
    }

    /// Whether the body or a child panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }
}

impl<E: fmt::Display> fmt::Display for ScopeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "a child of the scope failed: {error}"),
            Self::Cancelled(reason) => write!(f, "the scope was cancelled: {reason}"),
            Self::Panicked(payload) => write!(f, "a child of the scope panicked: {}", payload.message()),
        }
    }
}

impl<E: Error + 'static> Error for ScopeError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

/// What becomes of a panic in a body or a child, when all children have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// It goes on where the scope is awaited, with the payload that it had.
    #[default]
    Propagate,
    /// It becomes [`ScopeError::Panicked`].
    AsError,
}
