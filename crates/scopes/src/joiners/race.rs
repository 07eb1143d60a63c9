//! [`race`]: the first output, good or bad.

use std::error::Error;
use std::fmt;

use super::{Cause, Flow, Joiner, Outcome};
use crate::{ChildId, Reason};

/// The first output, of whatever type; the rest is cancelled. An error counts as much as a value: with
/// children that give a `Result`, the winner's is given as it is. Use [`any_ok`](super::any_ok) to pass over
/// errors.
///
/// A child that was cancelled by its handle does not take part. When no child takes part, the error is
/// [`NoOutput`].
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, joiners};
///
/// let first = block_on(Scope::builder().gather(joiners::race(), async |s| {
///     s.spawn(std::future::pending());
///     s.spawn(async { "x".parse::<u32>() });
/// }));
/// assert!(first.unwrap().is_err());
/// ```
pub fn race<O>() -> Race<O> {
    Race(None)
}

/// The joiner that [`race`] makes.
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct Race<O>(Option<O>);

impl<O> Joiner<O> for Race<O> {
    type Out = O;
    type Error = NoOutput;

    fn on_end(&mut self, _: ChildId, outcome: Outcome<O>) -> Flow {
        match outcome {
            Outcome::Output(output) => {
                self.0 = Some(output);
                Flow::Stop(Reason::NotNeeded)
            }
            Outcome::Cancelled(_) | Outcome::Panicked => Flow::Continue,
        }
    }

    fn finish(self, _: &Cause) -> Result<O, NoOutput> {
        self.0.ok_or(NoOutput)
    }
}

impl<O> fmt::Debug for Race<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race").field("over", &self.0.is_some()).finish()
    }
}

/// The error of a [`race`] in which no child had an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoOutput;

impl fmt::Display for NoOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no child had an output")
    }
}

impl Error for NoOutput {}
