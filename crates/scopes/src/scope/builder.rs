//! [`ScopeBuilder`]: a scope with a limit, a deadline, a time of grace, a name.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::{Clock, Instant};

use super::cleanup::{CLEANUP, Skipped, SkippedHook};
use super::core::Core;
use super::driver::{Driver, End, Plan};
use super::heritage::Heritage;
use super::rule::Settled;
use super::{
    AnyOutput, ChildId, CollectErrors, FirstError, LocalScope, PanicPolicy, Rule, Scope, ScopeError,
};
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
#[derive(Clone, Default)]
#[must_use = "a builder does nothing before it runs"]
pub struct ScopeBuilder {
    pub(crate) limit: Option<NonZeroUsize>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) grace: Option<Duration>,
    pub(crate) longest_grace: Option<Duration>,
    pub(crate) cleanup: Option<Duration>,
    pub(crate) longest_cleanup: Option<Duration>,
    pub(crate) on_skipped: Option<SkippedHook>,
    pub(crate) clock: Option<Clock>,
    pub(crate) parent: Option<CancelToken>,
    pub(crate) panics: PanicPolicy,
    pub(crate) name: Option<Box<str>>,
    pub(crate) tracker: Option<Tracker>,
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
    ///
    /// A [nested](Scope::nested) scope begins with the grace of the outer one, and can only shorten it.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// How long what was [deferred](Scope::defer) may take, all of it together; 30 seconds if nothing else is
    /// said, in every sort of scope. [`Duration::MAX`] is no limit.
    ///
    /// It is counted from the moment at which something deferred first has to wait. When it ends, the one
    /// that runs and the ones that are left are dropped, and [`on_skipped`](Self::on_skipped) hears of it.
    /// With a budget of zero, what is deferred runs as far as it comes without waiting.
    ///
    /// While it runs the outcome of the scope is settled, but for a panic: neither the deadline nor a
    /// cancelling changes it any more. A [nested](Scope::nested) scope can only shorten it.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use std::time::Duration;
    /// use weirs_runtime::block_on;
    /// use weirs_scopes::Scope;
    ///
    /// let count = Arc::new(AtomicUsize::new(0));
    /// let seen = Arc::clone(&count);
    /// let builder = Scope::builder()
    ///     .cleanup(Duration::from_millis(1))
    ///     .on_skipped(move |skipped| seen.store(skipped.count(), Ordering::Relaxed));
    /// let value = block_on(builder.run(async |s| {
    ///     s.defer(async { println!("never reached") });
    ///     s.defer(std::future::pending());
    ///     7
    /// }));
    /// assert_eq!(value.unwrap(), 7);
    /// assert_eq!(count.load(Ordering::Relaxed), 2);
    /// ```
    pub fn cleanup(mut self, budget: Duration) -> Self {
        self.cleanup = Some(budget);
        self
    }

    /// Called once, if something that was deferred is dropped before its end: because the
    /// [budget](Self::cleanup) for it ended, or because the scope itself was dropped.
    ///
    /// It is called after they were dropped, by whoever polls or drops the scope. A panic in it is a panic of
    /// the scope.
    pub fn on_skipped(mut self, hook: impl Fn(&Skipped) + Send + Sync + 'static) -> Self {
        self.on_skipped = Some(Arc::new(hook));
        self
    }

    /// Whose time the deadline, the grace and the budgets are measured in. If nothing else is said, it is
    /// that of the token [above](Self::under), or real time.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = Some(clock.clone());
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

    /// Keeps all errors, up to so many, where [`try_run`](Self::try_run) keeps the first.
    ///
    /// The first error stops the scope all the same, so that others come only in its time of
    /// [grace](Self::grace); unless it is told to [keep going](CollectErrors::keep_going).
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use weirs_runtime::block_on;
    /// use weirs_scopes::{Scope, ScopeError};
    ///
    /// let numbers = ["1", "two", "3", "four"];
    /// let collects = Scope::builder().collect_errors(NonZeroUsize::new(100).unwrap()).keep_going();
    /// let result = block_on(collects.try_run(async |s| {
    ///     for number in &numbers {
    ///         s.spawn(async move { number.parse::<i32>().map_err(|_| *number) });
    ///     }
    ///     Ok(())
    /// }));
    /// let Err(ScopeError::Failed(errors)) = result else { panic!("two are no numbers") };
    /// assert_eq!(errors.to_string(), "2 errors: #2: two; #4: four");
    /// ```
    pub fn collect_errors(self, most: NonZeroUsize) -> CollectErrors {
        CollectErrors::new(self, most)
    }

    pub(crate) fn policy(&self) -> PanicPolicy {
        self.panics
    }

    /// For a scope in the one with this token.
    pub(crate) fn nested(token: &CancelToken, outer: &Heritage) -> Self {
        Self {
            clock: Some(outer.clock.clone()),
            parent: Some(token.clone()),
            longest_grace: Some(outer.grace),
            longest_cleanup: Some(outer.cleanup),
            ..Self::default()
        }
    }

    fn time(&self) -> Clock {
        let given = self.clock.clone();
        given.or_else(|| self.parent.as_ref().map(CancelToken::clock)).unwrap_or_default()
    }

    pub(crate) fn grace_of_all(&self) -> Duration {
        let longest = self.longest_grace;
        self.grace.or(longest).unwrap_or_default().min(longest.unwrap_or(Duration::MAX))
    }

    pub(crate) fn cleanup_of_all(&self) -> Duration {
        let longest = self.longest_cleanup;
        self.cleanup.or(longest).unwrap_or(CLEANUP).min(longest.unwrap_or(Duration::MAX))
    }

    #[track_caller]
    pub(crate) fn core<P: ?Sized, R>(&self, rule: R) -> Arc<Core<P, R>> {
        self.core_with(|_| rule)
    }

    /// A core whose rule knows the token.
    #[track_caller]
    pub(crate) fn core_with<P: ?Sized, R>(&self, rule: impl FnOnce(&CancelToken) -> R) -> Arc<Core<P, R>> {
        let token = self.parent.as_ref().map_or_else(CancelToken::new, CancelToken::child);
        let above = self.parent.as_ref().and_then(CancelToken::deadline);
        let heritage = Heritage {
            clock: self.time(),
            deadline: self.deadline.into_iter().chain(above).min(),
            grace: self.grace_of_all(),
            cleanup: self.cleanup_of_all(),
        };
        let mut core = Core::new(rule(&token), token, self.name.clone(), self.limit, heritage);
        if let (Some(tracker), Some(core)) = (&self.tracker, Arc::get_mut(&mut core)) {
            core.roster = Some(tracker.roster(self.name.as_deref(), Location::caller()));
        }
        core
    }

    pub(crate) fn plan(self, keeps_body: bool) -> Plan {
        Plan {
            clock: self.time(),
            deadline: self.deadline,
            grace: self.grace_of_all(),
            cleanup: self.cleanup_of_all(),
            on_skipped: self.on_skipped,
            keeps_body,
        }
    }
}

impl fmt::Debug for ScopeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeBuilder")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .field("deadline", &self.deadline)
            .field("grace", &self.grace_of_all())
            .field("cleanup", &self.cleanup_of_all())
            .field("panics", &self.panics)
            .finish_non_exhaustive()
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
