//! [`Runtime`]: whoever needs to spawn is handed one.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use futures_task::{FutureObj, Spawn, SpawnError};

use crate::blocking::{self, Job};
use crate::panic_hook::PanicHook;
use crate::task::cell::Cell;
use crate::task::label::{Hooks, Label};
use crate::task::runner::Runner;
use crate::task::ticket::{Prepared, Ticketed};
use crate::watch::{TaskKind, Watch};
use crate::{Clock, JoinError, LostPanic, SpawnBlocking, Task, Watched};

/// An executor and a clock, as a value: what code needs that spawns and waits, and nothing of who made it.
///
/// A runtime is a cheap clone of a spawner (whatever implements [`futures_task::Spawn`]) and a [`Clock`],
/// and, if given, of a place for blocking jobs, watchers and a panic hook. The methods that begin with
/// `with_` give a changed clone.
///
/// There is no `block_on` here on purpose: a library that blocks on its runtime deadlocks on somebody's.
/// [`block_on`](crate::block_on) is for `main` and for tests.
///
/// # Examples
/// On any executor, here `futures`' own thread pool:
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Runtime, block_on};
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let clock = runtime.clock().clone();
/// let task = runtime.spawn(async move {
///     clock.sleep(Duration::from_millis(1)).await;
///     "rested"
/// });
/// assert_eq!(block_on(task).unwrap(), "rested");
/// ```
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    spawner: Arc<dyn Spawn + Send + Sync>,
    blocking: Option<Arc<dyn SpawnBlocking>>,
    clock: Clock,
    /// None, and so free, unless there is somebody to tell.
    hooks: Option<Arc<Hooks>>,
}

impl Runtime {
    /// A runtime on this spawner, in real time.
    ///
    /// It has no place for blocking jobs: `Runtime::from(adapter)` brings one, and
    /// [`with_blocking`](Self::with_blocking) gives it any.
    #[cfg(not(target_family = "wasm"))]
    pub fn new(spawner: impl Spawn + Send + Sync + 'static) -> Self {
        Self::with_parts(spawner, Clock::default())
    }

    /// A runtime on this spawner, in the time of this clock.
    pub fn with_parts(spawner: impl Spawn + Send + Sync + 'static, clock: Clock) -> Self {
        Self(Arc::new(Inner { spawner: Arc::new(spawner), blocking: None, clock, hooks: None }))
    }

    /// The same runtime in another time.
    #[must_use = "the runtime itself is unchanged"]
    pub fn with_clock(&self, clock: Clock) -> Self {
        self.changed(|inner| inner.clock = clock)
    }

    /// The same runtime with a place for blocking jobs.
    #[must_use = "the runtime itself is unchanged"]
    pub fn with_blocking(&self, blocking: impl SpawnBlocking) -> Self {
        self.changed(|inner| inner.blocking = Some(Arc::new(blocking)))
    }

    /// The same runtime with a panic hook: it is told of each panic that no joiner will hear of.
    ///
    /// That is: a panic in a task that was detached or dropped, in the destructor of an output that nobody
    /// took, and in a waker. Without a hook a line goes to standard error. The hook runs on whatever thread
    /// it happened.
    #[must_use = "the runtime itself is unchanged"]
    pub fn with_panic_hook(&self, hook: impl Fn(&LostPanic<'_>) + Send + Sync + 'static) -> Self {
        let hook: PanicHook = Arc::new(hook);
        self.changed_hooks(|hooks| hooks.panic = Some(hook))
    }

    /// The same runtime with one more watcher, who is told of the tasks that this clone spawns.
    #[must_use = "the runtime itself is unchanged"]
    pub fn with_watch(&self, watch: Arc<dyn Watch>) -> Self {
        self.changed_hooks(|hooks| hooks.watches.push(watch))
    }

    /// The same runtime, and the list of its live tasks. See [`Watched`].
    pub fn watched(&self) -> (Self, Watched) {
        let watched = Watched::new(self.clock().clone());
        (self.with_watch(watched.watch()), watched)
    }

    /// Spawns a future. See [`Task`] for what its handle does.
    ///
    /// A spawner that refuses the future makes the task end with [`JoinError::Lost`].
    ///
    /// # Panics
    /// Only if the spawner itself does.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.builder().spawn(future)
    }

    /// Spawns a closure that may hold up its thread.
    ///
    /// Dropping or cancelling its task before it was begun means that it never runs. Once it runs it cannot
    /// be stopped: `cancel().await` then waits for it and gives its result. Without a [blocking
    /// spawner](Runtime::with_blocking) the task ends with [`JoinError::Unsupported`].
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, job: F) -> Task<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.builder().spawn_blocking(job)
    }

    /// Spawns with a name: `runtime.builder().name("refresh").spawn(future)`.
    pub fn builder(&self) -> TaskBuilder<'_> {
        TaskBuilder { runtime: self, name: None }
    }

    /// The runtime's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn spawner(&self) -> &(dyn Spawn + Send + Sync) {
        &*self.0.spawner
    }

    fn changed(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner::clone(&self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    fn changed_hooks(&self, change: impl FnOnce(&mut Hooks)) -> Self {
        self.changed(|inner| change_hooks(&mut inner.hooks, change))
    }
}

/// Changes a copy of the hooks, for those who share them keep theirs.
pub(crate) fn change_hooks(hooks: &mut Option<Arc<Hooks>>, change: impl FnOnce(&mut Hooks)) {
    let mut changed = hooks.as_deref().cloned().unwrap_or_default();
    change(&mut changed);
    *hooks = Some(Arc::new(changed));
}

/// So that whatever asks for a [`futures_task::Spawn`] takes a runtime; the task is detached.
impl Spawn for Runtime {
    #[track_caller]
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.spawn(future).detach();
        Ok(())
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("clock", self.clock())
            .field("blocking", &self.0.blocking.is_some())
            .finish_non_exhaustive()
    }
}

/// Spawns a task with a name; made by [`Runtime::builder`].
#[derive(Debug)]
#[must_use = "nothing is spawned yet"]
pub struct TaskBuilder<'a> {
    runtime: &'a Runtime,
    name: Option<Cow<'static, str>>,
}

impl TaskBuilder<'_> {
    /// Names the task, for task lists, panic messages and reports of the simulator.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// [`Runtime::spawn`] under this name.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let runtime = &self.runtime.0;
        let cell = <Cell<F>>::new(future, self.label(Location::caller(), TaskKind::Task));
        let task = Task::new(Arc::clone(&cell) as _);
        // A refused future is dropped with its runner, and the task says so.
        let _ = runtime.spawner.spawn_obj(FutureObj::new(Runner::new(cell)));
        task
    }

    /// Makes a task of a future that leaves a ticket, as if from that place, and does not spawn it yet.
    #[doc(hidden)]
    pub fn prepare<F>(self, location: &'static Location<'static>, future: F) -> Prepared<F>
    where
        F: Ticketed + Send + 'static,
        F::Output: Send + 'static,
    {
        Prepared::new(future, self.label(location, TaskKind::Task))
    }

    /// [`Runtime::spawn_blocking`] under this name.
    #[track_caller]
    pub fn spawn_blocking<F, T>(self, job: F) -> Task<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let runtime = &self.runtime.0;
        let cell = <Cell<_>>::new(Job::new(job), self.label(Location::caller(), TaskKind::Blocking));
        let task = Task::new(Arc::clone(&cell) as _);
        let runner = Runner::new(cell);
        match &runtime.blocking {
            Some(blocking) => {
                let _ = blocking.spawn_blocking(Box::new(move || blocking::run(&runner)));
            }
            None => runner.end(JoinError::Unsupported),
        }
        task
    }

    fn label(self, location: &'static Location<'static>, kind: TaskKind) -> Label {
        Label::new(location, self.name, self.runtime.0.hooks.as_ref(), kind)
    }
}
