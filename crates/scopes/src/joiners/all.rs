//! [`all`]: all values, in the order of spawning, or the first error.

use std::fmt;

use super::{Cause, Flow, Joiner, Outcome};
use crate::{ChildId, Reason};

/// All values, in the order of spawning. The first error stops the scope, and is given.
///
/// A child that was cancelled by its handle leaves no value, and is no error.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, joiners};
///
/// let error = block_on(Scope::builder().gather(joiners::all(), async |s| {
///     s.spawn(std::future::pending::<Result<u8, &str>>()); // cancelled by the error
///     s.spawn(async { Err("no") });
/// }));
/// assert_eq!(error.unwrap_err().failed(), Some("no"));
/// ```
pub fn all<T, E>() -> All<T, E> {
    All { values: Vec::new(), error: None }
}

/// The joiner that [`all`] makes.
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct All<T, E> {
    values: Vec<(ChildId, T)>,
    error: Option<E>,
}

impl<T, E> Joiner<Result<T, E>> for All<T, E> {
    type Out = Vec<T>;
    type Error = E;

    fn on_end(&mut self, id: ChildId, outcome: Outcome<Result<T, E>>) -> Flow {
        match outcome {
            Outcome::Output(Ok(value)) => self.values.push((id, value)),
            Outcome::Output(Err(error)) => {
                self.error = Some(error);
                return Flow::Stop(Reason::SiblingFailed);
            }
            Outcome::Cancelled(_) | Outcome::Panicked => {}
        }
        Flow::Continue
    }

    fn finish(self, _: &Cause) -> Result<Vec<T>, E> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(in_order(self.values)),
        }
    }
}

impl<T, E> fmt::Debug for All<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("All").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

/// In the order of spawning.
pub(super) fn in_order<T>(mut entries: Vec<(ChildId, T)>) -> Vec<T> {
    entries.sort_unstable_by_key(|entry| entry.0);
    entries.into_iter().map(|entry| entry.1).collect()
}
