//! [`Group`] and [`TryGroup`]: children in a set that is a value, for a struct to hold.

mod builder;
mod rule;
mod wait;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use weirs_runtime::Runtime;

pub use builder::GroupBuilder;
pub use wait::{TryWait, TryWaitAll, Wait};

use self::rule::{Keep, KeepOrFail};
use crate::panics::forget_panic;
use crate::task_scope::core::{Cause, Kind, Shared};
use crate::{CancelToken, Reason, Registration, Rejected, Snapshot, TaskChild, TaskScope, TaskSpawnWhenFree};

/// Children that run in parallel as tasks of a [`Runtime`], in a set that is a value: a field of a struct, a
/// clone for each who spawns. [`wait`](Self::wait) gives their values in the order of submission.
///
/// Use a [`task_scope`](crate::task_scope()) where one block of code owns the children: it cannot be left
/// without waiting. Use a group where the owner is a value that lives on: a server that has connections, a
/// pool.
///
/// For results one by one, in a stream, with memory that is bounded: [`TaskScope::results`] and
/// [`TaskScope::stream`]. A group keeps its values for whoever waits, and [`take`](Self::take) gives those
/// that there are by now.
///
/// A group whose children give `()`, or anything else without a size, keeps nothing for those that have
/// ended. [`TryGroup`] is for children that give a [`Result`].
///
/// # After a wait
/// A group may be used again after each wait, like a `sync.WaitGroup`; numbers of children go on. One that
/// was cancelled, by a panic too, stays so.
///
/// # Dropping
/// Clones are one group. When the last is dropped, the group is cancelled: children that wait for something
/// are dropped, the last spawned first, before the drop returns; one that another thread is polling at that
/// moment ends with that poll, and nobody waits for it, unless the group was made [within a
/// scope](GroupBuilder::within): then that one does. A child that holds a clone keeps its group alive.
///
/// # Panics
/// The first panic of a child cancels the rest; `wait` goes on with it when all have ended.
///
/// # Coming from Go
///
/// | Go | here |
/// |---|---|
/// | `var wg sync.WaitGroup` | `let group = Group::new(&runtime);` |
/// | `wg.Go(func() {..})`, or `wg.Add(1)`, `go`, `defer wg.Done()` | `group.spawn(async {..});` |
/// | `wg.Wait()` | `group.wait().await?` |
/// | `g, ctx := errgroup.WithContext(ctx)` | `TryGroup::builder(&runtime).under(&token).build()` |
/// | `g.Go(f)`; the first error cancels `ctx` | `group.spawn(f)`; the first error drops the others |
/// | `g.Wait()` gives the first error | `group.wait().await`: it, or all values |
/// | `g.SetLimit(8)` | `.limit(8)` |
/// | `g.Go(f)` at the limit waits, deaf to `ctx` | `group.spawn_when_free(f).await` hears a cancel |
/// | `g.TryGo(f)` | `group.try_spawn(f)`, which gives `f` back |
/// | a child that panics ends the process | `wait` goes on with the panic, when all have ended |
///
/// and from `sourcegraph/conc`:
///
/// | conc | here |
/// |---|---|
/// | `conc.WaitGroup`, `pool.New()` | `Group::new(&runtime)` |
/// | `pool.NewWithResults[T]()` | the same: `wait` gives a `Vec<T>` |
/// | `.WithMaxGoroutines(n)` | `.limit(n)` |
/// | `.WithErrors()`: all errors | `TryGroup::builder(&runtime).keep_going()`, `wait_all` |
/// | `.WithContext(ctx).WithCancelOnError().WithFirstError()` | `TryGroup`, `wait` |
/// | panics are rethrown by `Wait` | the same |
///
/// Three workers, as with a `sync.WaitGroup`:
/// ```
/// use std::sync::{Arc, Mutex, PoisonError};
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::Group;
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let done = Arc::new(AtomicU32::new(0));
/// let group = Group::new(&runtime);
/// for _ in 0..3 {
///     let done = Arc::clone(&done);
///     group.spawn(async move {
///         done.fetch_add(1, Ordering::Relaxed);
///     });
/// }
/// block_on(group.wait()).unwrap();
/// assert_eq!(done.load(Ordering::Relaxed), 3);
/// ```
///
/// Values in the order of submission, four at a time, as with conc's `ResultPool`:
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::Group;
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let squares = block_on(async {
///     let group = Group::builder(&runtime).limit(NonZeroUsize::new(4).unwrap()).build();
///     for number in 0..10 {
///         group.spawn_when_free(async move { number * number }).await.unwrap();
///     }
///     group.wait().await
/// });
/// assert_eq!(squares.unwrap(), [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
/// ```
pub struct Group<T = ()>(Arc<Owner<Keep<T>>>);

/// A [`Group`] of children that give a [`Result`]: the first error cancels the rest, or all are collected.
///
/// All that [`Group`] says holds here too.
///
/// # Examples
/// As with Go's `errgroup`:
/// ```
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::{ScopeError, TryGroup};
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let group = TryGroup::new(&runtime);
/// for text in ["1", "2", "three"] {
///     group.spawn(async move { text.parse::<u32>() });
/// }
/// group.spawn(std::future::pending()); // cancelled by the error
/// assert!(matches!(block_on(group.wait()), Err(ScopeError::Failed(_))));
/// ```
///
/// All errors, in the order of submission:
/// ```
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::{ScopeError, TryGroup};
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let group = TryGroup::builder(&runtime).keep_going().build();
/// for text in ["one", "2", "three"] {
///     group.spawn(async move { text.parse::<u32>() });
/// }
/// let Err(ScopeError::Failed(errors)) = block_on(group.wait_all()) else { panic!() };
/// assert_eq!(errors.iter().map(|error| error.0.number()).collect::<Vec<_>>(), [1, 3]);
/// ```
pub struct TryGroup<T, E>(Arc<Owner<KeepOrFail<T, E>>>);

/// The last clone of a group to go cancels it.
struct Owner<R> {
    scope: TaskScope<R>,
    /// Ends the children when the token is cancelled.
    token: Option<Registration>,
    grace: Arc<Grace>,
    as_error: bool,
}

impl<R: Send + Sync + 'static> Owner<R> {
    fn new(shared: Shared<R>, as_error: bool) -> Arc<Self> {
        let shared = Arc::new(shared);
        let grace = Arc::new(Grace(Mutex::new(Some(None))));
        let (called, begins) = (Arc::clone(&shared), Arc::clone(&grace));
        let token = shared.core.token.on_cancel(move |why| {
            begins.begin(&called);
            called.core.token_cancelled(why);
        });
        Arc::new(Self { scope: TaskScope(shared), token: Some(token), grace, as_error })
    }
}

/// The time of grace of a group, once it runs; none when it does not matter any more.
///
/// A group is no future, so nobody but the clock itself can tell that the time is over.
struct Grace(Mutex<Option<Option<Registration>>>);

impl Grace {
    fn begin<R: Send + Sync + 'static>(&self, shared: &Arc<Shared<R>>) {
        let heritage = &shared.core.heritage;
        if heritage.grace.is_zero() || self.lock().is_none() {
            return;
        }
        let over = CancelToken::with_clock(heritage.clock.clone()).child_after(heritage.grace);
        let called = Arc::clone(shared);
        let over = over.on_cancel(move |_| called.core.abort(Kind::Child));
        let unused = match &mut *self.lock() {
            Some(running) => running.replace(over),
            None => Some(over),
        };
        drop(unused);
    }

    fn end(&self) {
        let running = self.lock().take();
        drop(running);
    }

    // No user code runs under this lock.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Option<Registration>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Drop for Owner<R> {
    fn drop(&mut self) {
        let core = &self.scope.0.core;
        forget_panic(core.take_panic().map_or(Ok(()), Err));
        core.close();
        self.grace.end();
        core.stop(Cause::Cancelled(Reason::ScopeDropped));
        core.abort(Kind::Child);
        self.token = None;
        drop(core.abandon(None));
        if let Some(payload) = core.take_panic() {
            if std::thread::panicking() {
                forget_panic(Err(payload));
            } else {
                std::panic::resume_unwind(payload.into_inner());
            }
        }
    }
}

macro_rules! group_methods {
    ($Group:ident<$($T:ident),+>, $Rule:ty, $Output:ty) => {
        impl<$($T: Send + 'static),+> $Group<$($T),+> {
            /// Spawns a child. The handle need not be kept: the value goes to whoever waits for the group.
            ///
            /// A group that is closed or cancelled drops the future, and the handle says so; use
            /// [`try_spawn`](Self::try_spawn) to have it back.
            ///
            /// # Panics
            /// When the group has a limit, and has as many children as that: with a limit, use
            /// [`spawn_when_free`](Self::spawn_when_free) or [`try_spawn`](Self::try_spawn).
            #[track_caller]
            pub fn spawn<F>(&self, future: F) -> TaskChild<()>
            where
                F: Future<Output = $Output> + Send + 'static,
            {
                self.0.scope.spawn(future)
            }

            /// [`spawn`](Self::spawn) with a name, for [snapshots](Self::snapshot) and the runtime's own
            /// lists.
            ///
            /// # Panics
            /// As [`spawn`](Self::spawn).
            #[track_caller]
            pub fn spawn_named<F>(&self, name: impl Into<Box<str>>, future: F) -> TaskChild<()>
            where
                F: Future<Output = $Output> + Send + 'static,
            {
                self.0.scope.spawn_named(name, future)
            }

            /// Spawns a child if the group takes one now.
            ///
            /// # Errors
            /// Gives the future back, with [the reason](Rejected::why): the group is full or others wait for
            /// room, it is closed, or it is cancelled.
            #[track_caller]
            pub fn try_spawn<F>(&self, future: F) -> Result<TaskChild<()>, Rejected<F>>
            where
                F: Future<Output = $Output> + Send + 'static,
            {
                self.0.scope.try_spawn(future)
            }

            /// Spawns a child as soon as the group's limit allows it.
            ///
            /// # Waiting
            /// It waits while the group is full; who came first is served first. Closing or cancelling the
            /// group ends the waiting.
            ///
            /// # Cancel safety
            /// Dropped before it completes, nothing was spawned, and the future was dropped with it.
            ///
            /// # Errors
            /// Gives the future back when the group is closed or cancelled.
            #[track_caller]
            pub fn spawn_when_free<F>(&self, future: F) -> TaskSpawnWhenFree<$Rule, F, ()>
            where
                F: Future<Output = $Output> + Send + 'static,
            {
                let hooks = crate::scope::rule::Hooks::child();
                TaskSpawnWhenFree::new(self.0.scope.clone(), future, Location::caller(), hooks)
            }
        }

        impl<$($T),+> $Group<$($T),+> {
            /// Cancelled when the group is.
            pub fn token(&self) -> &CancelToken {
                self.0.scope.token()
            }

            /// Cancels the group; `true` for the first who does. Children that wait for something are dropped
            /// before this returns, on this thread, and those that are being polled at the end of that poll.
            pub fn cancel(&self, why: impl Into<Reason>) -> bool {
                self.0.scope.cancel(why)
            }

            /// Takes no more children; those that are there go on.
            pub fn close(&self) {
                self.0.scope.close();
            }

            /// How many children there are.
            pub fn live(&self) -> usize {
                self.0.scope.live()
            }

            /// The name that the group was [given](GroupBuilder::named).
            pub fn name(&self) -> Option<&str> {
                self.0.scope.name()
            }

            /// The live children in the order of spawning, with names and places.
            pub fn snapshot(&self) -> Snapshot {
                self.0.scope.snapshot()
            }
        }

        /// Another handle of the same group.
        impl<$($T),+> Clone for $Group<$($T),+> {
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }

        impl<$($T),+> fmt::Debug for $Group<$($T),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Group))
                    .field("name", &self.name())
                    .field("live", &self.live())
                    .field("cancelled", &self.token().is_cancelled())
                    .finish()
            }
        }
    };
}

group_methods!(Group<T>, Keep<T>, T);
group_methods!(TryGroup<T, E>, KeepOrFail<T, E>, Result<T, E>);

impl<T: Send + 'static> Group<T> {
    /// An empty group, without a limit or a deadline.
    pub fn new(runtime: &Runtime) -> Self {
        Self::builder(runtime).build()
    }

    /// A group with a limit, a deadline, a name.
    pub fn builder(runtime: &Runtime) -> GroupBuilder<Self> {
        GroupBuilder::new(runtime)
    }

    /// Waits until no child is left, and gives the values of those that have ended since the last wait, in
    /// the order of submission. A child that was cancelled by its handle, or that the executor lost, has
    /// none.
    ///
    /// # Waiting
    /// Children may be spawned meanwhile, and it waits for them, too. Several may wait: the values go to
    /// the first of them, the others have none.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing is lost: the next wait gives it all.
    ///
    /// # Panics
    /// With a child's panic, when all have ended; unless it is to be [an error](GroupBuilder::panics).
    ///
    /// # Errors
    /// [`ScopeError::Cancelled`](crate::ScopeError::Cancelled) when the group was cancelled: then values are
    /// missing. [`take`](Self::take) gives those that there are.
    pub fn wait(&self) -> Wait<'_, T> {
        Wait::new(self)
    }

    /// The values that there are now and were not given before, in the order of submission.
    pub fn take(&self) -> Vec<T> {
        self.0.scope.0.rule.take()
    }
}

impl<T: Send + 'static, E: Send + 'static> TryGroup<T, E> {
    /// An empty group, without a limit or a deadline, that the first error cancels.
    pub fn new(runtime: &Runtime) -> Self {
        Self::builder(runtime).build()
    }

    /// A group with a limit, a deadline, a name, or one that [goes on](GroupBuilder::keep_going) after an
    /// error.
    pub fn builder(runtime: &Runtime) -> GroupBuilder<Self> {
        GroupBuilder::new(runtime)
    }

    /// Waits until no child is left, and gives all values in the order of submission, or the first error.
    ///
    /// Waiting, cancel safety and panics are as for [`Group::wait`].
    ///
    /// # Errors
    /// [`ScopeError::Failed`](crate::ScopeError::Failed) with the error that came first; it is given once.
    /// [`ScopeError::Cancelled`](crate::ScopeError::Cancelled) when the group was cancelled otherwise, or has
    /// given its error. [`take`](Self::take) gives the values that there are.
    pub fn wait(&self) -> TryWait<'_, T, E> {
        TryWait::new(self)
    }

    /// Waits until no child is left, and gives all values in the order of submission, or all errors, each
    /// with the number of its child.
    ///
    /// Without [`keep_going`](GroupBuilder::keep_going) these are the first and those that came at the same
    /// time.
    ///
    /// # Errors
    /// As for [`wait`](Self::wait), with all errors.
    pub fn wait_all(&self) -> TryWaitAll<'_, T, E> {
        TryWaitAll::new(self)
    }

    /// The values that there are now and were not given before, in the order of submission.
    pub fn take(&self) -> Vec<T> {
        self.0.scope.0.rule.take()
    }
}
