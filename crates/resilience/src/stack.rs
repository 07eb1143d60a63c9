//! [`Stack`]: policies from the outside in, and the calls that go through them.

mod builder;
mod call;
mod chain;
mod dynamic;
mod leaf;
mod once;
mod report;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use weirs_runtime::Clock;

pub use builder::StackBuilder;
pub use call::Call;
pub use chain::{Chain, ChainState, Root};
pub use dynamic::{Dynamic, DynamicBuilder, DynamicOnce, DynamicState};
pub use leaf::{Again, Start};
pub use once::{CallOnce, Once, SingleShot};
pub use report::{CallReported, Report};

use crate::observe::Around;
use crate::{Attempt, Degradation, Error, Invalid, Lint, Plan, Policy, Stats};

/// Policies from the outside in, ready to be called through.
///
/// A stack of known policies is one type; its calls are futures without a box. It is shared by reference, in
/// an `Arc`, or by clones; whatever has to be remembered from call to call, such as a breaker, is in the
/// policies.
///
/// # As a field
/// The type of a stack names all its policies. Where that is too long, the field's type is a parameter
/// (`struct Client<P> { stack: Stack<P> }`), or a [`Stack<Dynamic<T, E>>`](Dynamic).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Error, Stack};
/// use weirs_runtime::block_on;
///
/// let stack = Stack::builder().timeout(Duration::from_secs(1)).build().unwrap();
/// let answer = block_on(stack.call(async |_| Ok::<_, Error<()>>(42)));
/// assert_eq!(answer.unwrap(), 42);
/// ```
pub struct Stack<P> {
    pub(crate) policy: P,
    pub(crate) around: Arc<Around>,
    pub(crate) invalid: Option<Invalid>,
}

impl Stack<Root> {
    /// Begins with no policy; each one that is added stands inside those before it.
    pub fn builder() -> StackBuilder<Root> {
        StackBuilder::new()
    }

    /// Begins with no policy, for policies whose types shall not be part of the stack's; see [`Dynamic`].
    pub fn dynamic<T, E>() -> DynamicBuilder<T, E> {
        DynamicBuilder::new()
    }
}

impl<P> Stack<P> {
    /// Calls `work` through the policies.
    ///
    /// The closure is called once for each attempt. It may borrow: `async |at| client.get(url, at).await` is
    /// fine, and the future is `Send` if what it borrows allows that.
    ///
    /// # Waiting
    /// As long as the policies and the work take. Lazy: nothing happens before the first poll.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the work is dropped first; then every policy gives back what it held.
    ///
    /// # Panics
    /// The call passes on a panic of the work.
    ///
    /// # Errors
    /// [`Error`]: the work's own, or what a policy has to say.
    #[inline(always)]
    pub fn call<T, E, S, F, Fut>(&self, work: F) -> Call<'_, P, S, Again<F>, Fut, T, E>
    where
        P: Policy<T, E, State = S>,
        F: Fn(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Call::new(self, Again(work), None)
    }

    /// Calls with a value that each attempt gets a clone of: for closures that would have to own what they
    /// use.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::timeout;
    /// use weirs_runtime::block_on;
    ///
    /// let name = String::from("anna");
    /// let stack = timeout(Duration::from_secs(1));
    /// let call = stack.call_with(name, |name, _| async move { Ok::<_, ()>(name.len()) });
    /// assert_eq!(block_on(call).unwrap(), 4);
    /// ```
    pub fn call_with<T, E, S, C, F, Fut>(
        &self,
        context: C,
        work: F,
    ) -> Call<'_, P, S, Again<impl Fn(Attempt) -> Fut + use<C, F, Fut, P, S, T, E>>, Fut, T, E>
    where
        P: Policy<T, E, State = S>,
        C: Clone,
        F: Fn(C, Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call(move |at| work(context.clone(), at))
    }

    /// Calls with a future that can run only once. A stack with a retry or a hedge in it does not have this.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::timeout;
    /// use weirs_runtime::block_on;
    ///
    /// let stack = timeout(Duration::from_secs(1));
    /// assert_eq!(block_on(stack.call_once(async { Ok::<_, ()>(1) })).unwrap(), 1);
    /// ```
    /// A retry would have nothing to run again:
    /// ```compile_fail,E0277
    /// use std::time::Duration;
    /// use weirs_resilience::{Retry, retry};
    ///
    /// let stack = retry(Retry::exponential(Duration::from_millis(50)));
    /// let _ = stack.call_once(async { Ok::<_, ()>(1) });
    /// ```
    pub fn call_once<T, E, S, Fut>(&self, work: Fut) -> CallOnce<'_, P, S, Fut, T, E>
    where
        P: Policy<T, E, State = S> + SingleShot,
        Fut: Future<Output = Result<T, E>>,
    {
        CallOnce::new(self, work)
    }

    /// Calls, and tells what it took beside the result.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::timeout;
    /// use weirs_runtime::block_on;
    ///
    /// let stack = timeout(Duration::from_secs(1));
    /// let report = block_on(stack.call_reported(async |_| Ok::<_, ()>(1)));
    /// assert_eq!((report.result, report.attempts), (Ok(1), 1));
    /// ```
    pub fn call_reported<T, E, S, F, Fut>(&self, work: F) -> CallReported<'_, P, S, Again<F>, Fut, T, E>
    where
        P: Policy<T, E, State = S>,
        F: Fn(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        CallReported::new(self, Again(work))
    }

    /// The clock whose time counts.
    pub fn clock(&self) -> &Clock {
        &self.around.clock
    }

    /// Its name, empty if it has none.
    pub fn name(&self) -> &str {
        &self.around.name
    }

    /// What it consists of.
    pub fn plan(&self) -> Plan
    where
        P: crate::Part,
    {
        Plan::of(&self.policy)
    }

    /// What is odd about the order of its policies.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::{LintKind, Stack};
    ///
    /// let (total, each) = (Duration::from_secs(1), Duration::from_secs(2));
    /// let stack = Stack::builder().timeout(total).timeout(each).build().unwrap();
    /// assert_eq!(stack.lints()[0].kind(), LintKind::TimeoutNeverStrikes);
    /// ```
    pub fn lints(&self) -> Vec<Lint>
    where
        P: crate::Part,
    {
        self.plan().lints()
    }

    /// What happens to a caller under each failure.
    pub fn describe(&self) -> Degradation
    where
        P: crate::Part,
    {
        self.plan().degradation()
    }

    /// How often what happened; all clones count together.
    pub fn stats(&self) -> Stats {
        self.around.stats()
    }

    /// An error if it was set up with values that make no sense.
    pub(crate) fn refuse_if_invalid<E>(&self) -> Result<(), Error<E>> {
        match &self.invalid {
            None => Ok(()),
            Some(_) => {
                Err(Error::Rejected(crate::Rejection::new(crate::Reason::Invalid, crate::Place::ALONE)))
            }
        }
    }
}

/// The clone counts together with the original, tells the same observer, and shares what the policies share.
impl<P: Clone> Clone for Stack<P> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), around: Arc::clone(&self.around), invalid: self.invalid.clone() }
    }
}

impl<P: crate::Part> fmt::Debug for Stack<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("name", &self.name())
            .field("plan", &self.plan())
            .finish_non_exhaustive()
    }
}

/// A stack of one policy, on the clock of real time.
pub(crate) fn alone<P: crate::Part>(policy: P) -> Stack<Chain<Root, P>> {
    StackBuilder::new().policy(policy).build_unchecked()
}
