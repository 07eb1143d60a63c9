//! [`StackBuilder`]: how a stack is put together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::Clock;

use super::{Chain, Root, Stack};
use crate::observe::{Around, Observer};
use crate::{Deadline, Invalid, Part, Place, Plan, Timeout};

/// Puts a stack together, from the outside in: what is added first sees the call first, and its result last.
///
/// A good order, of those one needs: fallback, timeout of the whole, retry, hedge, rate limit, breaker,
/// bulkhead, timeout of one attempt, chaos.
#[must_use = "a builder does nothing until `build`"]
pub struct StackBuilder<P> {
    policy: P,
    places: u16,
    name: String,
    clock: Clock,
    observer: Option<Arc<dyn Observer>>,
}

impl StackBuilder<Root> {
    pub(crate) fn new() -> Self {
        Self { policy: Root, places: 0, name: String::new(), clock: Clock::default(), observer: None }
    }
}

impl<P: Part> StackBuilder<P> {
    /// A name, for events and for people.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The clock whose time counts: real time unless said otherwise.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Who is told of what the policies do.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// A policy of your own, or one that was made before.
    pub fn policy<Q: Part>(self, policy: Q) -> StackBuilder<Chain<P, Q>> {
        StackBuilder {
            policy: Chain::new(self.policy, policy, Place(self.places)),
            places: self.places.saturating_add(1),
            name: self.name,
            clock: self.clock,
            observer: self.observer,
        }
    }

    /// A limit of time for all that is inside, counted from when somebody first has to wait.
    pub fn timeout(self, after: Duration) -> StackBuilder<Chain<P, Timeout>> {
        self.policy(Timeout::new(after))
    }

    /// Holds to the deadline that a call was given by [`by`](crate::Call::by) or
    /// [`under`](crate::Call::under).
    pub fn deadline(self) -> StackBuilder<Chain<P, Deadline>> {
        self.policy(Deadline::new())
    }

    /// The stack.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn build(self) -> Result<Stack<P>, Invalid> {
        let stack = self.build_unchecked();
        match &stack.invalid {
            Some(invalid) => Err(invalid.clone()),
            None => Ok(stack),
        }
    }

    /// The stack; one that makes no sense refuses every call.
    pub(crate) fn build_unchecked(self) -> Stack<P> {
        let invalid = Plan::of(&self.policy).invalid().cloned();
        Stack { around: Around::new(&self.name, self.clock, self.observer), policy: self.policy, invalid }
    }
}

impl<P: Part> fmt::Debug for StackBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBuilder").field("plan", &Plan::of(&self.policy)).finish_non_exhaustive()
    }
}
