//! [`any_ok`]: the first success, or all the errors.

use std::error::Error;
use std::fmt;

use super::{Cause, Flow, Joiner, Outcome};
use crate::{ChildId, Reason};

/// The first success. The rest is cancelled by it; errors before it are dropped.
///
/// When there is none, the error is all of theirs: [`NoSuccess`], even if it is one, or none because nothing
/// was spawned.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, joiners};
///
/// let texts = ["x", "7", "8"];
/// let first = block_on(Scope::builder().gather(joiners::any_ok(), async |s| {
///     for text in &texts {
///         s.spawn(async move { text.parse::<u32>() });
///     }
/// }));
/// assert_eq!(first.unwrap(), 7);
///
/// let none = block_on(Scope::builder().gather(joiners::any_ok(), async |s| {
///     s.spawn(async { "x".parse::<u32>() });
/// }));
/// let errors = none.unwrap_err().failed().unwrap();
/// assert_eq!(errors.to_string(), "invalid digit found in string");
/// ```
pub fn any_ok<T, E>() -> AnyOk<T, E> {
    AnyOk { value: None, errors: Vec::new() }
}

/// The joiner that [`any_ok`] makes.
#[must_use = "a joiner does nothing before a scope is run with it"]
pub struct AnyOk<T, E> {
    value: Option<T>,
    errors: Vec<E>,
}

impl<T, E> Joiner<Result<T, E>> for AnyOk<T, E> {
    type Out = T;
    type Error = NoSuccess<E>;

    fn on_end(&mut self, _: ChildId, outcome: Outcome<Result<T, E>>) -> Flow {
        match outcome {
            Outcome::Output(Ok(value)) => {
                self.value = Some(value);
                return Flow::Stop(Reason::NotNeeded);
            }
            Outcome::Output(Err(error)) => self.errors.push(error),
            Outcome::Cancelled(_) | Outcome::Panicked => {}
        }
        Flow::Continue
    }

    fn finish(self, _: &Cause) -> Result<T, NoSuccess<E>> {
        self.value.ok_or(NoSuccess(self.errors))
    }
}

impl<T, E> fmt::Debug for AnyOk<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyOk").field("failed", &self.errors.len()).finish_non_exhaustive()
    }
}

/// No child succeeded: the errors of all, in the order in which they came.
///
/// Its `Display` is a list; its [`source`](Error::source) is the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuccess<E>(Vec<E>);

impl<E> NoSuccess<E> {
    /// All of them.
    pub fn as_slice(&self) -> &[E] {
        &self.0
    }

    /// All of them, by value.
    pub fn into_vec(self) -> Vec<E> {
        self.0
    }
}

impl<E: fmt::Display> fmt::Display for NoSuccess<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else {
            return f.write_str("there was no child that could succeed");
        };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|error| write!(f, "; {error}"))
    }
}

impl<E: Error + 'static> Error for NoSuccess<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.first().map(|error| error as _)
    }
}
