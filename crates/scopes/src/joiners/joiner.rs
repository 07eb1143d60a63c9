//! [`Joiner`]: is told of each child's end, says when that is enough, and makes the result.

use crate::{ChildId, Reason};

/// Is told how each child of a scope ended, says when that is enough, and makes the result. `O` is the output
/// of the children.
///
/// Its methods are called one at a time, in the order in which things happened; so it needs no lock and need
/// not be [`Sync`]. They are called by whoever ends a child, so they should be short and must not block. No
/// lock is held meanwhile.
///
/// The body, services, what was deferred and [isolated](crate::Scope::isolate) children are no concern of a
/// joiner. It is not told of them.
///
/// # Panics
/// A panic in one of its methods stops the scope and goes on as a panic of the scope; see
/// [`PanicPolicy`](crate::PanicPolicy). It is not called again.
///
/// # Examples
/// A joiner that adds up, until it has enough:
/// ```
/// use std::convert::Infallible;
/// use weirs_runtime::block_on;
/// use weirs_scopes::joiners::{Cause, Flow, Joiner, Outcome};
/// use weirs_scopes::{ChildId, Reason, Scope};
///
/// struct AtLeast { sum: u32, wanted: u32 }
///
/// impl Joiner<u32> for AtLeast {
///     type Out = u32;
///     type Error = Infallible;
///
///     fn on_end(&mut self, _: ChildId, outcome: Outcome<u32>) -> Flow {
///         if let Outcome::Output(number) = outcome {
///             self.sum += number;
///         }
///         if self.sum >= self.wanted { Flow::Stop(Reason::NotNeeded) } else { Flow::Continue }
///     }
///
///     fn finish(self, _: &Cause) -> Result<u32, Infallible> {
///         Ok(self.sum)
///     }
/// }
///
/// let joiner = AtLeast { sum: 0, wanted: 5 };
/// let sum = block_on(Scope::builder().gather(joiner, async |s| {
///     for number in 1..=10 {
///         s.spawn(async move { number });
///     }
/// }));
/// assert_eq!(sum.unwrap(), 1 + 2 + 3);
/// ```
pub trait Joiner<O> {
    /// What the scope gives when all went well.
    type Out;

    /// What the scope gives when it did not, as [`ScopeError::Failed`](crate::ScopeError::Failed).
    type Error;

    /// A child was spawned. Called before its end is told, but not always at once.
    fn on_spawn(&mut self, id: ChildId) {
        let _ = id;
    }

    /// The scope was [closed](crate::Scope::close): there will be no more children. A scope that just ends is
    /// not closed first.
    fn on_close(&mut self) -> Flow {
        Flow::Continue
    }

    /// A child ended. After [`Flow::Stop`] nothing more is told but [`finish`](Self::finish); outputs that
    /// come later are dropped.
    fn on_end(&mut self, id: ChildId, outcome: Outcome<O>) -> Flow;

    /// The scope is cancelled: by its deadline, from above, or by its own handle. Called once, before any
    /// child's end that comes after it.
    fn on_cancel(&mut self, why: &Reason) -> OnCancel {
        let _ = why;
        OnCancel::GiveUp
    }

    /// All children have ended. Not called when the scope panics, when it was cancelled and
    /// [`on_cancel`](Self::on_cancel) gave up, or when its future is dropped; then the joiner is dropped.
    ///
    /// # Errors
    /// Whatever the joiner calls a failure.
    fn finish(self, cause: &Cause) -> Result<Self::Out, Self::Error>;
}

/// Whether a scope goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it decides whether the scope goes on"]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It has what it needs, or never will: the other children are cancelled, for this reason.
    Stop(Reason),
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<O> {
    /// With an output, which may be a `Result`.
    Output(O),
    /// It was cancelled, by its handle or with its scope.
    Cancelled(Reason),
    /// It panicked. The payload goes to the scope, which stops and ends with it.
    Panicked,
}

impl<O> Outcome<O> {
    /// The output, if there is one.
    pub fn output(self) -> Option<O> {
        match self {
            Self::Output(output) => Some(output),
            Self::Cancelled(_) | Self::Panicked => None,
        }
    }

    /// Whether the child was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// Whether the deadline ended the child.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::Cancelled(Reason::Deadline))
    }
}

impl<T, E> Outcome<Result<T, E>> {
    /// The value of a child that ended well.
    pub fn ok(self) -> Option<T> {
        self.output()?.ok()
    }

    /// The error of a child that failed.
    pub fn err(self) -> Option<E> {
        self.output()?.err()
    }

    /// Whether the child ended well.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Output(Ok(_)))
    }

    /// Whether the child failed. One that was cancelled did not.
    pub fn is_err(&self) -> bool {
        matches!(self, Self::Output(Err(_)))
    }
}

/// What a [`Joiner`] wants when its scope is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it decides what the scope gives"]
pub enum OnCancel {
    /// The scope gives [`ScopeError::Cancelled`](crate::ScopeError::Cancelled). Nothing more is told.
    GiveUp,
    /// The joiner is told how the remaining children end, most of them by being cancelled; and then the scope
    /// gives what [`finish`](Joiner::finish) makes of it.
    Finish,
}

/// Why all children have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// By themselves.
    Complete,
    /// The joiner said [`Flow::Stop`].
    Stopped,
    /// The scope was cancelled, and the joiner wanted to [finish](OnCancel::Finish).
    Cancelled(Reason),
}
