//! [`LocalRuntime`]: tasks that stay on one thread.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use futures_task::{LocalFutureObj, LocalSpawn, SpawnError};

use crate::panic_hook::PanicHook;
use crate::runtime::change_hooks;
use crate::task::cell::Cell;
use crate::task::label::{Hooks, Label};
use crate::task::runner::Runner;
use crate::watch::{TaskKind, Watch};
use crate::{Clock, LocalTask, LostPanic, Watched};

/// A [`Runtime`](crate::Runtime) for futures that are not [`Send`]: they run on the thread that made them.
///
/// It stands on whatever implements [`futures_task::LocalSpawn`]. Tasks mean the same as there. For blocking
/// jobs, and for tasks on other threads, hold a [`Runtime`](crate::Runtime) beside it.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use weirs_runtime::LocalRuntime;
///
/// let mut pool = futures::executor::LocalPool::new();
/// let runtime = LocalRuntime::new(pool.spawner());
/// let shared = Rc::new(7);
/// let task = runtime.spawn({
///     let shared = Rc::clone(&shared);
///     async move { *shared + 1 }
/// });
/// assert_eq!(pool.run_until(task).unwrap(), 8);
/// ```
#[derive(Clone)]
pub struct LocalRuntime(Rc<Inner>);

#[derive(Clone)]
struct Inner {
    spawner: Rc<dyn LocalSpawn>,
    clock: Clock,
    hooks: Option<Arc<Hooks>>,
}

impl LocalRuntime {
    /// A local runtime on this spawner, in real time.
    #[cfg(not(target_family = "wasm"))]
    pub fn new(spawner: impl LocalSpawn + 'static) -> Self {
        Self::with_parts(spawner, Clock::default())
    }

    /// A local runtime on this spawner, in the time of this clock.
    pub fn with_parts(spawner: impl LocalSpawn + 'static, clock: Clock) -> Self {
        Self(Rc::new(Inner { spawner: Rc::new(spawner), clock, hooks: None }))
    }

    /// The same runtime in another time.
    #[must_use = "the runtime itself is unchanged"]
    pub fn with_clock(&self, clock: Clock) -> Self {
        self.changed(|inner| inner.clock = clock)
    }

    /// The same runtime with a panic hook, as [`Runtime::with_panic_hook`](crate::Runtime::with_panic_hook).
    #[must_use = "the runtime itself is unchanged"]
    pub fn with_panic_hook(&self, hook: impl Fn(&LostPanic<'_>) + Send + Sync + 'static) -> Self {
        let hook: PanicHook = Arc::new(hook);
        self.changed(|inner| change_hooks(&mut inner.hooks, |hooks| hooks.panic = Some(hook)))
    }

    /// The same runtime with one more watcher.
    #[must_use = "the runtime itself is unchanged"]
    pub fn with_watch(&self, watch: Arc<dyn Watch>) -> Self {
        self.changed(|inner| change_hooks(&mut inner.hooks, |hooks| hooks.watches.push(watch)))
    }

    /// The same runtime, and the list of its live tasks. See [`Watched`].
    pub fn watched(&self) -> (Self, Watched) {
        let watched = Watched::new(self.clock().clone());
        (self.with_watch(watched.watch()), watched)
    }

    /// Spawns a future on this thread. See [`Task`](crate::Task) for what its handle does.
    ///
    /// # Panics
    /// Only if the spawner itself does.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> LocalTask<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.builder().spawn(future)
    }

    /// Spawns with a name: `runtime.builder().name("redraw").spawn(future)`.
    pub fn builder(&self) -> LocalTaskBuilder<'_> {
        LocalTaskBuilder { runtime: self, name: None }
    }

    /// The runtime's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn changed(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner::clone(&self.0);
        change(&mut inner);
        Self(Rc::new(inner))
    }
}

/// So that whatever asks for a [`futures_task::LocalSpawn`] takes a local runtime; the task is detached.
impl LocalSpawn for LocalRuntime {
    #[track_caller]
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.spawn(future).detach();
        Ok(())
    }
}

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRuntime").field("clock", self.clock()).finish_non_exhaustive()
    }
}

/// Spawns a local task with a name; made by [`LocalRuntime::builder`].
#[derive(Debug)]
#[must_use = "nothing is spawned yet"]
pub struct LocalTaskBuilder<'a> {
    runtime: &'a LocalRuntime,
    name: Option<Cow<'static, str>>,
}

impl LocalTaskBuilder<'_> {
    /// Names the task, for task lists, panic messages and reports of the simulator.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// [`LocalRuntime::spawn`] under this name.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> LocalTask<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let runtime = &self.runtime.0;
        let label = Label::new(Location::caller(), self.name, runtime.hooks.as_ref(), TaskKind::Local);
        let cell = <Cell<F>>::new(future, label);
        let task = LocalTask::new(Arc::clone(&cell) as _);
        // A refused future is dropped with its runner, and the task says so.
        let _ = runtime.spawner.spawn_local_obj(LocalFutureObj::new(Runner::new(cell)));
        task
    }
}
