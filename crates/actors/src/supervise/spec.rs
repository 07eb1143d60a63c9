//! [`Spec`]: what a supervisor has to know of a child.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use weirs_resilience::Backoff;
use weirs_runtime::{Runtime, Task};

use super::branch::Branch;
use super::incarnation::Incarnation;
use super::node::{Face, Kind, Node};
use super::pool::Place;
use super::rules::{AutoShutdown, ChildRules, Restart, Rules, Stop};
use super::runner::{Runner, Seat};
use super::supervisor::Supervisor;
use crate::exit::IntoExit;
use crate::sync::lock;
use crate::{Id, Invalid};

/// How long a child may take to stop, unless said otherwise.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(5);
/// How long a child that announces that it is ready may take, unless said otherwise.
pub(super) const START_WITHIN: Duration = Duration::from_secs(30);
/// How long a child that was killed may take to be gone.
const KILL_GRACE: Duration = Duration::from_secs(1);
/// After how long a time without trouble the pauses of a backoff begin anew.
const RESET_AFTER: Duration = Duration::from_secs(60);

/// How a child's task is begun.
pub(crate) trait Launch: Send {
    fn launch(self: Box<Self>, runtime: &Runtime, seat: Seat) -> Task<()>;

    /// What the child was to be made of, if it was handed in for this one child.
    fn reclaim(self: Box<Self>) -> Option<Box<dyn Any + Send>> {
        None
    }
}

impl<F: FnOnce(&Runtime, Seat) -> Task<()> + Send> Launch for F {
    fn launch(self: Box<Self>, runtime: &Runtime, seat: Seat) -> Task<()> {
        self(runtime, seat)
    }
}

/// What a supervisor has to know of a child: its name, how to make its future, and the rules.
///
/// Unless said otherwise a child is permanent, has five seconds to stop, and is restarted at once.
pub struct Spec {
    pub(crate) node: Arc<Node>,
    pub(crate) rules: Arc<ChildRules>,
    pub(crate) backoff: Option<Box<Backoff>>,
    pub(crate) announces: bool,
    /// Its place in a pool.
    pub(super) place: Option<Place>,
    /// What is wrong with it beyond its own settings.
    pub(super) invalid: Option<Box<Invalid>>,
    /// An actor for whose messages there is no room at all.
    pub(crate) empty_mailbox: bool,
    launch: Box<dyn Launch>,
}

impl Spec {
    /// A future, made anew for each life.
    ///
    /// It may end with `()`, a `Result`, or an [`Exit`](crate::Exit).
    ///
    /// # Examples
    /// ```
    /// use weirs_actors::supervise::Spec;
    ///
    /// let spec = Spec::task("tick", async |life: weirs_actors::supervise::Incarnation| {
    ///     println!("life {}", life.number());
    ///     life.cancelled().await;
    /// });
    /// ```
    pub fn task<F, Fut>(id: impl Into<Id>, make: F) -> Self
    where
        F: FnMut(Incarnation) -> Fut + Send + 'static,
        Fut: Future<Output: IntoExit> + Send + 'static,
    {
        Self::new(id.into(), Kind::Task, None, make)
    }

    /// A supervisor, made anew for each life.
    ///
    /// It has all the time it wants to stop, because its children have theirs. With
    /// [`stop`](Spec::stop) it has less, and its children too.
    pub fn tree(id: impl Into<Id>, make: impl FnMut() -> Supervisor + Send + 'static) -> Self {
        Self::shown_tree(id.into(), Arc::default(), make)
    }

    /// A supervisor that is seen through this face.
    pub(super) fn shown_tree(
        id: Id,
        face: Arc<TreeFace>,
        mut make: impl FnMut() -> Supervisor + Send + 'static,
    ) -> Self {
        let shown = Arc::clone(&face);
        let spec = Self::new(id, Kind::Tree, Some(face), move |life: Incarnation| {
            let run = make().run_in(life);
            let before = lock(&shown.0).replace(Arc::clone(run.branch()));
            drop(before);
            run
        });
        let mut spec = spec.stop(Stop::Forever);
        spec.announces = true;
        // It never blocks; its children have a grace each.
        spec.rules_mut().kill_grace = Duration::MAX;
        spec
    }

    pub(crate) fn new<F, Fut>(id: Id, kind: Kind, face: Option<Arc<dyn Face>>, make: F) -> Self
    where
        F: FnMut(Incarnation) -> Fut + Send + 'static,
        Fut: Future<Output: IntoExit> + Send + 'static,
    {
        let name = id.fixed();
        Self::of(id, kind, face, Box::new(Made { name, make, future: PhantomData }))
    }

    pub(crate) fn of(id: Id, kind: Kind, face: Option<Arc<dyn Face>>, launch: Box<dyn Launch>) -> Self {
        Self {
            node: Node::new(id, kind, face),
            rules: usual_rules(),
            backoff: None,
            announces: false,
            place: None,
            invalid: None,
            empty_mailbox: false,
            launch,
        }
    }

    /// What it is called.
    pub fn id(&self) -> &Id {
        &self.node.id
    }

    /// Whether it is started again when it ended. [`Restart::Permanent`], unless said otherwise.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.rules_mut().restart = restart;
        self
    }

    /// Started again when it failed; not when it was done.
    #[must_use]
    pub fn transient(self) -> Self {
        self.restart(Restart::Transient)
    }

    /// Never started again.
    #[must_use]
    pub fn temporary(self) -> Self {
        self.restart(Restart::Temporary)
    }

    /// How it is stopped. Within five seconds, unless said otherwise; a supervisor has all the time it wants.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        self.rules_mut().stop = stop;
        self
    }

    /// Pauses between restarts. Without one, a child is restarted at once.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(Box::new(backoff));
        self.rules_mut().pauses = true;
        self
    }

    /// After how long a life the pauses of the backoff begin anew. A minute, unless said otherwise.
    #[must_use]
    pub fn reset_after(mut self, life: Duration) -> Self {
        self.rules_mut().reset_after = life;
        self
    }

    /// Its end may be the supervisor's: see [`AutoShutdown`](super::AutoShutdown).
    #[must_use]
    pub fn significant(mut self) -> Self {
        self.rules_mut().significant = true;
        self
    }

    /// It is ready when it [says so](Incarnation::ready), and those behind it wait for that, for half a
    /// minute. Every other child is ready when it waits for the first time.
    #[must_use]
    pub fn announces_ready(mut self) -> Self {
        self.announces = true;
        self.rules_mut().start_within.get_or_insert(START_WITHIN);
        self
    }

    /// How long it may take to be ready. If it is not, it is killed, and that is an end like others.
    #[must_use]
    pub fn start_within(mut self, within: Duration) -> Self {
        self.rules_mut().start_within = Some(within);
        self
    }

    /// How long it may take to be gone when it was killed. A second, unless said otherwise. One that is not
    /// does not give its thread back, and is reported as stuck. None at all is an error when it is started.
    #[must_use]
    pub fn kill_grace(mut self, grace: Duration) -> Self {
        self.rules_mut().kill_grace = grace;
        self
    }

    fn rules_mut(&mut self) -> &mut ChildRules {
        Arc::make_mut(&mut self.rules)
    }

    pub(crate) fn check(&self) -> Result<(), Invalid> {
        if let Some(invalid) = &self.invalid {
            return Err(Invalid::clone(invalid));
        }
        let id = self.id();
        if id.name() == Some("") {
            return Err(Invalid::of_child(id, "spec.id", "without a name"));
        }
        if self.empty_mailbox {
            return Err(Invalid::of_child(id, "spec.mailbox", "without room for a message"));
        }
        if self.rules.significant && self.rules.restart == Restart::Permanent {
            return Err(Invalid::of_child(id, "spec.significant", "a permanent child never ends for good"));
        }
        if self.rules.start_within == Some(Duration::ZERO) {
            return Err(Invalid::of_child(id, "spec.start_within", "nothing is ready in no time"));
        }
        if self.rules.kill_grace == Duration::ZERO {
            return Err(Invalid::of_child(id, "spec.kill_grace", "nothing is gone in no time"));
        }
        if self.backoff.as_ref().is_some_and(|backoff| backoff.check().is_err()) {
            return Err(Invalid::of_child(id, "spec.backoff", "its settings make no sense"));
        }
        Ok(())
    }

    /// Whether it goes with its supervisor.
    pub(crate) fn check_under(&self, rules: &Rules) -> Result<(), Invalid> {
        if self.rules.significant && rules.auto_shutdown == AutoShutdown::Never {
            return Err(Invalid::of_child(
                self.id(),
                "spec.significant",
                "its supervisor has no auto_shutdown",
            ));
        }
        Ok(())
    }

    pub(crate) fn launch(self, runtime: &Runtime, seat: Seat) -> Task<()> {
        self.launch.launch(runtime, seat)
    }

    /// What it was to be made of, if that was handed in for this one child.
    pub(super) fn reclaim(self) -> Option<Box<dyn Any + Send>> {
        self.launch.reclaim()
    }
}

/// What holds for a child, unless said otherwise.
pub(super) fn task_rules() -> ChildRules {
    ChildRules {
        restart: Restart::Permanent,
        stop: Stop::Within(STOP_WITHIN),
        kill_grace: KILL_GRACE,
        start_within: None,
        significant: false,
        pauses: false,
        reset_after: RESET_AFTER,
    }
}

/// The same, shared by all for whom nothing else was said.
fn usual_rules() -> Arc<ChildRules> {
    static USUAL: OnceLock<Arc<ChildRules>> = OnceLock::new();
    Arc::clone(USUAL.get_or_init(|| Arc::new(task_rules())))
}

/// A child whose futures are made by a function.
struct Made<F, Fut> {
    name: Option<&'static str>,
    make: F,
    future: PhantomData<fn() -> Fut>,
}

impl<F, Fut> Launch for Made<F, Fut>
where
    F: FnMut(Incarnation) -> Fut + Send + 'static,
    Fut: Future<Output: IntoExit> + Send + 'static,
{
    fn launch(self: Box<Self>, runtime: &Runtime, seat: Seat) -> Task<()> {
        let runner = Runner::new(seat, self.make);
        match self.name {
            Some(name) => runtime.builder().name(name).spawn(runner),
            None => runtime.spawn(runner),
        }
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("id", &self.node.id)
            .field("kind", &self.node.kind)
            .field("rules", &self.rules)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

/// Shows the supervisor that runs there, or ran there last.
#[derive(Default)]
pub(super) struct TreeFace(Mutex<Option<Arc<Branch>>>);

impl TreeFace {
    /// The supervisor that runs there, if one does.
    pub(super) fn current(&self) -> Option<Arc<Branch>> {
        lock(&self.0).clone().filter(|branch| !branch.is_closed())
    }
}

impl Face for TreeFace {
    fn branch(&self) -> Option<Arc<Branch>> {
        lock(&self.0).clone()
    }
}
