//! [`task_scope`] and [`try_task_scope`]: children that run in parallel, and have ended when the scope has.

pub(crate) mod builder;
mod child;
pub(crate) mod core;
mod driver;
mod heritage;
mod results;
mod room;
mod seats;
mod unit;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

pub use child::TaskChild;
pub use results::{TaskResultSet, TaskResultSpawner, TaskResultStream};
pub use room::TaskSpawnWhenFree;

pub(crate) use builder::Ground;

use self::core::{Deferred, Kind, Shared, Ticket};
use crate::scope::rule::{Hooks, sealed::Sealed};
use crate::scope::{error_or_value, or_refused, value};
use crate::{
    AnyOutput, CancelToken, FirstError, Reason, Refusal, Rejected, Rule, ScopeBuilder, Snapshot, SpawnReady,
    Started,
};
use unit::Unit;
use weirs_runtime::Runtime;

/// Runs the body, and the children that it spawns as tasks of the runtime, until all have ended; gives the
/// body's output.
///
/// Children run in parallel, as far as the runtime has threads, and so are `'static`. The body runs in the
/// task that awaits the scope, and may borrow. Use [`scope`](crate::scope()) for children that borrow, or
/// where there is no runtime: it says the same in the same words.
///
/// The future is lazy: it does nothing before it is polled. It is [`Send`] when the body's future is.
///
/// # Waiting
/// It waits for the body and all children: their futures are gone, and their results are in place.
///
/// # Cancel safety
/// Dropped before it completes, it cancels its [token](TaskScope::token), and drops every child that is
/// waiting for something, the last spawned first, then the body, then the services, before the drop
/// returns. A child that another thread is polling at that moment ends with that poll. A scope that was
/// opened [within another](TaskScope::scope) leaves such a child to that one, which does not return before
/// it is gone: so nothing outlives the outermost scope that is awaited. What was
/// [deferred](TaskScope::defer) goes to the outer scope, too; without one it is dropped, and not run.
///
/// The panic of a child, had there been one, is let go; that of a destructor that runs in the drop goes on.
///
/// What must come to its end although the scope is cancelled has a time of [grace](ScopeBuilder::grace), or
/// is [deferred](TaskScope::defer). There is no `shield` here as there is in [`Scope`](crate::Scope): that
/// scope polls its children itself and knows which of them raised a shield; here the executor does, on any
/// thread, and whoever cancels drops the children on the spot.
///
/// (Scopes that are dropped within more than thirty others have dropped their children when the outermost
/// drop returns.)
///
/// # Panics
/// When the body or a child panicked: the others are cancelled, and when all have ended the panic goes on
/// here, with the payload that it had. When it is polled after its end.
///
/// # Examples
/// ```
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::task_scope;
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let numbers = vec![1, 2, 3, 4];
/// let sum: u32 = block_on(task_scope(&runtime, async |s| {
///     let half = numbers.len() / 2;
///     let children: Vec<_> = numbers
///         .chunks(half)
///         .map(|chunk| chunk.to_vec())
///         .map(|chunk| s.spawn(async move { chunk.iter().sum::<u32>() }))
///         .collect();
///     let mut sum = 0;
///     for child in children {
///         sum += child.await.unwrap();
///     }
///     sum
/// }));
/// assert_eq!(sum, 10);
/// ```
///
/// Children cannot borrow:
/// ```compile_fail
/// use weirs_runtime::Runtime;
/// use weirs_scopes::task_scope;
///
/// async fn example(runtime: &Runtime) {
///     let text = String::from("borrowed");
///     task_scope(runtime, async |s| {
///         s.spawn(async { println!("{text}") });
///     })
///     .await;
/// }
/// ```
pub fn task_scope<T, F, Fut>(runtime: &Runtime, body: F) -> impl Future<Output = T> + use<T, F, Fut>
where
    F: FnOnce(TaskScope) -> Fut,
    Fut: Future<Output = T>,
{
    run(Ground::on(runtime), body)
}

/// Runs a body and parallel children that give a [`Result`]; the first error cancels the rest, and is given.
///
/// Otherwise like [`task_scope`]: waiting, cancel safety and panics are the same. A child's error wins over a
/// body that had returned `Ok` before; errors of children that are ended because of the first are dropped.
///
/// # Errors
/// The first error of a child or the body, when all have ended.
///
/// # Examples
/// ```
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::try_task_scope;
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let result = block_on(try_task_scope(&runtime, async |s| {
///     for number in ["1", "2", "three"] {
///         s.spawn(async move { number.parse::<i32>() });
///     }
///     s.spawn(std::future::pending::<Result<i32, _>>()); // cancelled by the error
///     Ok(())
/// }));
/// assert!(result.is_err());
/// ```
pub fn try_task_scope<T, E, F, Fut>(
    runtime: &Runtime,
    body: F,
) -> impl Future<Output = Result<T, E>> + use<T, E, F, Fut>
where
    E: Send + 'static,
    F: FnOnce(TaskScope<FirstError<E>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    try_run(Ground::on(runtime), body)
}

fn run<T, F, Fut>(ground: Ground, body: F) -> impl Future<Output = T> + use<T, F, Fut>
where
    F: FnOnce(TaskScope) -> Fut,
    Fut: Future<Output = T>,
{
    let driver =
        ScopeBuilder::new().drive(ground, |_| AnyOutput::default(), true, body, AnyOutput::settle_body);
    async move { value(driver.await) }
}

fn try_run<T, E, F, Fut>(ground: Ground, body: F) -> impl Future<Output = Result<T, E>> + use<T, E, F, Fut>
where
    E: Send + 'static,
    F: FnOnce(TaskScope<FirstError<E>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let settle = <FirstError<E>>::settle_body;
    let driver = ScopeBuilder::new().drive(ground, |_| FirstError::default(), true, body, settle);
    let shared = Arc::clone(driver.shared());
    async move { error_or_value(driver.await, || shared.rule.take()) }
}

/// Spawns parallel children into the scope that it belongs to; its body is given one, and anybody on any
/// thread may have clones.
///
/// A handle that outlives its scope is harmless: it refuses.
///
/// # Examples
/// A child that spawns children:
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::{TaskScope, task_scope};
///
/// fn countdown(s: &TaskScope, from: u32, seen: Arc<AtomicU32>) {
///     let inner = s.clone();
///     s.spawn(async move {
///         seen.fetch_add(1, Ordering::Relaxed);
///         if from > 0 {
///             countdown(&inner, from - 1, seen);
///         }
///     });
/// }
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let seen = Arc::new(AtomicU32::new(0));
/// block_on(task_scope(&runtime, async |s| countdown(&s, 9, Arc::clone(&seen))));
/// assert_eq!(seen.load(Ordering::Relaxed), 10);
/// ```
pub struct TaskScope<R = AnyOutput>(pub(crate) Arc<Shared<R>>);

impl TaskScope {
    /// A scope with a limit, a deadline, a name: see [`ScopeBuilder::run_on`].
    pub fn builder() -> ScopeBuilder {
        ScopeBuilder::new()
    }
}

impl<R> TaskScope<R> {
    /// Cancelled when the scope is: by an error, a panic, its deadline, or [`cancel`](Self::cancel).
    pub fn token(&self) -> &CancelToken {
        &self.0.core.token
    }

    /// The runtime that the children are tasks of.
    pub fn runtime(&self) -> &Runtime {
        &self.0.core.runtime
    }

    /// Cancels the scope; `true` for the first who does.
    ///
    /// The token fires at once. Without a time of grace, children that wait for something are dropped before
    /// this returns, on this thread, and those that are being polled at the end of that poll. The body of
    /// [`task_scope`] and [`try_task_scope`] goes on, because there is no outcome but its own; that of a
    /// scope that was [built](Self::builder) is dropped after the children.
    pub fn cancel(&self, why: impl Into<Reason>) -> bool {
        self.0.core.cancel(why.into())
    }

    /// Takes no more children; those that are there go on.
    pub fn close(&self)
    where
        R: Sealed,
    {
        self.0.core.close();
        self.0.rule.closed();
    }

    /// How many children and services there are. The body does not count.
    pub fn live(&self) -> usize {
        self.0.core.live()
    }

    /// The name that the scope was [given](ScopeBuilder::named).
    pub fn name(&self) -> Option<&str> {
        self.0.core.name.as_deref()
    }

    /// The live children and services, in the order of spawning, with names and places.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::task_scope;
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// block_on(task_scope(&runtime, async |s| {
    ///     let child = s.spawn_named("idle", std::future::pending::<()>());
    ///     assert_eq!(s.snapshot().children()[0].name(), Some("idle"));
    ///     child.cancel();
    /// }));
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        self.0.core.snapshot()
    }

    /// Runs this when the body and all children are gone, after a failure, a panic or a cancelling as well,
    /// in the task that awaits the scope. What was deferred last is run first. All of it together has
    /// thirty seconds; what is not done by then is dropped.
    ///
    /// If the scope itself is dropped before its end, a scope [around it](Self::scope) runs it; if there is
    /// none, it is dropped without being run.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::task_scope;
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let (sender, receiver) = async_channel::unbounded();
    /// block_on(task_scope(&runtime, async |s| {
    ///     let log = [sender.clone(), sender.clone(), sender];
    ///     let [one, two, three] = log;
    ///     s.defer(async move { one.send("disconnect").await.unwrap() });
    ///     s.defer(async move { two.send("say goodbye").await.unwrap() });
    ///     s.spawn(async move { three.send("work").await.unwrap() });
    /// }));
    /// let log: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
    /// assert_eq!(log, ["work", "say goodbye", "disconnect"]);
    /// ```
    #[track_caller]
    pub fn defer<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let location = Location::caller();
        drop(self.0.core.defer(Deferred { future: Box::pin(future), location }));
    }
}

impl<R: Send + Sync + 'static> TaskScope<R> {
    /// Spawns a child; it runs as a task of its own, whether or not its handle is awaited.
    ///
    /// A scope that is closed, cancelled or over drops the future, and the handle says so; use
    /// [`try_spawn`](Self::try_spawn) to have it back.
    ///
    /// # Panics
    /// When the scope has a limit, and has as many children as that: with a limit, use
    /// [`spawn_when_free`](Self::spawn_when_free) or [`try_spawn`](Self::try_spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> TaskChild<R::Value>
    where
        F: Future + Send + 'static,
        R: Rule<F::Output>,
        R::Value: Send + 'static,
    {
        or_refused(self.insert(Kind::Child, None, future, Hooks::child()), TaskChild::refused)
    }

    /// [`spawn`](Self::spawn) with a name, for [snapshots](Self::snapshot) and for the runtime's own lists.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_named<F>(&self, name: impl Into<Box<str>>, future: F) -> TaskChild<R::Value>
    where
        F: Future + Send + 'static,
        R: Rule<F::Output>,
        R::Value: Send + 'static,
    {
        or_refused(self.insert(Kind::Child, Some(name.into()), future, Hooks::child()), TaskChild::refused)
    }

    /// Spawns a child if the scope takes one now.
    ///
    /// # Errors
    /// Gives the future back, with [the reason](Rejected::why): the scope is full or others wait for room,
    /// it is closed, or it is cancelled.
    #[track_caller]
    pub fn try_spawn<F>(&self, future: F) -> Result<TaskChild<R::Value>, Rejected<F>>
    where
        F: Future + Send + 'static,
        R: Rule<F::Output>,
        R::Value: Send + 'static,
    {
        self.insert(Kind::Child, None, future, Hooks::child())
            .map_err(|(future, why)| Rejected::new(future, why))
    }

    /// Spawns a child as soon as the scope's limit allows it.
    ///
    /// # Waiting
    /// It waits while the scope is full; who came first is served first. Closing or cancelling the scope ends
    /// the waiting. A *child* that waits for room in its own scope holds its own place meanwhile: with all
    /// places held so, nobody goes on.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was spawned, and the future was dropped with it.
    ///
    /// # Errors
    /// Gives the future back when the scope is closed or cancelled.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::TaskScope;
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let builder = TaskScope::builder().limit(NonZeroUsize::new(2).unwrap());
    /// let result = block_on(builder.run_on(&runtime, async |s| {
    ///     for number in 0..10 {
    ///         s.spawn_when_free(async move { number * number }).await.unwrap();
    ///         assert!(s.live() <= 2);
    ///     }
    /// }));
    /// assert!(result.is_ok());
    /// ```
    #[track_caller]
    pub fn spawn_when_free<F>(&self, future: F) -> TaskSpawnWhenFree<R, F, R::Value>
    where
        F: Future + Send + 'static,
        R: Rule<F::Output>,
        R::Value: Send + 'static,
    {
        TaskSpawnWhenFree::new(self.clone(), future, Location::caller(), Hooks::child())
    }

    /// Spawns a child that does not keep the scope open: it is cancelled when the body and all ordinary
    /// children have ended. If it ends early with an error, that stops a [`try_task_scope`].
    ///
    /// A scope that takes no children drops the future.
    #[track_caller]
    pub fn spawn_service<F>(&self, name: impl Into<Box<str>>, future: F)
    where
        F: Future + Send + 'static,
        R: Rule<F::Output>,
        R::Value: Send + 'static,
    {
        drop(self.insert(Kind::Service, Some(name.into()), future, Hooks::service()));
    }

    /// Spawns a child of any output, none of which stops the scope: its errors are its handle's. (A panic is
    /// still a panic.)
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn isolate<F>(&self, future: F) -> TaskChild<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        or_refused(self.insert(Kind::Child, None, future, Hooks::isolated()), TaskChild::refused)
    }

    /// Spawns a child, and waits until it says that it is ready: what trio calls `nursery.start`.
    ///
    /// `start` makes the child's future, and is given the [`Started`] that says so. The caller is given the
    /// value and the handle; from then on it is a child as any other. It is spawned at once, not at the first
    /// poll.
    ///
    /// # Waiting
    /// It waits until the child is ready or has ended.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it cancels the child: until the child is ready, it belongs to the caller.
    ///
    /// # Errors
    /// [`Ended`](crate::Ended) tells how the child ended before it was ready, and
    /// [`Ended::NotReady`](crate::Ended::NotReady) that it ended well, or dropped its [`Started`];
    /// [`Ended::Refused`](crate::Ended::Refused) that the scope takes no child now.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::task_scope;
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let (send, receive) = async_channel::unbounded();
    /// block_on(task_scope(&runtime, async |s| {
    ///     let ready = s.spawn_ready(|started| async move {
    ///         // Bind, and only then:
    ///         started.ready(8080);
    ///         receive.recv().await
    ///     });
    ///     let (port, server) = ready.await.unwrap();
    ///     assert_eq!(port, 8080);
    ///     send.send("a request").await.unwrap();
    ///     assert_eq!(server.await, Ok(Ok("a request")));
    /// }));
    /// ```
    #[track_caller]
    pub fn spawn_ready<V, G, F>(&self, start: G) -> SpawnReady<V, TaskChild<R::Value>>
    where
        V: Send + 'static,
        G: FnOnce(Started<V>) -> F,
        F: Future + Send + 'static,
        R: Rule<F::Output>,
        R::Value: Send + 'static,
    {
        let at = Location::caller();
        SpawnReady::announced(TaskChild::cancel, |started, over| {
            let future = over.announce(start(started));
            let child = self.insert_at(at, Kind::Child, None, None, future, Hooks::child());
            // The future that is given back is dropped, for nobody else has it.
            child.map_err(|(_, why)| why)
        })
    }

    /// Opens a [`task_scope`] within this one, on the same runtime: in the body, or in a child.
    ///
    /// It is cancelled when this one is. And should it be dropped half-way, while one of its children is
    /// inside a poll on another thread, then this one waits for that child, and runs what was deferred
    /// there. [`ScopeBuilder::run_in`] is the form with a limit, a deadline and so on.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::task_scope;
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let answer = block_on(task_scope(&runtime, async |s| {
    ///     let outer = s.clone();
    ///     let request = s.spawn(async move {
    ///         outer.scope(async |inner| inner.spawn(async { 42 }).await.unwrap()).await
    ///     });
    ///     request.await.unwrap()
    /// }));
    /// assert_eq!(answer, 42);
    /// ```
    pub fn scope<T, F, Fut>(&self, body: F) -> impl Future<Output = T> + use<R, T, F, Fut>
    where
        F: FnOnce(TaskScope) -> Fut,
        Fut: Future<Output = T>,
    {
        run(Ground::within(self), body)
    }

    /// Opens a [`try_task_scope`] within this one, as [`scope`](Self::scope) does.
    ///
    /// # Errors
    /// The first error of a child or the body, when all have ended.
    pub fn try_scope<T, E, F, Fut>(
        &self,
        body: F,
    ) -> impl Future<Output = Result<T, E>> + use<R, T, E, F, Fut>
    where
        E: Send + 'static,
        F: FnOnce(TaskScope<FirstError<E>>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        try_run(Ground::within(self), body)
    }

    #[track_caller]
    fn insert<F, V>(
        &self,
        kind: Kind,
        name: Option<Box<str>>,
        future: F,
        hooks: Hooks<R, F::Output, V>,
    ) -> Result<TaskChild<V>, (F, Refusal)>
    where
        F: Future + Send + 'static,
        V: Send + 'static,
    {
        self.insert_at(Location::caller(), kind, name, None, future, hooks)
    }

    pub(crate) fn insert_at<F, V>(
        &self,
        location: &'static Location<'static>,
        kind: Kind,
        name: Option<Box<str>>,
        ticket: Option<u64>,
        future: F,
        hooks: Hooks<R, F::Output, V>,
    ) -> Result<TaskChild<V>, (F, Refusal)>
    where
        F: Future + Send + 'static,
        V: Send + 'static,
    {
        let core = &self.0.core;
        let mut builder = core.runtime.builder();
        if let Some(name) = name {
            builder = builder.name(String::from(name));
        }
        let mut task = builder.prepare(location, Unit::new(future, hooks.ended));
        let admitted = core.admit(kind, ticket, |key| {
            if let Some(unit) = task.future_mut() {
                unit.admit(Ticket { shared: Arc::clone(&self.0), key, kind });
            }
            if let Some(spawned) = hooks.spawned {
                spawned(&self.0.rule, key.id());
            }
            task.abort_handle()
        });
        match admitted {
            Ok(key) => Ok(TaskChild::new(key.id(), task.spawn(&core.runtime))),
            Err(why) => {
                let future = task.into_future().and_then(Unit::into_inner);
                Err((future.expect("a task that was not spawned has its future"), why))
            }
        }
    }
}

impl<R> Clone for TaskScope<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> fmt::Debug for TaskScope<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskScope")
            .field("name", &self.name())
            .field("live", &self.live())
            .field("cancelled", &self.token().is_cancelled())
            .finish()
    }
}
