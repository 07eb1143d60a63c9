//! [`all_settled`] and [`outputs`]: what became of every child; nothing stops the scope.

use std::convert::Infallible;
use std::fmt;

use super::all::in_order;
use super::{Cause, Flow, Joiner, Outcome};
use crate::ChildId;

/// What became of every child, in the order of spawning. Neither errors nor cancelled children stop the
/// scope. A panic does, as always.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Reason, Scope, joiners, joiners::Outcome};
///
/// let outcomes = block_on(Scope::builder().gather(joiners::all_settled(), async |s| {
///     s.spawn(async { "7".parse::<u8>().map_err(drop) });
///     s.spawn(async { "x".parse::<u8>().map_err(drop) });
///     s.spawn(std::future::pending()).cancel();
/// }));
/// let expected =
///     [Outcome::Output(Ok(7)), Outcome::Output(Err(())), Outcome::Cancelled(Reason::Requested)];
/// assert_eq!(outcomes.unwrap(), expected);
/// ```
pub fn all_settled<O>() -> AllSettled<O> {
    AllSettled(Vec::new())
}

/// The joiner that [`all_settled`] makes.
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct AllSettled<O>(Vec<(ChildId, Outcome<O>)>);

impl<O> Joiner<O> for AllSettled<O> {
    type Out = Vec<Outcome<O>>;
    type Error = Infallible;

    fn on_end(&mut self, id: ChildId, outcome: Outcome<O>) -> Flow {
        self.0.push((id, outcome));
        Flow::Continue
    }

    fn finish(self, _: &Cause) -> Result<Vec<Outcome<O>>, Infallible> {
        Ok(in_order(self.0))
    }
}

impl<O> fmt::Debug for AllSettled<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllSettled").field("ended", &self.0.len()).finish()
    }
}

/// The outputs of children of any type, in the order of spawning. Nothing stops the scope, and children that
/// were cancelled by their handles have none.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, joiners};
///
/// let words = ["one", "three"];
/// let lengths = block_on(Scope::builder().gather(joiners::outputs(), async |s| {
///     for word in words {
///         s.spawn(async move { word.len() });
///     }
/// }));
/// assert_eq!(lengths.unwrap(), [3, 5]);
/// ```
pub fn outputs<O>() -> Outputs<O> {
    Outputs(Vec::new())
}

/// The joiner that [`outputs`] makes.
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct Outputs<O>(Vec<(ChildId, O)>);

impl<O> Joiner<O> for Outputs<O> {
    type Out = Vec<O>;
    type Error = Infallible;

    fn on_end(&mut self, id: ChildId, outcome: Outcome<O>) -> Flow {
        self.0.extend(outcome.output().map(|output| (id, output)));
        Flow::Continue
    }

    fn finish(self, _: &Cause) -> Result<Vec<O>, Infallible> {
        Ok(in_order(self.0))
    }
}

impl<O> fmt::Debug for Outputs<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").field("ended", &self.0.len()).finish()
    }
}
