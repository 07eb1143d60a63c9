//! [`ScopeBuilder`]: a scope with a limit, a deadline, a time of grace, a name.

use std::convert::Infallible;
use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use super::core::Core;
use super::driver::{Driver, End, Plan};
use super::rule::Settled;
use super::{AnyOutput, ChildId, FirstError, LocalScope, PanicPolicy, Rule, Scope, ScopeError};
use crate::{CancelToken, Tracker};

/// Makes a scope with a limit, a deadline, a time of grace or a name; from [`Scope::builder`].
///
/// A scope that is built can end in more ways than [`scope`](super::scope) and
/// [`try_scope`](super::try_scope) can, and so gives a [`ScopeError`] where it gives no value.
///
/// # Examples
/// Eight downloads at a time, for ten seconds at the most:
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
/// use weirs_runtime::{Clock, block_on};
/// use weirs_scopes::{Scope, ScopeError};
///
/// # async fn download(page: &str) -> Result<usize, std::io::Error> { Ok(page.len()) }
/// let clock = Clock::default();
/// let pages = vec!["/", "/about", "/contact"];
/// let result: Result<(), ScopeError<std::io::Error>> = block_on(
///     Scope::builder()
///         .limit(NonZeroUsize::new(8).unwrap())
///         .deadline(clock.now() + Duration::from_secs(10))
///         .try_run(async |s| {
///             for page in &pages {
///                 // Waits while there are eight.
///                 if s.spawn_when_free(download(page)).await.is_err() {
///                     break;
///                 }
///             }
///             Ok(())
///         }),
/// );
/// assert!(result.is_ok());
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing before it runs"]
pub struct ScopeBuilder {
    limit: Option<NonZeroUsize>,
    deadline: Option<Instant>,
    grace: Duration,
    clock: Clock,
    parent: Option<CancelToken>,
    panics: PanicPolicy,
    name: Option<Box<str>>,
    tracker: Option<Tracker>,
}

impl ScopeBuilder {
    /// No limit, no deadline, no grace, no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most so many children exist at once. The body, services and what is deferred do not count.
    pub fn limit(mut self, limit: NonZeroUsize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Cancels the scope at this time, with [`Reason::Deadline`](crate::Reason::Deadline). In the past it
    /// cancels at once, and the body does not begin. What is ready when the deadline comes is delivered.
    pub fn deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(at, |before| before.min(at)));
        self
    }

    /// How long children may go on after the scope was cancelled, in answer to its [token](Scope::token).
    /// None is the default: they are dropped at once.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Whose time the deadline and the grace are measured in; real time if nothing else is said.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Cancels the scope when this token is cancelled.
    pub fn under(mut self, token: &CancelToken) -> Self {
        self.parent = Some(token.clone());
        self
    }

    /// What becomes of panics.
    pub fn panics(mut self, policy: PanicPolicy) -> Self {
        self.panics = policy;
        self
    }

    /// A name, for snapshots.
    pub fn named(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Puts the scope on this tracker's list while it runs, with its children. A scope that is not tracked
    /// pays nothing for it.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::{Scope, Tracker};
    ///
    /// let tracker = Tracker::new(&Runtime::new(futures::executor::ThreadPool::new().unwrap()));
    /// let scope = Scope::builder().named("requests").tracked(&tracker).run(async |s| {
    ///     let child = s.spawn_named("first request", async { /* answer it */ });
    ///     println!("{tracker}");
    ///     assert_eq!(tracker.tasks()[1].name(), Some("first request"));
    ///     child.await
    /// });
    /// block_on(scope).unwrap().unwrap();
    /// assert!(tracker.is_empty());
    /// ```
    pub fn tracked(mut self, tracker: &Tracker) -> Self {
        self.tracker = Some(tracker.clone());
        self
    }

    #[track_caller]
    pub(crate) fn core<P: ?Sized, R>(&self, rule: R) -> Arc<Core<P, R>> {
        self.core_with(|_| rule)
    }

    /// A core whose rule knows the token.
    #[track_caller]
    pub(crate) fn core_with<P: ?Sized, R>(&self, rule: impl FnOnce(&CancelToken) -> R) -> Arc<Core<P, R>> {
        let token = self.parent.as_ref().map_or_else(CancelToken::new, CancelToken::child);
        let mut core = Core::new(rule(&token), token, self.name.clone(), self.limit);
        if let (Some(tracker), Some(core)) = (&self.tracker, Arc::get_mut(&mut core)) {
            core.roster = Some(tracker.roster(self.name.as_deref(), Location::caller()));
        }
        core
    }

    pub(crate) fn panic_policy(&self) -> PanicPolicy {
        self.panics
    }

    pub(crate) fn plan(self, keeps_body: bool) -> Plan {
        Plan { clock: self.clock, deadline: self.deadline, grace: self.grace, keeps_body }
    }
}

macro_rules! runs {
    ($Scope:ident, $run:ident, $try_run:ident, [$($E:tt)*] [$($Sync:tt)*]) => {
        impl ScopeBuilder {
            /// Runs a scope whose children have any output, until all of them have ended.
            ///
            /// The future is lazy: it does nothing before it is polled.
            ///
            /// # Waiting
            /// It waits for the body and all children; a budget of 64 polls a turn keeps it from keeping
            /// others of its executor waiting.
            ///
            /// # Cancel safety
            /// Dropped before it completes, it drops all children, the last spawned first, and then the body,
            /// before the drop returns. What was [deferred](Scope::defer) is dropped without being run.
            ///
            /// # Panics
            /// When the body or a child panicked, after all have ended, with the payload of the first panic;
            /// or not, with [`PanicPolicy::AsError`]. When it is polled after its end.
            ///
            /// # Errors
            /// [`ScopeError::Cancelled`] when it was cancelled: then the body was dropped, or what it gave is
            /// incomplete. A scope that cancels itself ([`Scope::cancel`]) after or in the last poll of its
            /// body still gives the body's value.
            ///
            /// # Examples
            /// ```
            /// use std::time::Duration;
            /// use weirs_runtime::{Clock, block_on};
            /// use weirs_scopes::Scope;
            ///
            /// let soon = Clock::default().now() + Duration::from_millis(1);
            /// let error = block_on(Scope::builder().deadline(soon).run(async |s| {
            ///     s.spawn(std::future::pending::<()>());
            /// }));
            /// assert!(error.unwrap_err().is_deadline());
            /// ```
            #[track_caller]
            pub fn $run<'env, T, F, Fut>(
                self,
                body: F,
            ) -> impl Future<Output = Result<T, ScopeError>> + use<'env, T, F, Fut>
            where
                F: FnOnce($Scope<'env>) -> Fut,
                Fut: Future<Output = T>,
            {
                let policy = self.panics;
                let core = self.core(AnyOutput::default());
                let start = |core| body($Scope::new(core));
                let driver = Driver::new(core, self.plan(false), start, AnyOutput::settle_body);
                async move { outcome(driver.await, policy, || -> Option<Infallible> { None }) }
            }

            /// Runs a scope whose body and children give a [`Result`]; the first error cancels the rest.
            ///
            /// Waiting, cancel safety and panics are as for the form without `try`.
            ///
            /// # Errors
            /// [`ScopeError::Failed`] with the first error, and [`ScopeError::Cancelled`].
            #[track_caller]
            pub fn $try_run<'env, T, E, F, Fut>(
                self,
                body: F,
            ) -> impl Future<Output = Result<T, ScopeError<E>>> + use<'env, T, E, F, Fut>
            where
                E: $($E)* 'env,
                F: FnOnce($Scope<'env, FirstError<E>>) -> Fut,
                Fut: Future<Output = Result<T, E>>,
            {
                let policy = self.panics;
                let core = self.core(FirstError::default());
                let start = |core| body($Scope::new(core));
                let driver = Driver::new(core, self.plan(false), start, <FirstError<E>>::settle_body);
                let core = Arc::clone(driver.core());
                async move { outcome(driver.await, policy, || core.rule.take()) }
            }
        }
    };
}

runs!(Scope, run, try_run, [Send +] [Send + Sync +]);
runs!(LocalScope, run_local, try_run_local, [] []);

impl AnyOutput {
    pub(crate) fn settle_body<O>(&self, id: ChildId, output: O) -> Settled<O> {
        self.settle(id, output)
    }
}

impl<E> FirstError<E> {
    pub(crate) fn settle_body<T>(&self, id: ChildId, output: Result<T, E>) -> Settled<T> {
        self.settle(id, output)
    }
}

pub(crate) fn outcome<T, E>(
    end: End<T>,
    policy: PanicPolicy,
    error: impl FnOnce() -> Option<E>,
) -> Result<T, ScopeError<E>> {
    match end {
        End::Value(Some(value)) => Ok(value),
        End::Panicked(payload) if policy == PanicPolicy::AsError => Err(ScopeError::Panicked(payload)),
        End::Panicked(payload) => resume_unwind(payload.into_inner()),
        End::Cancelled(reason) => Err(ScopeError::Cancelled(reason)),
        End::Failed | End::Value(None) => match error() {
            Some(error) => Err(ScopeError::Failed(error)),
            None => unreachable!("a scope that failed has its error"),
        },
    }
}
