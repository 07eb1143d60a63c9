//! [`until_deadline`]: what another joiner has when the deadline comes.

use std::convert::Infallible;

use super::{Cause, Flow, Joiner, OnCancel, Outcome};
use crate::{ChildId, Reason};

/// What the inner joiner makes of whatever is there at the deadline: a deadline is no error.
///
/// The inner joiner is told that the children that were left are cancelled, with
/// [`Reason::Deadline`]. What it makes may be an error all the same, such as [`TooFew`](super::TooFew), which
/// has the values. When the scope is cancelled for another reason, the result is
/// [`ScopeError::Cancelled`](crate::ScopeError::Cancelled) as without it.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Clock, block_on};
/// use weirs_scopes::{Scope, joiners};
///
/// let soon = Clock::default().now() + Duration::from_millis(5);
/// let joiner = joiners::until_deadline(joiners::all_settled());
/// let partial = block_on(Scope::builder().deadline(soon).gather(joiner, async |s| {
///     s.spawn(async { 1 });
///     s.spawn(std::future::pending());
/// }));
/// let partial = partial.unwrap();
/// assert!(!partial.complete);
/// let Ok(outcomes) = partial.result;
/// assert_eq!(outcomes[0], joiners::Outcome::Output(1));
/// assert!(outcomes[1].is_timed_out());
/// ```
pub fn until_deadline<J>(joiner: J) -> UntilDeadline<J> {
    UntilDeadline { inner: joiner, complete: true }
}

/// The joiner that [`until_deadline`] makes.
#[derive(Debug)]
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct UntilDeadline<J> {
    inner: J,
    complete: bool,
}

/// What another joiner made, and whether the deadline cut it short.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it may be an error"]
pub struct Partial<T, E> {
    /// What the other joiner made.
    pub result: Result<T, E>,
    /// Whether that was before the deadline. If not, children or the body were cut short, and there may be
    /// children that were never spawned.
    pub complete: bool,
}

impl<O, J: Joiner<O>> Joiner<O> for UntilDeadline<J> {
    type Out = Partial<J::Out, J::Error>;
    type Error = Infallible;

    fn on_spawn(&mut self, id: ChildId) {
        self.inner.on_spawn(id);
    }

    fn on_close(&mut self) -> Flow {
        self.inner.on_close()
    }

    fn on_end(&mut self, id: ChildId, outcome: Outcome<O>) -> Flow {
        self.inner.on_end(id, outcome)
    }

    fn on_cancel(&mut self, why: &Reason) -> OnCancel {
        let answer = match why {
            Reason::Deadline => OnCancel::Finish,
            _ => self.inner.on_cancel(why),
        };
        self.complete = false;
        answer
    }

    fn finish(self, cause: &Cause) -> Result<Self::Out, Infallible> {
        Ok(Partial { result: self.inner.finish(cause), complete: self.complete })
    }
}
