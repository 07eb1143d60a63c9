//! [`Shutdown`]: the orderly end of a program, in stages, within a time.

mod builder;
mod group;
mod inner;
mod member;
mod order;
mod report;
mod run;
mod state;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use weirs_runtime::Runtime;

pub use builder::{ShutdownBuilder, ShutdownError};
pub use group::{OrderError, ShutdownGroup};
pub use report::{GroupReport, MainEnd, MainOutput, MemberEnd, MemberReport, Report, Stage, StageReport};

use inner::Inner;

use crate::{CancelToken, Reason};

/// The orderly end of a program: in stages, each with its time, all of them within one total; and then a
/// report of what did not end by itself.
///
/// Long-running work is spawned into it, or into its [groups](Shutdown::group); [`run`](Shutdown::run) runs
/// the program's main future until it ends, or until the shutdown is triggered: by
/// [`trigger`](Shutdown::trigger), by the end of the main future or of an
/// [essential](ShutdownGroup::spawn_essential) task, or by a signal if the builder was given some. Then:
///
/// | stage | what happens | for at most |
/// |---|---|---|
/// | lame duck | [`is_ready`](Shutdown::is_ready) says no, but work is accepted | `lame_duck` (none) |
/// | drain | [`intake`](Shutdown::intake) is cancelled: finish what was begun | `drain` |
/// | cancel | [`token`](Shutdown::token) is cancelled: end now, in your own way | `grace` |
/// | drop | the rest is dropped; what is being polled ends with its poll | `drop` |
/// | cleanup | what was [deferred](Shutdown::defer) runs, the last deferred first | `cleanup` |
///
/// A stage ends early when there is nothing left to wait for. The durations are set at the
/// [builder](Shutdown::builder), or share out the total, which is 30 seconds unless set: as long as
/// Kubernetes waits before it kills. [`force`](Shutdown::force), or a second signal, goes to the drop stage
/// at once and skips the cleanup. With signals, a third ends the process, whatever its threads do.
///
/// A group that stands [before](ShutdownGroup::before) another is told first in each stage, and the other not
/// before the first is empty.
///
/// # What it cannot do
/// Nothing can stop a task that does not return from its poll. [`run`](Shutdown::run) gives up waiting for it
/// when the time is over, and the report names it. That needs another thread: on an executor with a single
/// thread, a task that blocks it blocks this as well, and only the third signal helps. The same holds for a
/// main future that blocks.
///
/// Clones are the same shutdown. When the last is dropped, its tasks are, whether or not it ever ran.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::Shutdown;
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let shutdown = Shutdown::builder().total(Duration::from_secs(10)).build(&runtime).unwrap();
///
/// let database = shutdown.group("database");
/// let requests = shutdown.group("requests").before("database").unwrap();
///
/// let closing = database.intake().clone();
/// database.spawn("connection", async move {
///     closing.cancelled().await; // when the last request is done
/// });
/// requests.spawn("GET /", async { /* answer it */ });
///
/// let report = block_on(shutdown.run(async { /* accept until the intake is cancelled */ }));
/// assert_eq!(report.exit_code(), 0, "{report}");
/// ```
#[derive(Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
    _owner: Arc<Owner>,
}

/// The tasks go with the last of the [`Shutdown`]s. The groups do not count, for tasks hold them.
struct Owner(Arc<Inner>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Shutdown {
    /// With the default times, and without signals.
    pub fn new(runtime: &Runtime) -> Self {
        Self::from_inner(Inner::new(runtime.clone(), builder::Plan::default()))
    }

    /// To set the times.
    pub fn builder() -> ShutdownBuilder {
        ShutdownBuilder::new()
    }

    fn from_inner(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        Self { _owner: Arc::new(Owner(Arc::clone(&inner))), inner }
    }

    /// The group with this path; it is made if there is none.
    ///
    /// A path like `http/connections` names a group within the group `http`, which is made as well. What is
    /// said of a group's order holds for all within it. A group stays for as long as the shutdown: make one
    /// for each sort of task, not one for each request.
    ///
    /// # Panics
    /// When the path is empty, or a part of it is.
    pub fn group(&self, path: &str) -> ShutdownGroup {
        ShutdownGroup::new(&self.inner, 0, path)
    }

    /// Spawns a task that is in no group; see [`ShutdownGroup::spawn`]. It ends with those groups that are
    /// told first.
    #[track_caller]
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> bool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let at = Location::caller();
        self.inner.spawn(0, name.into(), at, false, future).is_ok()
    }

    /// Runs this in the cleanup stage, when all tasks are gone; what was deferred last runs first, each when
    /// the one before has ended, as a task of the runtime.
    ///
    /// It is not run when the shutdown is forced, the time for cleaning up is over, or the future of
    /// [`run`](Shutdown::run) is dropped; the report names what was skipped. After the end it is dropped at
    /// once.
    #[track_caller]
    pub fn defer<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.inner.defer(name.into(), Location::caller(), Box::pin(future));
    }

    /// Begins the shutdown; `true` for the first who does.
    ///
    /// The time runs from here on. The stages are gone through by [`run`](Shutdown::run).
    pub fn trigger(&self, why: impl Into<Reason>) -> bool {
        self.inner.trigger(why.into())
    }

    /// Begins the shutdown if nobody has, and goes to the drop stage without further waiting.
    pub fn force(&self) {
        self.inner.force();
    }

    /// Whether new work should be sent here: until the shutdown is triggered. For health checks.
    pub fn is_ready(&self) -> bool {
        !self.inner.triggered.is_cancelled()
    }

    /// Cancelled when the shutdown is triggered, with the reason for it.
    pub fn triggered(&self) -> &CancelToken {
        &self.inner.triggered
    }

    /// Cancelled when the drain stage begins, with the reason for the shutdown: accept no more.
    pub fn intake(&self) -> &CancelToken {
        &self.inner.intake
    }

    /// Cancelled when the cancel stage begins, with [`Reason::Shutdown`]: the main future has to end.
    pub fn token(&self) -> &CancelToken {
        &self.inner.token
    }

    /// Runs the main future, here in the caller's task, until it ends or the shutdown is triggered; then goes
    /// through the stages, and reports.
    ///
    /// The main future goes on through the lame duck, drain and cancel stages, until it ends or is dropped at
    /// the end of the grace. If its own end triggers the shutdown, there is no lame duck. It need be neither
    /// `Send` nor `'static`. To have none, await the trigger:
    /// `shutdown.run(shutdown.intake().cancelled())`.
    ///
    /// # Waiting
    /// It waits for the main future or the trigger, and then no longer than the total time.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it drops the main future, and then all tasks in their order: those that
    /// are idle before the drop returns, and those that are being polled at the end of their poll. What was
    /// deferred is dropped without being run. The shutdown is over then.
    ///
    /// # Panics
    /// When it was run before, this one or a clone. A panic of the main future triggers the shutdown and is
    /// in the report.
    pub fn run<M>(&self, main: M) -> impl Future<Output = Report> + use<'_, M>
    where
        M: Future,
        M::Output: MainOutput,
    {
        run::run(&self.inner, main)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("ready", &self.is_ready())
            .field("live", &self.inner.live(0))
            .finish_non_exhaustive()
    }
}
