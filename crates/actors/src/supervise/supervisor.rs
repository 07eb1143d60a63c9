//! [`Supervisor`]: children and the rules for them; and [`Tree`], one that was started.

use std::fmt;
use std::mem::take;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use weirs_runtime::{JoinError, Runtime, Task};

use super::branch::Branch;
use super::command::StartError;
use super::handle::Handle;
use super::incarnation::Incarnation;
use super::machine::Machine;
use super::names::Names;
use super::observe::{Event, Observer};
use super::report::ShutdownReport;
use super::rules::{AutoShutdown, Rules, Strategy};
use super::shell::Run;
use super::spec::Spec;
use crate::answer::answer;
use crate::sync::lock;
use crate::{Exit, Id, Invalid};

/// Children, and what happens when one of them ends.
///
/// Unless said otherwise one restart within five seconds is allowed, as in Erlang; with more the supervisor
/// stops everybody and gives up.
///
/// # Examples
/// ```
/// use weirs_actors::supervise::{Incarnation, Spec, Supervisor};
/// use weirs_runtime::{Runtime, Smol, block_on};
///
/// let runtime = Runtime::from(Smol::global());
/// block_on(async {
///     let serve = async |life: Incarnation| life.cancelled().await;
///     let tree = Supervisor::one_for_one()
///         .name("app")
///         .child(Spec::task("web", serve))
///         .child(Spec::task("mail", serve).transient())
///         .start(&runtime)
///         .await
///         .unwrap();
///     println!("{}", tree.snapshot());
///     let report = tree.shutdown().await;
///     assert!(report.is_clean());
/// });
/// ```
#[must_use = "a supervisor does nothing until it is started"]
pub struct Supervisor {
    rules: Rules,
    name: Option<Id>,
    children: Vec<Spec>,
    observer: Option<Observer>,
}

impl Supervisor {
    /// One child that ends as it should not is restarted alone.
    pub fn one_for_one() -> Self {
        Self::new(Strategy::OneForOne)
    }

    /// With one child all are restarted.
    pub fn one_for_all() -> Self {
        Self::new(Strategy::OneForAll)
    }

    /// With one child all that were started after it are restarted.
    pub fn rest_for_one() -> Self {
        Self::new(Strategy::RestForOne)
    }

    /// This strategy.
    pub fn new(strategy: Strategy) -> Self {
        let rules =
            Rules { strategy, most: 1, within: Duration::from_secs(5), auto_shutdown: AutoShutdown::Never };
        Self { rules, name: None, children: Vec::new(), observer: None }
    }

    /// What the root is called in paths and snapshots. Other supervisors are called what their spec says.
    pub fn name(mut self, name: impl Into<Id>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How many restarts are allowed within which time. One more, and the supervisor stops all its children
    /// and [gives up](Exit::GaveUp). With 0 the first is one too many.
    ///
    /// All children share it, and starts that failed count like others. The time is exact: the restart that
    /// was just that long ago counts no longer. For that it remembers the moment of each: with a time without
    /// end and a number without bound that is eight bytes for each restart there ever was.
    pub fn intensity(mut self, most: u32, within: Duration) -> Self {
        (self.rules.most, self.rules.within) = (most, within);
        self
    }

    /// Whether it ends by itself with its [significant](Spec::significant) children.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.rules.auto_shutdown = auto_shutdown;
        self
    }

    /// Adds a child behind the others.
    pub fn child(mut self, spec: Spec) -> Self {
        self.children.push(spec);
        self
    }

    /// Adds children behind the others.
    pub fn children(mut self, specs: impl IntoIterator<Item = Spec>) -> Self {
        self.children.extend(specs);
        self
    }

    /// Tells this function what happens in the tree. Supervisors below that have no observer of their own
    /// tell it too.
    ///
    /// It is called by the supervisors' tasks, which wait for it: it should be quick. Its panics are
    /// contained.
    pub fn observe(mut self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// A future that starts the children, looks after them, and ends when the supervisor does.
    ///
    /// The children run in tasks of this runtime; the supervisor itself runs where the future is polled.
    /// Settings that make no sense end it at once with [`Exit::Failed`] and a [`StartError::Invalid`].
    pub fn run(self, runtime: &Runtime) -> Run {
        self.launch(runtime.clone(), None)
    }

    /// Starts the tree in a task of its own, and waits until all children are ready.
    ///
    /// # Errors
    /// A setting makes no sense; or a child did not become ready, and those before it are stopped again.
    ///
    /// # Cancel safety
    /// Dropped, it drops what it has started.
    pub async fn start(self, runtime: &Runtime) -> Result<Tree, StartError> {
        let mut run = self.run(runtime);
        let (answerer, answered) = answer();
        run.tell_start(answerer);
        let handle = run.handle();
        let task = runtime.builder().name("supervisor").spawn(run);
        match answered.await {
            Some(Ok(())) => Ok(Tree { handle, task: Some(task) }),
            Some(Err(error)) => {
                // It is over, or about to: what it stopped is gone when this returns.
                let _ = task.await;
                Err(error)
            }
            None => Err(StartError::Interrupted(ended(task.await))),
        }
    }

    /// Starts the tree in a task of its own, and does not wait for its children.
    ///
    /// Settings that make no sense are its exit.
    pub fn spawn(self, runtime: &Runtime) -> Tree {
        let run = self.run(runtime);
        let handle = run.handle();
        Tree { handle, task: Some(runtime.builder().name("supervisor").spawn(run)) }
    }

    pub(super) fn run_in(self, life: Incarnation) -> Run {
        let runtime = life.runtime().clone();
        self.launch(runtime, Some(life))
    }

    fn launch(mut self, runtime: Runtime, life: Option<Incarnation>) -> Run {
        let valid = self.check();
        let children = take(&mut self.children);
        let observer = self.observer.or_else(|| life.as_ref().and_then(|life| life.branch.observer.clone()));
        let node = life.as_ref().map(|life| Arc::downgrade(&life.node));
        let name = if life.is_some() { None } else { self.name };
        let registry = life.as_ref().map(|life| life.registry().clone()).unwrap_or_default();
        let branch = Branch::new(name, node, runtime, registry, self.rules, observer);
        Run::new(branch, Machine::new(self.rules), valid.map(|()| children), life)
    }

    fn check(&self) -> Result<(), Invalid> {
        if self.rules.within == Duration::ZERO {
            return Err(Invalid::new("supervisor.intensity", "within no time"));
        }
        let mut names = Names::with_capacity(self.children.len());
        for (place, spec) in self.children.iter().enumerate() {
            spec.check()?;
            spec.check_under(&self.rules)?;
            if names.find(spec.id(), |other| self.children[other].id() == spec.id()).is_none() {
                names.put(spec.id(), place);
            } else {
                return Err(Invalid::of_child(spec.id(), "spec.id", "there are two of that name"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("rules", &self.rules)
            .field("children", &self.children)
            .finish_non_exhaustive()
    }
}

/// A tree that was started. It is a [`Handle`] too.
///
/// Dropped, it drops the whole tree; [`shutdown`](Tree::shutdown) stops it in order.
#[must_use = "dropped, it drops the whole tree"]
pub struct Tree {
    handle: Handle,
    task: Option<Task<Exit>>,
}

impl Tree {
    /// A handle that does not keep the tree alive.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops all children in reverse order of their start, each in its time, and tells how they went. When
    /// it returns, nobody is left but those that the report calls stuck.
    ///
    /// A child that waits for this waits for itself, until it is killed when its time to stop is over. It
    /// tells the tree to stop with [`stop_all`](Handle::stop_all), which does not wait.
    ///
    /// # Cancel safety
    /// Dropped, it drops what is left of the tree.
    pub async fn shutdown(self) -> ShutdownReport {
        self.handle.stop_all();
        self.report().await
    }

    /// Drops all children at once, without asking them to stop, and tells how they went.
    ///
    /// # Cancel safety
    /// As [`shutdown`](Tree::shutdown).
    pub async fn kill(self) -> ShutdownReport {
        self.handle.kill_all();
        self.report().await
    }

    /// Waits until the tree ends by itself, or is told to by a handle.
    ///
    /// # Cancel safety
    /// It may be dropped, and called again.
    pub async fn wait(&mut self) -> Exit {
        match &mut self.task {
            Some(task) => {
                let exit = ended(task.await);
                self.task = None;
                lock(&self.handle.branch().exit).get_or_insert(exit).clone()
            }
            None => lock(&self.handle.branch().exit).clone().unwrap_or(Exit::Lost),
        }
    }

    async fn report(mut self) -> ShutdownReport {
        let exit = self.wait().await;
        let mut report = lock(&self.handle.branch().report);
        ShutdownReport { exit, stopped: take(&mut report.stopped), left: take(&mut report.left) }
    }
}

fn ended(end: Result<Exit, JoinError>) -> Exit {
    match end {
        Ok(exit) => exit,
        Err(JoinError::Panic(panic)) => {
            let exit = Exit::panicked(&panic);
            crate::panics::let_go(panic);
            exit
        }
        Err(_) => Exit::Lost,
    }
}

impl Deref for Tree {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tree").field(&self.handle).finish()
    }
}
