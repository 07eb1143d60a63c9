//! [`discard`] and [`discard_all`]: no values, and nothing kept of a child that has ended.

use std::convert::Infallible;
use std::fmt;

use super::{Cause, Flow, Joiner, Outcome};
use crate::{ChildId, Reason};

/// Keeps no values: a server can spawn children for ever. The first error stops the scope, and is given.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, joiners};
///
/// let done = block_on(Scope::builder().gather(joiners::discard(), async |s| {
///     for _ in 0..1_000 {
///         s.spawn(async { Ok::<_, String>([0; 64]) });
///     }
/// }));
/// assert!(done.is_ok());
/// ```
pub fn discard<E>() -> Discard<E> {
    Discard(None)
}

/// The joiner that [`discard`] makes.
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct Discard<E>(Option<E>);

impl<T, E> Joiner<Result<T, E>> for Discard<E> {
    type Out = ();
    type Error = E;

    fn on_end(&mut self, _: ChildId, outcome: Outcome<Result<T, E>>) -> Flow {
        match outcome.err() {
            Some(error) => {
                self.0 = Some(error);
                Flow::Stop(Reason::SiblingFailed)
            }
            None => Flow::Continue,
        }
    }

    fn finish(self, _: &Cause) -> Result<(), E> {
        self.0.map_or(Ok(()), Err)
    }
}

impl<E> fmt::Debug for Discard<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discard").field("failed", &self.0.is_some()).finish()
    }
}

/// Keeps nothing of children of any output, and nothing stops the scope: errors are dropped too.
pub fn discard_all() -> DiscardAll {
    DiscardAll(())
}

/// The joiner that [`discard_all`] makes.
#[derive(Debug)]
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct DiscardAll(());

impl<O> Joiner<O> for DiscardAll {
    type Out = ();
    type Error = Infallible;

    fn on_end(&mut self, _: ChildId, _: Outcome<O>) -> Flow {
        Flow::Continue
    }

    fn finish(self, _: &Cause) -> Result<(), Infallible> {
        Ok(())
    }
}
