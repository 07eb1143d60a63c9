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
/// A good order, of those one needs: fallback, cache, timeout of the whole, retry, hedge, rate limit,
/// breaker, bulkhead, timeout of one attempt, chaos.
#[must_use = "a builder does nothing until `build`"]
pub struct StackBuilder<P> {
    policy: P,
    places: u16,
    name: String,
    clock: Clock,
    observer: Option<Arc<dyn Observer>>,
    counted: bool,
}

impl StackBuilder<Root> {
    pub(crate) fn new() -> Self {
        Self::after(0)
    }

    /// So many policies stand outside of it.
    pub(super) fn after(places: u16) -> Self {
        Self {
            policy: Root,
            places,
            name: String::new(),
            clock: Clock::default(),
            observer: None,
            counted: false,
        }
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

    /// Counts calls, their ends and attempts too, for [`stats`](Stack::stats). It costs a few nanoseconds a
    /// call; all that is not the happy path is counted anyway.
    pub fn counted(mut self) -> Self {
        self.counted = true;
        self
    }

    /// A policy of your own, or one that was made before.
    pub fn policy<Q: Part>(self, policy: Q) -> StackBuilder<Chain<P, Q>> {
        let place = Place(self.places);
        let places = self.places.saturating_add(1);
        StackBuilder { places, ..self.map(|outer| Chain::new(outer, policy, place)) }
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

    /// The policies so far.
    pub(super) fn into_policy(self) -> P {
        self.policy
    }

    /// The same settings with other policies.
    pub(super) fn map<Q>(self, map: impl FnOnce(P) -> Q) -> StackBuilder<Q> {
        StackBuilder {
            policy: map(self.policy),
            places: self.places,
            name: self.name,
            clock: self.clock,
            observer: self.observer,
            counted: self.counted,
        }
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

    /// The stack; what [`lints`](Stack::lints) finds is an error too.
    ///
    /// # Errors
    /// The first setting that makes no sense, or the first lint, as `stack.order`.
    ///
    /// # Examples
    /// ```
    /// use weirs_resilience::Stack;
    ///
    /// let invalid = Stack::builder().build_strict().unwrap_err();
    /// assert_eq!(invalid.field(), "stack.order");
    /// assert!(invalid.to_string().contains("nothing limits the time"));
    /// ```
    pub fn build_strict(self) -> Result<Stack<P>, Invalid> {
        let stack = self.build()?;
        match stack.lints().first() {
            Some(lint) => Err(Invalid::new("stack.order", lint.text())),
            None => Ok(stack),
        }
    }

    pub(super) fn plan(&self) -> Plan {
        Plan::of(&self.policy)
    }

    /// The stack; one that makes no sense refuses every call.
    pub(crate) fn build_unchecked(self) -> Stack<P> {
        let invalid = self.plan().invalid().cloned();
        let around = Around::new(self.name, self.clock, self.observer, self.counted);
        Stack { around: Arc::new(around), policy: self.policy, invalid }
    }
}

impl<P: Part> fmt::Debug for StackBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackBuilder").field("plan", &self.plan()).finish_non_exhaustive()
    }
}
