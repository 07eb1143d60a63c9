//! [`scope`] and [`try_scope`]: children that borrow, and have ended when the scope has.

pub(crate) mod builder;
pub(crate) mod cell;
mod child;
pub(crate) mod cleanup;
pub(crate) mod core;
pub(crate) mod driver;
mod ended;
pub(crate) mod errors;
pub(crate) mod header;
pub(crate) mod heritage;
pub(crate) mod results;
mod room;
pub(crate) mod rule;
mod shield;
pub(crate) mod snapshot;
pub(crate) mod started;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

pub use builder::ScopeBuilder;
pub use child::{Child, LocalChild};
pub use cleanup::Skipped;
pub use ended::{Ended, PanicPolicy, Refusal, Rejected, ScopeError};
pub use errors::{AllErrors, CollectErrors, Errors};
pub use results::{
    LocalResultSet, LocalResultSpawner, LocalResultStream, ResultSet, ResultSpawner, ResultStream,
};
pub use room::{LocalSpawnWhenFree, SpawnWhenFree};
pub use rule::{AnyOutput, ChildId, FirstError, Rule};
pub use shield::Shield;
pub use snapshot::{ChildInfo, Snapshot};
pub use started::{SpawnReady, Started};

use self::core::Core;
use builder::outcome;
use cell::{Cell, Join, Unit};
use driver::{Driver, End};
use header::{Kind, Seed};
use rule::{Hooks, Isolated, OfChild, OfService, Tells, sealed::Sealed};

use crate::{CancelToken, Reason};

/// Runs the body and the children that it spawns, until all have ended, and gives the body's output.
///
/// Children borrow whatever outlives the scope; they need no runtime, for the scope itself polls them, with
/// the task that awaits it. So they run concurrently, not in parallel. The body is the first of them: while
/// it waits, they go on.
///
/// The future is lazy: it does nothing before it is polled. It is [`Send`] when the body's future is.
///
/// # Waiting
/// It waits for the body and all children. A woken child is polled in its turn, and no more than 64 of them
/// before others of the executor have theirs.
///
/// # Cancel safety
/// Dropped before it completes, it drops all children, the last spawned first, and then the body, before the
/// drop returns. What was [deferred](Scope::defer) is dropped without being run.
///
/// # Panics
/// When the body or a child panicked: the others are cancelled, and when all have ended the panic goes on
/// here, with the payload that it had. When it is polled after its end.
///
/// A scope inside a child of a scope is polled by a call inside a call: two hundred scopes in each other fit
/// on a stack of 2 MiB, also without optimization; thousands do not.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::scope;
///
/// let names = vec!["Ada".to_owned(), "Grace".to_owned()];
/// let mut lengths = [0; 2];
/// block_on(scope(async |s| {
///     for (name, length) in names.iter().zip(&mut lengths) {
///         s.spawn(async move { *length = name.len() });
///     }
/// }));
/// assert_eq!(lengths, [3, 5]);
/// ```
///
/// A child cannot borrow from the body, which may end before it:
/// ```compile_fail
/// use weirs_scopes::scope;
///
/// async fn example() {
///     scope(async |s| {
///         let local = String::from("gone with the body");
///         s.spawn(async { println!("{local}") });
///     })
///     .await;
/// }
/// ```
///
/// And what a child borrows cannot be dropped before the scope:
/// ```compile_fail
/// use weirs_scopes::scope;
///
/// async fn example() {
///     let text = String::from("borrowed");
///     let scope = scope(async |s| {
///         s.spawn(async { println!("{text}") });
///     });
///     drop(text);
///     scope.await;
/// }
/// ```
#[track_caller]
pub fn scope<'env, T, F, Fut>(body: F) -> impl Future<Output = T> + use<'env, T, F, Fut>
where
    F: FnOnce(Scope<'env>) -> Fut,
    Fut: Future<Output = T>,
{
    let builder = ScopeBuilder::new();
    let core = builder.core(AnyOutput::default());
    let start = |core| body(Scope::new(core));
    let driver = Driver::new(core, builder.plan(true), start, AnyOutput::settle_body);
    async move { value(driver.await) }
}

/// Runs a body and children that give a [`Result`]; the first error cancels the rest, and is given.
///
/// Otherwise like [`scope`]: waiting, cancel safety and panics are the same. A child's error wins over a
/// body that had returned `Ok` before; errors of children that are ended because of the first are dropped.
///
/// # Errors
/// The first error of a child or the body, when all have ended.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::try_scope;
///
/// let numbers = ["1", "2", "three"];
/// let result = block_on(try_scope(async |s| {
///     for number in &numbers {
///         s.spawn(async move { number.parse::<i32>() });
///     }
///     s.spawn(std::future::pending::<Result<i32, _>>()); // cancelled by the error
///     Ok(())
/// }));
/// assert!(result.is_err());
/// ```
#[track_caller]
pub fn try_scope<'env, T, E, F, Fut>(body: F) -> impl Future<Output = Result<T, E>> + use<'env, T, E, F, Fut>
where
    E: Send + 'env,
    F: FnOnce(Scope<'env, FirstError<E>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let builder = ScopeBuilder::new();
    let core = builder.core(FirstError::default());
    let start = |core| body(Scope::new(core));
    let driver = Driver::new(core, builder.plan(true), start, <FirstError<E>>::settle_body);
    let core = Arc::clone(driver.core());
    async move { error_or_value(driver.await, || core.rule.take()) }
}

/// [`scope`] for children that stay on their thread: they need not be [`Send`], and the future is not.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use weirs_runtime::block_on;
/// use weirs_scopes::local_scope;
///
/// let shared = Rc::new(7);
/// let sum = block_on(local_scope(async |s| {
///     let child = s.spawn({
///         let shared = Rc::clone(&shared);
///         async move { *shared }
///     });
///     child.await.unwrap() + *shared
/// }));
/// assert_eq!(sum, 14);
/// ```
#[track_caller]
pub fn local_scope<'env, T, F, Fut>(body: F) -> impl Future<Output = T> + use<'env, T, F, Fut>
where
    F: FnOnce(LocalScope<'env>) -> Fut,
    Fut: Future<Output = T>,
{
    let builder = ScopeBuilder::new();
    let core = builder.core(AnyOutput::default());
    let start = |core| body(LocalScope::new(core));
    let driver = Driver::new(core, builder.plan(true), start, AnyOutput::settle_body);
    async move { value(driver.await) }
}

/// [`try_scope`] for children that stay on their thread.
///
/// # Errors
/// As for [`try_scope`].
#[track_caller]
pub fn try_local_scope<'env, T, E, F, Fut>(
    body: F,
) -> impl Future<Output = Result<T, E>> + use<'env, T, E, F, Fut>
where
    E: 'env,
    F: FnOnce(LocalScope<'env, FirstError<E>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let builder = ScopeBuilder::new();
    let core = builder.core(FirstError::default());
    let start = |core| body(LocalScope::new(core));
    let driver = Driver::new(core, builder.plan(true), start, <FirstError<E>>::settle_body);
    let core = Arc::clone(driver.core());
    async move { error_or_value(driver.await, || core.rule.take()) }
}

pub(crate) fn value<T>(end: End<T>) -> T {
    match outcome::<_, std::convert::Infallible>(end, PanicPolicy::Propagate, || None) {
        Ok(value) => value,
        Err(_) => unreachable!("the body of a plain scope is not dropped before its end"),
    }
}

pub(crate) fn error_or_value<T, E>(end: End<T>, error: impl FnOnce() -> Option<E>) -> Result<T, E> {
    match outcome(end, PanicPolicy::Propagate, error) {
        Ok(value) => Ok(value),
        Err(ScopeError::Failed(error)) => Err(error),
        Err(_) => unreachable!("the body of a plain scope is not dropped before its end"),
    }
}

/// Spawns children into the scope that it belongs to; its body is given one, and children may have clones.
///
/// A handle that outlives its scope is harmless: it refuses.
///
/// # Examples
/// A child that spawns children:
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use weirs_runtime::block_on;
/// use weirs_scopes::{Scope, scope};
///
/// fn countdown<'env>(s: Scope<'env>, from: u32, seen: &'env AtomicU32) {
///     s.clone().spawn(async move {
///         seen.fetch_add(1, Ordering::Relaxed);
///         if from > 0 {
///             countdown(s, from - 1, seen);
///         }
///     });
/// }
///
/// let seen = AtomicU32::new(0);
/// block_on(scope(async |s| countdown(s, 9, &seen)));
/// assert_eq!(seen.into_inner(), 10);
/// ```
pub struct Scope<'env, R = AnyOutput>(SharedCore<'env, R>);

/// A [`Scope`] whose children stay on their thread, and need not be [`Send`].
///
/// All that [`Scope`] says holds here too.
pub struct LocalScope<'env, R = AnyOutput>(LocalCore<'env, R>);

type SharedCore<'env, R> = Arc<Core<dyn Unit<R> + Send + Sync + 'env, R>>;
type LocalCore<'env, R> = Arc<Core<dyn Unit<R> + 'env, R>>;

impl Scope<'_> {
    /// A scope with a limit, a deadline, a name; see [`ScopeBuilder`].
    pub fn builder() -> ScopeBuilder {
        ScopeBuilder::new()
    }
}

macro_rules! scope_methods {
    ($Scope:ident, $Core:ident, $Child:ident, $Room:ident, [$($Send:tt)*] [$($Sync:tt)*]) => {
        impl<'env, R> $Scope<'env, R> {
            pub(crate) fn new(core: $Core<'env, R>) -> Self {
                Self(core)
            }

            /// Cancelled when the scope is: by an error, a panic, its deadline, or [`cancel`](Self::cancel).
            pub fn token(&self) -> &CancelToken {
                &self.0.token
            }

            /// Cancels the scope; `true` for the first who does.
            ///
            /// The token fires at once; children are dropped at the scope's next turn, or after its time of
            /// grace. The body of [`scope`] and [`try_scope`] goes on, because there is no outcome but its
            /// own; that of a scope that was [built](Scope::builder) is dropped like a child.
            pub fn cancel(&self, why: impl Into<Reason>) -> bool {
                self.0.cancel(why.into())
            }

            /// Takes no more children; those that are there go on.
            pub fn close(&self)
            where
                R: Sealed,
            {
                self.0.close();
                self.0.rule.closed();
            }

            /// How many children and services there are. The body does not count.
            pub fn live(&self) -> usize {
                self.0.live()
            }

            /// The name that the scope was [given](ScopeBuilder::named).
            pub fn name(&self) -> Option<&str> {
                self.0.name.as_deref()
            }
        }

        impl<'env, R: $($Sync)* 'env> $Scope<'env, R> {
            /// Spawns a child; it runs while the scope is awaited, whether or not its handle is.
            ///
            /// A scope that is closed, cancelled or over drops the future, and the handle says so; use
            /// [`try_spawn`](Self::try_spawn) to have it back.
            ///
            /// # Panics
            /// When the scope has a limit, and has as many children as that: with a limit, use
            /// [`spawn_when_free`](Self::spawn_when_free) or [`try_spawn`](Self::try_spawn).
            #[track_caller]
            pub fn spawn<F>(&self, future: F) -> $Child<'env, R::Value>
            where
                F: Future + $($Send)* 'env,
                R: Rule<F::Output>,
                R::Value: $($Send)* 'env,
            {
                or_refused(self.insert(Kind::Child, None, None, future, OfChild), $Child::refused)
            }

            /// [`spawn`](Self::spawn) with a name, for [snapshots](Self::snapshot).
            ///
            /// # Panics
            /// As [`spawn`](Self::spawn).
            #[track_caller]
            pub fn spawn_named<F>(&self, name: impl Into<Box<str>>, future: F) -> $Child<'env, R::Value>
            where
                F: Future + $($Send)* 'env,
                R: Rule<F::Output>,
                R::Value: $($Send)* 'env,
            {
                let name = Some(name.into());
                or_refused(self.insert(Kind::Child, name, None, future, OfChild), $Child::refused)
            }

            /// Spawns a child if the scope takes one now.
            ///
            /// # Errors
            /// Gives the future back, with [the reason](Rejected::why): the scope is full or others wait for
            /// room, it is closed, or it is cancelled.
            ///
            /// # Examples
            /// ```
            /// use std::num::NonZeroUsize;
            /// use weirs_runtime::block_on;
            /// use weirs_scopes::{Refusal, Scope};
            ///
            /// let builder = Scope::builder().limit(NonZeroUsize::MIN);
            /// block_on(builder.run(async |s| {
            ///     let first = s.try_spawn(async { 1 }).unwrap();
            ///     let rejected = s.try_spawn(async { 2 }).unwrap_err();
            ///     assert_eq!(rejected.why(), Refusal::Full);
            ///     first.await.unwrap();
            ///     let second = s.try_spawn(rejected.into_inner()).unwrap();
            ///     assert_eq!(second.await, Ok(2));
            /// }))
            /// .unwrap();
            /// ```
            #[track_caller]
            pub fn try_spawn<F>(&self, future: F) -> Result<$Child<'env, R::Value>, Rejected<F>>
            where
                F: Future + $($Send)* 'env,
                R: Rule<F::Output>,
                R::Value: $($Send)* 'env,
            {
                self.insert(Kind::Child, None, None, future, OfChild)
                    .map_err(|(future, why)| Rejected::new(future, why))
            }

            /// Spawns a child as soon as the scope's limit allows it.
            ///
            /// # Waiting
            /// It waits while the scope is full; who came first is served first. Closing or cancelling the
            /// scope ends the waiting. A *child* that waits for room in its own scope holds its own place
            /// meanwhile: with all places held so, nobody goes on.
            ///
            /// # Cancel safety
            /// Dropped before it completes, nothing was spawned, and the future was dropped with it.
            ///
            /// # Errors
            /// Gives the future back when the scope is closed or cancelled.
            #[track_caller]
            pub fn spawn_when_free<F>(&self, future: F) -> $Room<'env, R, F, R::Value>
            where
                F: Future + $($Send)* 'env,
                R: Rule<F::Output>,
                R::Value: $($Send)* 'env,
            {
                $Room::new(self.clone(), future, Location::caller(), Hooks::child())
            }

            /// Spawns a child that does not keep the scope open: it is dropped when the body and all ordinary
            /// children have ended. If it ends early with an error, that stops a [`try_scope`].
            ///
            /// A scope that takes no children drops the future.
            ///
            /// # Examples
            /// ```
            /// use weirs_runtime::block_on;
            /// use weirs_scopes::scope;
            ///
            /// let (sender, receiver) = async_channel::unbounded();
            /// let answer = block_on(scope(async |s| {
            ///     s.spawn_service("echo", async {
            ///         while let Ok(word) = receiver.recv().await {
            ///             println!("{word}");
            ///         }
            ///     });
            ///     sender.send("on the way").await.unwrap();
            ///     42
            /// }));
            /// assert_eq!(answer, 42);
            /// ```
            #[track_caller]
            pub fn spawn_service<F>(&self, name: impl Into<Box<str>>, future: F)
            where
                F: Future + $($Send)* 'env,
                R: Rule<F::Output>,
                R::Value: $($Send)* 'env,
            {
                let name = Some(name.into());
                drop(self.insert(Kind::Service, name, None, future, OfService));
            }

            /// Spawns a child of any output, none of which stops the scope: its errors are its handle's.
            /// (A panic is still a panic.)
            ///
            /// # Panics
            /// As [`spawn`](Self::spawn).
            ///
            /// # Examples
            /// ```
            /// use weirs_runtime::block_on;
            /// use weirs_scopes::try_scope;
            ///
            /// let result: Result<_, String> = block_on(try_scope(async |s| {
            ///     let risky = s.isolate(async { "x".parse::<u8>() });
            ///     Ok(risky.await.unwrap().unwrap_or(0))
            /// }));
            /// assert_eq!(result, Ok(0));
            /// ```
            #[track_caller]
            pub fn isolate<F>(&self, future: F) -> $Child<'env, F::Output>
            where
                F: Future + $($Send)* 'env,
                F::Output: $($Send)* 'env,
            {
                or_refused(self.insert(Kind::Child, None, None, future, Isolated), $Child::refused)
            }

            /// Runs this when the body and all children are gone, after a failure, a panic or a cancelling as
            /// well. What was deferred last is run first.
            ///
            /// All of it together has 30 seconds, or what [`ScopeBuilder::cleanup`] says: then the rest is
            /// dropped. They are seconds of real time if the scope was not [given](ScopeBuilder::clock) a
            /// clock. It is not run when the scope itself is dropped before its end: use a destructor for
            /// what must happen then too. [`ScopeBuilder::on_skipped`] tells of what was not run.
            ///
            /// # Examples
            /// ```
            /// use std::sync::Mutex;
            /// use weirs_runtime::block_on;
            /// use weirs_scopes::scope;
            ///
            /// let log = Mutex::new(Vec::new());
            /// block_on(scope(async |s| {
            ///     s.defer(async { log.lock().unwrap().push("disconnect") });
            ///     s.defer(async { log.lock().unwrap().push("say goodbye") });
            ///     s.spawn(async { log.lock().unwrap().push("work") });
            /// }));
            /// assert_eq!(*log.lock().unwrap(), ["work", "say goodbye", "disconnect"]);
            /// ```
            #[track_caller]
            pub fn defer<F>(&self, future: F)
            where
                F: Future<Output = ()> + $($Send)* 'env,
            {
                drop(self.insert(Kind::Deferred, None, None, future, Isolated));
            }

            /// The live children and services, in the order of spawning, with names and places.
            ///
            /// # Examples
            /// ```
            /// use weirs_runtime::block_on;
            /// use weirs_scopes::scope;
            ///
            /// block_on(scope(async |s| {
            ///     let child = s.spawn_named("idle", std::future::pending::<()>());
            ///     let snapshot = s.snapshot();
            ///     assert_eq!(snapshot.children()[0].name(), Some("idle"));
            ///     child.cancel();
            /// }));
            /// ```
            pub fn snapshot(&self) -> Snapshot {
                let units = self.0.units();
                Snapshot::new(self.name(), units.iter().map(|unit| unit.header()))
            }

            #[track_caller]
            #[inline(always)]
            fn insert<F, V>(
                &self,
                kind: Kind,
                name: Option<Box<str>>,
                ticket: Option<u64>,
                future: F,
                hooks: impl Tells<R, F::Output, V> + $($Sync)* 'env,
            ) -> Result<$Child<'env, V>, (F, Refusal)>
            where
                F: Future + $($Send)* 'env,
                V: $($Send)* 'env,
            {
                self.insert_at(Location::caller(), kind, name, ticket, future, hooks)
            }

            #[inline(always)]
            pub(crate) fn insert_at<F, V>(
                &self,
                location: &'static Location<'static>,
                kind: Kind,
                name: Option<Box<str>>,
                ticket: Option<u64>,
                future: F,
                hooks: impl Tells<R, F::Output, V> + $($Sync)* 'env,
            ) -> Result<$Child<'env, V>, (F, Refusal)>
            where
                F: Future + $($Send)* 'env,
                V: $($Send)* 'env,
            {
                self.0.insert(kind, ticket, future, |ready, future, id| {
                    hooks.spawned(&self.0.rule, id);
                    let seed = Seed { ready, kind, name, location };
                    let (unit, claim) = Cell::boxed(
                        future,
                        seed,
                        hooks,
                        |cell| cell as &(dyn Unit<R> + $($Sync)* 'env),
                        |cell| cell as &(dyn Join<V> + $($Sync)* 'env),
                    );
                    (unit, $Child::new(claim))
                })
            }

            pub(crate) fn core(&self) -> &$Core<'env, R> {
                &self.0
            }
        }

        impl<R> Clone for $Scope<'_, R> {
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }

        impl<R> fmt::Debug for $Scope<'_, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Scope))
                    .field("name", &self.name())
                    .field("live", &self.live())
                    .field("cancelled", &self.token().is_cancelled())
                    .finish()
            }
        }
    };
}

scope_methods!(Scope, SharedCore, Child, SpawnWhenFree, [Send +] [Send + Sync +]);
scope_methods!(LocalScope, LocalCore, LocalChild, LocalSpawnWhenFree, [] []);

#[track_caller]
#[inline(always)]
pub(crate) fn or_refused<C, F>(inserted: Result<C, (F, Refusal)>, refused: impl FnOnce(Refusal) -> C) -> C {
    match inserted {
        Ok(child) => child,
        Err((_, Refusal::Full)) => panic!("the scope is full: use `spawn_when_free` or `try_spawn`"),
        Err((_, why)) => refused(why),
    }
}
