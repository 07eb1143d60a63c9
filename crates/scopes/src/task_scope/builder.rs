//! What [`ScopeBuilder`] has for parallel scopes.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use weirs_runtime::Runtime;

use super::TaskScope;
use super::core::{AnyShared, Core, Shared};
use super::driver::{Driver, TaskPlan};
use crate::scope::builder::outcome;
use crate::scope::heritage::Heritage;
use crate::scope::rule::Settled;
use crate::{AnyOutput, CancelToken, ChildId, FirstError, ScopeBuilder, ScopeError};

/// Where a parallel scope stands: on a runtime, or in another scope.
pub(crate) struct Ground {
    runtime: Runtime,
    outer: Option<(CancelToken, Arc<AnyShared>)>,
}

impl Ground {
    pub(crate) fn on(runtime: &Runtime) -> Self {
        Self { runtime: runtime.clone(), outer: None }
    }

    pub(crate) fn within<R: Send + Sync + 'static>(outer: &TaskScope<R>) -> Self {
        let shared = Arc::clone(&outer.0) as Arc<AnyShared>;
        Self { runtime: outer.0.core.runtime.clone(), outer: Some((outer.token().clone(), shared)) }
    }

    /// The core of a group here: its deadline strikes by itself.
    pub(crate) fn core_until(self, builder: &ScopeBuilder) -> Core {
        let mut core = self.core(builder);
        if let Some(deadline) = builder.deadline {
            core.token = core.token.child_until(deadline);
        }
        core
    }

    /// The core of a scope here, which looks at the deadline itself.
    fn core(self, builder: &ScopeBuilder) -> Core {
        let (outer, shared) = self.outer.unzip();
        let token = match (&builder.parent, outer) {
            (Some(parent), Some(outer)) => CancelToken::linked([parent, &outer]),
            (Some(parent), None) => parent.child(),
            (None, Some(outer)) => outer.child(),
            (None, None) => CancelToken::with_clock(self.runtime.clock().clone()),
        };
        let around = shared.as_ref().and_then(|outer| outer.core.heritage.deadline);
        let heritage = Heritage {
            clock: self.runtime.clock().clone(),
            deadline: builder.deadline.into_iter().chain(token.deadline()).chain(around).min(),
            grace: builder.grace_of_all(),
            cleanup: builder.cleanup_of_all(),
        };
        let core = Core::new(&self.runtime, token, heritage, shared);
        core.with(builder.name.clone(), builder.limit)
    }
}

impl ScopeBuilder {
    /// A parallel scope of whatever rule.
    pub(crate) fn drive<R, M, T, F, Fut>(
        self,
        ground: Ground,
        rule: M,
        keeps_body: bool,
        body: F,
        settle: fn(&R, ChildId, Fut::Output) -> Settled<T>,
    ) -> Driver<R, impl FnOnce(Arc<Shared<R>>) -> Fut + use<R, M, T, F, Fut>, Fut, T>
    where
        R: Send + Sync + 'static,
        M: FnOnce(&CancelToken) -> R,
        F: FnOnce(TaskScope<R>) -> Fut,
        Fut: Future,
    {
        let core = ground.core(&self);
        let rule = rule(&core.token);
        let shared = Shared::new(core, rule);
        let plan = TaskPlan {
            deadline: self.deadline,
            cleanup: self.cleanup_of_all(),
            on_skipped: self.on_skipped,
            keeps_body,
        };
        Driver::new(shared, plan, |shared| body(TaskScope(shared)), settle)
    }
}

macro_rules! runs {
    ($run:ident, $try_run:ident, [$($Outer:ident)?], $on:ident: $On:ty, $ground:ident, $like:literal) => {
        impl ScopeBuilder {
            #[doc = $like]
            ///
            /// Deadline, grace and the cleanup of what is deferred are in the time of the runtime's clock,
            /// whatever [`clock`](ScopeBuilder::clock) said. The future is lazy: it does nothing before it
            /// is polled.
            ///
            /// # Waiting, cancel safety, panics
            /// As for [`task_scope`](crate::task_scope()); with
            /// [`PanicPolicy::AsError`](crate::PanicPolicy::AsError) a panic is an error.
            ///
            /// # Errors
            /// [`ScopeError::Cancelled`] when it was cancelled: then the body was dropped, or what it gave is
            /// incomplete. A scope that cancels itself ([`TaskScope::cancel`]) after or in the last poll of
            /// its body still gives the body's value.
            ///
            /// # Examples
            /// ```
            /// use std::time::Duration;
            /// use weirs_runtime::{Runtime, block_on};
            /// use weirs_scopes::{Scope, task_scope};
            ///
            /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
            /// let soon = runtime.clock().now() + Duration::from_millis(1);
            /// let error = block_on(Scope::builder().deadline(soon).run_on(&runtime, async |s| {
            ///     s.spawn(std::future::pending::<()>());
            /// }));
            /// assert!(error.unwrap_err().is_deadline());
            /// ```
            pub fn $run<T, F, Fut $(, $Outer)?>(
                self,
                $on: $On,
                body: F,
            ) -> impl Future<Output = Result<T, ScopeError>> + use<T, F, Fut $(, $Outer)?>
            where
                $($Outer: Send + Sync + 'static,)?
                F: FnOnce(TaskScope) -> Fut,
                Fut: Future<Output = T>,
            {
                let policy = self.panics;
                let ground = Ground::$ground($on);
                let settle = AnyOutput::settle_body;
                let driver = self.drive(ground, |_| AnyOutput::default(), false, body, settle);
                async move { outcome(driver.await, policy, || -> Option<Infallible> { None }) }
            }

            /// The same for a body and children that give a [`Result`]; the first error cancels the rest.
            ///
            /// Waiting, cancel safety and panics are as for the form without `try`.
            ///
            /// # Errors
            /// [`ScopeError::Failed`] with the first error, and [`ScopeError::Cancelled`].
            pub fn $try_run<T, E, F, Fut $(, $Outer)?>(
                self,
                $on: $On,
                body: F,
            ) -> impl Future<Output = Result<T, ScopeError<E>>> + use<T, E, F, Fut $(, $Outer)?>
            where
                $($Outer: Send + Sync + 'static,)?
                E: Send + 'static,
                F: FnOnce(TaskScope<FirstError<E>>) -> Fut,
                Fut: Future<Output = Result<T, E>>,
            {
                let policy = self.panics;
                let ground = Ground::$ground($on);
                let settle = <FirstError<E>>::settle_body;
                let driver = self.drive(ground, |_| FirstError::default(), false, body, settle);
                let shared = Arc::clone(driver.shared());
                async move { outcome(driver.await, policy, || shared.rule.take()) }
            }
        }
    };
}

runs!(run_on, try_run_on, [], runtime: &Runtime, on,
    "Runs a scope whose children run in parallel, as tasks of this runtime, until all have ended.");
runs!(run_in, try_run_in, [R], outer: &TaskScope<R>, within,
    "Runs a parallel scope within another: on its runtime, cancelled with it, and should this one be dropped \
     while a child is inside a poll, the outer one waits for that child.");
