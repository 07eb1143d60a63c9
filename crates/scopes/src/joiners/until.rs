//! [`until`]: every outcome, up to the one for which a condition holds.

use std::convert::Infallible;
use std::fmt;

use super::{Cause, Flow, Joiner, Outcome};
use crate::{ChildId, Reason};

/// Every outcome, in the order in which they came, up to and with the first for which `enough` holds; the
/// rest is cancelled.
///
/// If it never holds, these are the outcomes of all children.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, joiners};
///
/// let mut failures = 0;
/// let three_failed = |_, outcome: &joiners::Outcome<Result<u32, _>>| {
///     failures += u32::from(outcome.is_err());
///     failures == 3
/// };
/// let texts = ["1", "x", "y", "2", "z", "3"];
/// let seen = block_on(Scope::builder().gather(joiners::until(three_failed), async |s| {
///     for text in &texts {
///         s.spawn(async move { text.parse::<u32>() });
///     }
/// }));
/// assert_eq!(seen.unwrap().len(), 5);
/// ```
pub fn until<O, P>(enough: P) -> Until<O, P>
where
    P: FnMut(ChildId, &Outcome<O>) -> bool,
{
    Until { enough, outcomes: Vec::new() }
}

/// The joiner that [`until`] makes.
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct Until<O, P> {
    enough: P,
    outcomes: Vec<(ChildId, Outcome<O>)>,
}

impl<O, P> Joiner<O> for Until<O, P>
where
    P: FnMut(ChildId, &Outcome<O>) -> bool,
{
    type Out = Vec<(ChildId, Outcome<O>)>;
    type Error = Infallible;

    fn on_end(&mut self, id: ChildId, outcome: Outcome<O>) -> Flow {
        let enough = (self.enough)(id, &outcome);
        self.outcomes.push((id, outcome));
        if enough { Flow::Stop(Reason::NotNeeded) } else { Flow::Continue }
    }

    fn finish(self, _: &Cause) -> Result<Self::Out, Infallible> {
        Ok(self.outcomes)
    }
}

impl<O, P> fmt::Debug for Until<O, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").field("outcomes", &self.outcomes.len()).finish_non_exhaustive()
    }
}
