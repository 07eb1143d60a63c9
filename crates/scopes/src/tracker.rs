//! [`Tracker`]: what still lives, by name and place: detached tasks, blocking jobs, children of scopes.

mod idle;
mod leaks;
mod live;
mod roster;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::{Runtime, Watched};

pub use idle::WaitIdle;
pub use leaks::Leaks;
pub use live::{LiveKind, LiveTask};
pub(crate) use roster::{Enrolled, Roster};

use live::Lines;
use roster::Rosters;

/// Knows what was spawned through it and still lives, by name and place; finds leaks.
///
/// Every task that is spawned through [`runtime`](Tracker::runtime), or a clone of it, is on the list from
/// its spawning to its end, and so is every scope that was [built](crate::ScopeBuilder::tracked) with the
/// tracker, with its children. What was spawned elsewhere is not: each tracker has a list of its own, so
/// tests that run at the same time do not see each other's tasks.
///
/// A tracker keeps no task alive and cancels none. Clones share their list.
///
/// # Examples
/// A test that finds what its subject forgot:
/// ```
/// use std::time::Duration;
/// use weirs_runtime::block_on;
/// use weirs_scopes::Tracker;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let tracker = Tracker::new(&runtime);
///     let forgotten = tracker.runtime().builder().name("forgotten").spawn(std::future::pending::<()>());
///
///     let leaks = tracker.no_leaks(Duration::from_secs(5)).await.unwrap_err();
///     assert_eq!(leaks.tasks()[0].name(), Some("forgotten"));
///
///     drop(forgotten);
///     tracker.assert_no_leaks(Duration::from_secs(5)).await;
/// }).unwrap();
/// ```
#[derive(Clone)]
pub struct Tracker(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    watched: Watched,
    rosters: Arc<Rosters>,
}

impl Tracker {
    /// A tracker of what is spawned on this runtime through it.
    pub fn new(runtime: &Runtime) -> Self {
        let (runtime, watched) = runtime.watched();
        Self(Arc::new(Inner { runtime, watched, rosters: Arc::default() }))
    }

    /// The runtime whose tasks are on the list: hand it to whatever is to be watched.
    pub fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    /// Spawns a task that nobody awaits: it runs on by itself, and is on the list by its name until it ends.
    ///
    /// If it panics, the runtime's [panic hook](Runtime::with_panic_hook) hears of it. At the end of the
    /// program, [`no_leaks`](Tracker::no_leaks) gives such tasks some time, and names those that needed more.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::Tracker;
    ///
    /// let tracker = Tracker::new(&Runtime::new(futures::executor::ThreadPool::new().unwrap()));
    /// tracker.spawn("audit entry", async { /* write it */ });
    /// block_on(async {
    ///     if let Err(late) = tracker.no_leaks(Duration::from_secs(5)).await {
    ///         eprintln!("left behind: {late}");
    ///     }
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.runtime.builder().name(name).spawn(future).detach();
    }

    /// What lives now: tasks and blocking jobs, and then scopes, each followed by its children; in each part
    /// the first spawned comes first.
    pub fn tasks(&self) -> Vec<LiveTask> {
        let mut tasks: Vec<LiveTask> = self.0.watched.tasks().into_iter().map(LiveTask::of_task).collect();
        self.0.rosters.list(self.0.runtime.clock().now(), &mut tasks);
        tasks
    }

    /// Whether nothing lives.
    pub fn is_empty(&self) -> bool {
        self.0.watched.is_empty() && self.0.rosters.is_empty()
    }

    /// Waits until nothing lives, but for the task that waits.
    ///
    /// # Waiting
    /// The last that ends wakes it; there is no timer. What is spawned meanwhile is waited for as well.
    /// Within a tracked scope it would wait for that scope, and so for itself.
    ///
    /// # Cancel safety
    /// Dropping it only stops the waiting.
    pub fn wait_idle(&self) -> WaitIdle {
        WaitIdle::new(self)
    }

    /// Waits until nothing lives, but not longer than this; then tells what does.
    ///
    /// # Waiting
    /// As [`wait_idle`](Tracker::wait_idle); the limit is in the time of the runtime's clock, from the first
    /// poll on. With a zero limit it only looks.
    ///
    /// # Cancel safety
    /// Dropping it only stops the waiting.
    ///
    /// # Errors
    /// [`Leaks`]: what lives still, with names, places and ages. The task that asks is not among them.
    pub fn no_leaks(&self, within: Duration) -> impl Future<Output = Result<(), Leaks>> + Send + use<> {
        let this = self.clone();
        async move {
            if this.0.runtime.clock().timeout(within, this.wait_idle()).await.is_ok() {
                return Ok(());
            }
            let asks = weirs_runtime::TaskId::current();
            let mut tasks = this.tasks();
            tasks.retain(|task| task.id().is_none() || task.id() != asks);
            // The last may have ended between the two looks.
            if tasks.is_empty() { Ok(()) } else { Err(Leaks::new(tasks, within)) }
        }
    }

    /// [`no_leaks`](Tracker::no_leaks) for tests: panics with a table of what lives still.
    ///
    /// # Panics
    /// When something lives after so long. The message tells the place of this call.
    #[track_caller]
    pub fn assert_no_leaks(&self, within: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (checked, asked) = (self.no_leaks(within), Location::caller());
        async move {
            if let Err(leaks) = checked.await {
                panic!("{leaks}asked at {asked}");
            }
        }
    }

    pub(crate) fn roster(&self, name: Option<&str>, location: &'static Location<'static>) -> Arc<Roster> {
        Roster::new(Arc::clone(&self.0.rosters), self.0.runtime.clock().clone(), name, location)
    }
}

/// A table, with a line for each that lives.
impl fmt::Display for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Lines(&self.tasks()).fmt(f)
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracker").field(&self.tasks()).finish()
    }
}
