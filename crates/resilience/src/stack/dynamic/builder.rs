//! [`DynamicBuilder`]: how a dynamic stack is put together.

use std::fmt;
use std::time::Duration;

use weirs_runtime::Clock;

use super::{Dynamic, DynamicOnce};
use crate::{Invalid, Observer, Plan, Policy, Root, Stack, StackBuilder};

/// Puts a [`Dynamic`] stack together, from the outside in; made by [`Stack::dynamic`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Dynamic, Stack, Timeout};
///
/// fn stack(total: Option<Duration>, each: Duration) -> Stack<Dynamic<String, std::io::Error>> {
///     let mut policies = Stack::dynamic().named("quotes");
///     if let Some(total) = total {
///         policies = policies.timeout(total);
///     }
///     policies.policy(Timeout::new(each)).build().unwrap()
/// }
///
/// let stack = stack(Some(Duration::from_secs(2)), Duration::from_millis(300));
/// assert_eq!(stack.plan().parts().len(), 2);
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct DynamicBuilder<T, E> {
    builder: StackBuilder<Dynamic<T, E>>,
}

impl<T, E> DynamicBuilder<T, E> {
    pub(in crate::stack) fn new() -> Self {
        Self { builder: StackBuilder::new().map(|_| Dynamic::new()) }
    }

    /// A name, for events and for people.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { builder: self.builder.named(name) }
    }

    /// The clock whose time counts: real time unless said otherwise.
    pub fn clock(self, clock: &Clock) -> Self {
        Self { builder: self.builder.clock(clock) }
    }

    /// Who is told of what the policies do.
    pub fn observer(self, observer: impl Observer + 'static) -> Self {
        Self { builder: self.builder.observer(observer) }
    }

    /// Counts calls and their ends too; see [`StackBuilder::counted`].
    pub fn counted(self) -> Self {
        Self { builder: self.builder.counted() }
    }

    /// A policy inside those that are there.
    pub fn policy<Q>(self, policy: Q) -> Self
    where
        Q: Policy<T, E> + Send + Sync + 'static,
        Q::State: Send + 'static,
    {
        self.layer(|layer| layer.policy(policy))
    }

    /// A limit of time for all that is inside; see [`StackBuilder::timeout`].
    pub fn timeout(self, after: Duration) -> Self {
        self.layer(|layer| layer.timeout(after))
    }

    /// Holds to the deadline of the call; see [`StackBuilder::deadline`].
    pub fn deadline(self) -> Self {
        self.layer(|layer| layer.deadline())
    }

    /// What a [`StackBuilder`] can add, inside those that are there: every method of it that adds a policy
    /// is at hand. Several policies of one layer share one indirect call.
    ///
    /// Name, clock and observer are those of the whole stack, whatever is set in here.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::Stack;
    ///
    /// let limit = Duration::from_secs(1);
    /// let stack = Stack::dynamic::<u32, ()>().layer(|layer| layer.deadline().timeout(limit));
    /// let stack = stack.build().unwrap();
    /// assert_eq!(stack.plan().parts()[1].name(), "timeout");
    /// ```
    pub fn layer<Q>(mut self, add: impl FnOnce(StackBuilder<Root>) -> StackBuilder<Q>) -> Self
    where
        Q: Policy<T, E> + Send + Sync + 'static,
        Q::State: Send + 'static,
    {
        let places = u16::try_from(self.plan().parts().len()).unwrap_or(u16::MAX);
        let layer = add(StackBuilder::after(places)).into_policy();
        self.builder = self.builder.map(|mut policies| {
            policies.push(layer);
            policies
        });
        self
    }

    /// The stack.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn build(self) -> Result<Stack<Dynamic<T, E>>, Invalid> {
        self.builder.build()
    }

    /// The stack; what [`lints`](Stack::lints) finds is an error too.
    ///
    /// # Errors
    /// The first setting that makes no sense, or the first lint.
    pub fn build_strict(self) -> Result<Stack<Dynamic<T, E>>, Invalid> {
        self.builder.build_strict()
    }

    /// A stack for [`call_once`](Stack::call_once): what the compiler checks for a stack of known policies is
    /// checked here.
    ///
    /// # Errors
    /// The first setting that makes no sense; or `stack.single_shot`, if there is a retry, a hedge, or a
    /// policy of your own that does not say that it [begins once](crate::PartPlan::begins_once).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::Stack;
    /// use weirs_runtime::block_on;
    ///
    /// let stack = Stack::dynamic().timeout(Duration::from_secs(1)).build_single_shot().unwrap();
    /// assert_eq!(block_on(stack.call_once(async { Ok::<_, ()>(1) })).unwrap(), 1);
    /// ```
    pub fn build_single_shot(self) -> Result<Stack<DynamicOnce<T, E>>, Invalid> {
        match self.plan().parts().iter().all(|part| part.is_single_shot()) {
            true => self.builder.map(DynamicOnce).build(),
            false => Err(Invalid::new("stack.single_shot", "a policy may begin the work more than once")),
        }
    }

    fn plan(&self) -> Plan {
        self.builder.plan()
    }
}

impl<T, E> fmt::Debug for DynamicBuilder<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicBuilder").field("plan", &self.plan()).finish_non_exhaustive()
    }
}
