//! [`GroupBuilder`]: a group with a limit, a deadline, a name.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::time::Duration;

use weirs_runtime::{Instant, Runtime};

use super::rule::{Keep, KeepOrFail};
use super::{Group, Owner, TryGroup};
use crate::task_scope::Ground;
use crate::task_scope::core::Shared;
use crate::{CancelToken, PanicPolicy, ScopeBuilder, TaskScope};

/// Makes a group with a limit, a deadline, a token above or a name; from [`Group::builder`] and
/// [`TryGroup::builder`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::{Group, ScopeError};
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let soon = runtime.clock().now() + Duration::from_millis(1);
/// let group: Group<u32> = Group::builder(&runtime).deadline(soon).named("slow").build();
/// group.spawn(std::future::pending());
/// group.spawn(async { 7 });
/// let error = block_on(group.wait()).unwrap_err();
/// assert!(error.is_deadline());
/// ```
#[must_use = "a builder does nothing before it builds"]
pub struct GroupBuilder<G> {
    scope: ScopeBuilder,
    ground: Ground,
    keeps_going: bool,
    group: PhantomData<fn() -> G>,
}

impl<G> GroupBuilder<G> {
    pub(super) fn new(runtime: &Runtime) -> Self {
        let (scope, ground) = (ScopeBuilder::new(), Ground::on(runtime));
        Self { scope, ground, keeps_going: false, group: PhantomData }
    }

    /// At most so many children exist at once.
    pub fn limit(mut self, limit: NonZeroUsize) -> Self {
        self.scope = self.scope.limit(limit);
        self
    }

    /// Cancels the group at this time, in the time of the runtime's clock, or of the token's that it is
    /// [under](Self::under).
    pub fn deadline(mut self, at: Instant) -> Self {
        self.scope = self.scope.deadline(at);
        self
    }

    /// How long children may go on after the group was cancelled, in answer to its [token](Group::token);
    /// none if nothing else is said. It is in the time of the runtime's clock.
    ///
    /// Those that are left at the end of it are dropped by whoever drives that clock. A group that is dropped
    /// itself drops its children at once.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::{Group, Reason};
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let group: Group<Reason> = Group::builder(&runtime).grace(Duration::from_secs(5)).build();
    /// let token = group.token().clone();
    /// group.spawn(async move { token.cancelled().await });
    /// group.cancel(Reason::Shutdown);
    /// assert!(block_on(group.wait()).is_err());
    /// assert_eq!(group.take(), [Reason::Shutdown]);
    /// ```
    pub fn grace(mut self, grace: Duration) -> Self {
        self.scope = self.scope.grace(grace);
        self
    }

    /// Cancels the group when this token is cancelled.
    pub fn under(mut self, token: &CancelToken) -> Self {
        self.scope = self.scope.under(token);
        self
    }

    /// Puts the group into a scope: on its runtime, and cancelled with it. Should the group be dropped
    /// while a child is inside a poll, the scope waits for that child.
    pub fn within<R: Send + Sync + 'static>(mut self, outer: &TaskScope<R>) -> Self {
        self.ground = Ground::within(outer);
        self
    }

    /// What becomes of panics, in whoever waits.
    pub fn panics(mut self, policy: PanicPolicy) -> Self {
        self.scope = self.scope.panics(policy);
        self
    }

    /// A name, for snapshots.
    pub fn named(mut self, name: impl Into<Box<str>>) -> Self {
        self.scope = self.scope.named(name);
        self
    }

    fn owner<R: Send + Sync + 'static>(self, rule: R) -> std::sync::Arc<Owner<R>> {
        let core = self.ground.core_until(&self.scope).without_body();
        Owner::new(Shared { core, rule }, self.scope.panics == PanicPolicy::AsError)
    }
}

impl<T: Send + 'static> GroupBuilder<Group<T>> {
    /// The group.
    pub fn build(self) -> Group<T> {
        Group(self.owner(Keep::new()))
    }
}

impl<T: Send + 'static, E: Send + 'static> GroupBuilder<TryGroup<T, E>> {
    /// An error does not cancel the others: [`wait_all`](TryGroup::wait_all) gives all errors.
    pub fn keep_going(mut self) -> Self {
        self.keeps_going = true;
        self
    }

    /// The group.
    pub fn build(self) -> TryGroup<T, E> {
        let rule = KeepOrFail::new(self.keeps_going);
        TryGroup(self.owner(rule))
    }
}

impl<G> fmt::Debug for GroupBuilder<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = &self.scope.limit;
        f.debug_struct("GroupBuilder").field("name", &self.scope.name).field("limit", limit).finish()
    }
}
