//! [`Fallback`]: another answer in place of an error.

mod later;

use std::fmt;
use std::task::Poll;

pub use later::FallBack;

use crate::stack::alone;
use crate::{
    Attempt, Chain, Error, EventKind, Inner, Part, Plan, Policy, Role, Root, Scene, SingleShot, Stack,
    StackBuilder, Turn,
};

/// A fallback, alone: `fallback(|error| ..).call(work)`.
///
/// # Examples
/// ```
/// use weirs_resilience::{Error, fallback};
/// use weirs_runtime::block_on;
///
/// let stack = fallback(|error: &Error<&str>| error.inner().is_some().then_some("a guess"));
/// assert_eq!(block_on(stack.call(async |_| Err("broken"))), Ok("a guess"));
/// ```
pub fn fallback<S>(substitute: S) -> Stack<Chain<Root, Fallback<S>>> {
    alone(Fallback::new(substitute))
}

impl<P: Part> StackBuilder<P> {
    /// Another answer in place of an error, or `None` to let the error pass. The closure says the type of
    /// the error: `|error: &Error<ApiError>| Some(..)`.
    ///
    /// An answer that has to be waited for is [`Call::fall_back`](crate::Call::fall_back).
    pub fn fallback<T, E, F>(self, substitute: F) -> StackBuilder<Chain<P, Fallback<F>>>
    where
        F: Fn(&Error<E>) -> Option<T>,
    {
        self.policy(Fallback::new(substitute))
    }

    /// A clone of this value in place of any error.
    pub fn fallback_value<T: Clone>(self, value: T) -> StackBuilder<Chain<P, Fallback<FallbackValue<T>>>> {
        self.policy(Fallback::value(value))
    }
}

/// Gives another answer when what is inside failed.
///
/// It stands outermost as a rule: further in, a retry or a breaker would never see the error.
///
/// # Examples
/// Only while the circuit is open:
/// ```
/// use weirs_resilience::{Error, Fallback, Reason, Stack};
/// use weirs_runtime::block_on;
///
/// let stale = Fallback::value(7).when(|error: &Error<()>| error.is_circuit_open());
/// let stack = Stack::builder().policy(stale).build().unwrap();
/// assert_eq!(block_on(stack.call(async |_| Err::<i32, _>(()))), Err(Error::Inner(())));
/// ```
#[derive(Clone, Copy)]
#[must_use = "it gives no answer until it is in a stack"]
pub struct Fallback<S> {
    substitute: S,
}

impl<S> Fallback<S> {
    /// What this gives: a closure `|error: &Error<E>| Option<T>`.
    pub const fn new(substitute: S) -> Self {
        Self { substitute }
    }

    /// Only in place of errors for which this holds.
    pub fn when<E, F: Fn(&Error<E>) -> bool>(self, holds: F) -> Fallback<FallbackWhen<S, F>> {
        Fallback { substitute: FallbackWhen { substitute: self.substitute, holds } }
    }
}

impl<T: Clone> Fallback<FallbackValue<T>> {
    /// A clone of this value.
    pub const fn value(value: T) -> Self {
        Self { substitute: FallbackValue(value) }
    }
}

/// What stands in for an error: a closure `Fn(&Error<E>) -> Option<T>`, or a [`FallbackValue`].
pub trait Substitute<T, E> {
    /// The answer in place of this error, if there is one.
    fn substitute(&self, error: &Error<E>) -> Option<T>;
}

impl<T, E, F: Fn(&Error<E>) -> Option<T>> Substitute<T, E> for F {
    fn substitute(&self, error: &Error<E>) -> Option<T> {
        self(error)
    }
}

/// The same value for every error; see [`Fallback::value`].
#[derive(Clone, Copy, Debug)]
pub struct FallbackValue<T>(T);

impl<T: Clone, E> Substitute<T, E> for FallbackValue<T> {
    fn substitute(&self, _: &Error<E>) -> Option<T> {
        Some(self.0.clone())
    }
}

/// An answer for some errors; see [`Fallback::when`].
#[derive(Clone, Copy)]
pub struct FallbackWhen<S, F> {
    substitute: S,
    holds: F,
}

impl<T, E, S: Substitute<T, E>, F: Fn(&Error<E>) -> bool> Substitute<T, E> for FallbackWhen<S, F> {
    fn substitute(&self, error: &Error<E>) -> Option<T> {
        (self.holds)(error).then(|| self.substitute.substitute(error)).flatten()
    }
}

impl<S, F> fmt::Debug for FallbackWhen<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackWhen").finish_non_exhaustive()
    }
}

impl<S> SingleShot for Fallback<S> {}

impl<S> Part for Fallback<S> {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Fallback, "fallback").says("gives another answer in place of an error");
    }
}

impl<T, E, S: Substitute<T, E>> Policy<T, E> for Fallback<S> {
    type State = ();

    #[inline(always)]
    fn begin(&self) {}

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        _: &mut (),
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        match inner.poll(turn, at) {
            Poll::Ready(Err(error)) => Poll::Ready(self.instead(turn, error)),
            other => other,
        }
    }

    #[inline]
    fn abandon(&self, _: &mut (), _: Scene<'_>) {}
}

impl<S> Fallback<S> {
    #[cold]
    fn instead<T, E>(&self, turn: &Turn<'_, '_>, error: Error<E>) -> Result<T, Error<E>>
    where
        S: Substitute<T, E>,
    {
        let answer = self.substitute.substitute(&error).ok_or(error)?;
        turn.tell(EventKind::FellBack);
        Ok(answer)
    }
}

impl<S> fmt::Debug for Fallback<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}
