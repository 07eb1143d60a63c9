//! [`Pool`]: many children of one kind, started as they are needed.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use weirs_resilience::Backoff;
use weirs_runtime::{Runtime, Task};

use super::branch::{Branch, Said};
use super::command::{Command, CommandError, StartChildError};
use super::handle::Handle;
use super::incarnation::Incarnation;
use super::node::Kind;
use super::rules::{ChildRules, Restart, Stop, Strategy};
use super::runner::{Runner, Seat};
use super::spec::{Launch, START_WITHIN, Spec, TreeFace, task_rules};
use super::supervisor::Supervisor;
use crate::answer::{Answerer, answer};
use crate::exit::IntoExit;
use crate::{Exit, Id, Invalid};

/// Many children of one kind, such as a session for each connection: started as they are needed, each with a
/// number for a name.
///
/// A pool is a supervisor with one restart rule for all its children. It is stopped all at once: its children
/// are asked at the same time, and have the same time to end. This handle stays good when the pool itself is
/// restarted; its children are gone then. A clone is the same handle, and none keeps the pool alive.
///
/// # Examples
/// ```
/// use weirs_actors::supervise::{Incarnation, Pool, Supervisor};
/// use weirs_runtime::{Runtime, Smol, block_on};
///
/// let runtime = Runtime::from(Smol::global());
/// let serve = async |name: String, life: Incarnation| {
///     println!("{name} is {}", life.path());
///     life.cancelled().await;
/// };
/// let (sessions, spec) = Pool::tasks("sessions", serve).most(10_000).build();
/// block_on(async {
///     let tree = Supervisor::one_for_one().name("app").child(spec).start(&runtime).await.unwrap();
///     let ann = sessions.start_child("Ann".to_owned()).await.unwrap();
///     let bob = sessions.start_child("Bob".to_owned()).await.unwrap();
///     assert_eq!((ann, bob, sessions.len()), (1, 2, 2));
///     sessions.stop_child(ann).await.unwrap();
///     assert!(tree.shutdown().await.is_clean());
/// });
/// ```
pub struct Pool<Args>(Arc<Shared<Args>>);

struct Shared<Args> {
    plan: Box<dyn Plan<Args>>,
    /// A supervisor each; a child is where its number says.
    shards: Box<[Arc<TreeFace>]>,
    places: Arc<Places>,
    started: AtomicU64,
}

/// More supervisors than any machine keeps busy are a mistake.
const MOST_SHARDS: usize = 1 << 16;

/// How a child is made of what is handed in.
trait Plan<Args>: Send + Sync {
    fn spec(&self, number: u64, args: Args, place: Place) -> Spec;
}

/// How many there are, and may be.
struct Places {
    taken: AtomicUsize,
    most: usize,
}

/// The place of one child; dropped, it is free.
pub(super) struct Place(Arc<Places>);

impl Place {
    fn take(places: &Arc<Places>) -> Option<Self> {
        let more = |taken| (taken < places.most).then_some(taken + 1);
        let taken = places.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Self(Arc::clone(places)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<Args: Send + 'static> Pool<Args> {
    /// A pool of futures that can be made anew: for each life its arguments are cloned.
    ///
    /// A child is restarted when it fails, unless [`restart`](PoolBuilder::restart) says otherwise.
    pub fn tasks<F, Fut>(id: impl Into<Id>, make: F) -> PoolBuilder<Args>
    where
        Args: Clone,
        F: Fn(Args, Incarnation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoExit> + Send + 'static,
    {
        PoolBuilder::new(id.into(), Restart::Transient, |rules| {
            Box::new(Again { make: Arc::new(make), rules })
        })
    }

    /// A pool of futures that are made once: their arguments, such as a socket, are handed on. A child that
    /// ended is gone.
    ///
    /// # Examples
    /// ```
    /// use weirs_actors::supervise::{Incarnation, Pool};
    ///
    /// struct Socket;
    ///
    /// async fn serve(socket: Socket, life: Incarnation) -> std::io::Result<()> {
    ///     # drop(socket);
    ///     life.cancelled().await;
    ///     Ok(())
    /// }
    ///
    /// let (connections, spec) = Pool::once("connections", serve).build();
    /// # let _: (Pool<Socket>, weirs_actors::supervise::Spec) = (connections, spec);
    /// ```
    pub fn once<F, Fut>(id: impl Into<Id>, make: F) -> PoolBuilder<Args>
    where
        F: Fn(Args, Incarnation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoExit> + Send + 'static,
    {
        let mut builder = PoolBuilder::new(id.into(), Restart::Temporary, |rules| {
            Box::new(Once { make: Arc::new(make), rules })
        });
        builder.once = true;
        builder
    }

    /// Starts a child, and waits until it is ready. Gives its number.
    ///
    /// # Errors
    /// [`PoolError`] says why there is no such child, and gives the arguments back if they were not used.
    ///
    /// # Cancel safety
    /// Dropped before it is first polled, nothing happens; later, the child is started all the same.
    pub async fn start_child(&self, args: Args) -> Result<u64, PoolError<Args>> {
        let (answerer, answered) = answer();
        let number = self.begin(args, Some(answerer))?;
        match answered.await {
            Some(Ok(())) => Ok(number),
            Some(Err(error)) => Err(PoolError::of(error)),
            None => Err(PoolError::Down(None)),
        }
    }

    /// Has a child started, and does not wait for it. Gives its number.
    ///
    /// If the pool ends before it gets to it, the child is never made, and its arguments are dropped.
    ///
    /// # Errors
    /// The pool is [full](PoolError::Full) or [down](PoolError::Down); the arguments are given back.
    pub fn try_start_child(&self, args: Args) -> Result<u64, PoolError<Args>> {
        self.begin(args, None)
    }

    fn begin(
        &self,
        args: Args,
        answerer: Option<Answerer<Result<(), StartChildError>>>,
    ) -> Result<u64, PoolError<Args>> {
        let Some(place) = Place::take(&self.0.places) else { return Err(PoolError::Full(args)) };
        let number = self.0.started.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(branch) = self.shard(number) else { return Err(PoolError::Down(Some(args))) };
        // The child is made out of its arguments only if there is still somebody to hear of it.
        let told = branch.tell_of((args, place, answerer), |(args, place, answerer)| {
            Said::Do(Command::Start(Box::new(self.0.plan.spec(number, args, place)), answerer))
        });
        match told {
            Ok(()) => Ok(number),
            Err((args, ..)) => Err(PoolError::Down(Some(args))),
        }
    }

    /// Stops a child, and waits until it is gone. Gives how it ended.
    ///
    /// # Errors
    /// There is no such child; it is [stuck](CommandError::Stuck); or the pool is down.
    ///
    /// # Cancel safety
    /// Dropped before it is first polled, nothing happens; later, the child is stopped all the same.
    pub async fn stop_child(&self, number: u64) -> Result<Exit, CommandError> {
        match self.shard(number) {
            Some(branch) => Handle::new(branch).stop_child(number).await,
            None => Err(CommandError::Ended),
        }
    }

    /// How many children there are, with those that are about to be started.
    pub fn len(&self) -> usize {
        self.0.places.taken.load(Ordering::Acquire)
    }

    /// Whether there is no child.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The supervisor of the child of that number, while it runs.
    fn shard(&self, number: u64) -> Option<Arc<Branch>> {
        let shards = &self.0.shards;
        // There is at least one.
        shards[(number % shards.len() as u64) as usize].current()
    }
}

impl<Args> Clone for Pool<Args> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Args> fmt::Debug for Pool<Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = &self.0.places;
        f.debug_struct("Pool")
            .field("len", &places.taken.load(Ordering::Relaxed))
            .field("most", &places.most)
            .finish_non_exhaustive()
    }
}

/// The settings of a [`Pool`]; made by [`Pool::tasks`] and [`Pool::once`].
#[must_use = "a pool is nothing until it is built"]
pub struct PoolBuilder<Args> {
    id: Id,
    rules: MemberRules,
    once: bool,
    intensity: Option<(u32, Duration)>,
    most: usize,
    shards: usize,
    plan: Box<dyn FnOnce(MemberRules) -> Box<dyn Plan<Args>> + Send>,
}

/// What holds for each child.
#[derive(Clone)]
struct MemberRules {
    rules: Arc<ChildRules>,
    backoff: Option<Backoff>,
    announces: bool,
}

impl<Args: Send + 'static> PoolBuilder<Args> {
    fn new(
        id: Id,
        restart: Restart,
        plan: impl FnOnce(MemberRules) -> Box<dyn Plan<Args>> + Send + 'static,
    ) -> Self {
        let rules = Arc::new(ChildRules { restart, ..task_rules() });
        Self {
            id,
            rules: MemberRules { rules, backoff: None, announces: false },
            once: false,
            intensity: None,
            most: usize::MAX,
            shards: 1,
            plan: Box::new(plan),
        }
    }

    /// Whether a child that ended is started again. One that is not leaves the pool.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.rules_mut().restart = restart;
        self
    }

    /// How a child is stopped. Within five seconds, unless said otherwise.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.rules_mut().stop = stop;
        self
    }

    /// Pauses between the restarts of a child. Without one, it is restarted at once.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.backoff = Some(backoff);
        self.rules_mut().pauses = true;
        self
    }

    /// After how long a life the pauses of a child's backoff begin anew. A minute, unless said otherwise.
    pub fn reset_after(mut self, life: Duration) -> Self {
        self.rules_mut().reset_after = life;
        self
    }

    /// A child is ready when it [says so](Incarnation::ready), for which it has half a minute. Without this
    /// it is ready when it waits for the first time.
    pub fn announces_ready(mut self) -> Self {
        self.rules.announces = true;
        self.rules_mut().start_within.get_or_insert(START_WITHIN);
        self
    }

    /// How long a child may take to be ready. If it is not, it is killed, and that is an end like others.
    pub fn start_within(mut self, within: Duration) -> Self {
        self.rules_mut().start_within = Some(within);
        self
    }

    /// How long a child may take to be gone when it was killed. A second, unless said otherwise.
    pub fn kill_grace(mut self, grace: Duration) -> Self {
        self.rules_mut().kill_grace = grace;
        self
    }

    /// How many restarts of children are allowed within which time; see
    /// [`Supervisor::intensity`](super::Supervisor::intensity). All children of a shard share it.
    pub fn intensity(mut self, most: u32, within: Duration) -> Self {
        self.intensity = Some((most, within));
        self
    }

    /// How many children there may be. As many as there is memory for, unless said otherwise.
    pub fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Divides the children among so many supervisors, for pools so busy that one is the bottleneck. There
    /// are 65,536 at most.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// The pool, and the spec that puts it into a tree. Before that tree runs, the pool is
    /// [down](PoolError::Down).
    ///
    /// Settings that make no sense are an error when the tree is started.
    pub fn build(self) -> (Pool<Args>, Spec) {
        let invalid = self.check().err();
        let shards = if invalid.is_none() { self.shards } else { 1 };
        let faces = (0..shards).map(|_| Arc::new(TreeFace::default()));
        let shards: Box<[Arc<TreeFace>]> = faces.collect();
        let intensity = self.intensity;
        let supervisor = move || {
            let supervisor = Supervisor::new(Strategy::Dynamic);
            match intensity {
                Some((most, within)) => supervisor.intensity(most, within),
                None => supervisor,
            }
        };
        let mut spec = if let [face] = &*shards {
            Spec::shown_tree(self.id, Arc::clone(face), supervisor)
        } else {
            let faces = shards.clone();
            Spec::tree(self.id, move || {
                let shards = (0_u64..)
                    .zip(&faces)
                    .map(|(number, face)| Spec::shown_tree(number.into(), Arc::clone(face), supervisor));
                Supervisor::one_for_one().children(shards)
            })
        };
        spec.invalid = invalid.map(Box::new);
        let places = Arc::new(Places { taken: AtomicUsize::new(0), most: self.most });
        let plan = (self.plan)(self.rules);
        (Pool(Arc::new(Shared { plan, shards, places, started: AtomicU64::new(0) })), spec)
    }

    fn rules_mut(&mut self) -> &mut ChildRules {
        Arc::make_mut(&mut self.rules.rules)
    }

    fn check(&self) -> Result<(), Invalid> {
        let MemberRules { rules, backoff, .. } = &self.rules;
        let invalid = |field, why| Err(Invalid::of_child(&self.id, field, why));
        if self.once && rules.restart != Restart::Temporary {
            return invalid("pool.restart", "what is made once is not made again");
        }
        if rules.start_within == Some(Duration::ZERO) {
            return invalid("pool.start_within", "nothing is ready in no time");
        }
        if rules.kill_grace == Duration::ZERO {
            return invalid("pool.kill_grace", "nothing is gone in no time");
        }
        if backoff.is_some_and(|backoff| backoff.check().is_err()) {
            return invalid("pool.backoff", "its settings make no sense");
        }
        if self.intensity.is_some_and(|(_, within)| within == Duration::ZERO) {
            return invalid("pool.intensity", "within no time");
        }
        if self.most == 0 {
            return invalid("pool.most", "none at all");
        }
        if self.shards == 0 {
            return invalid("pool.shards", "none at all");
        }
        if self.shards > MOST_SHARDS {
            return invalid("pool.shards", "more than 65,536");
        }
        Ok(())
    }
}

impl<Args> fmt::Debug for PoolBuilder<Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("id", &self.id)
            .field("rules", &self.rules.rules)
            .field("most", &self.most)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

/// Why a pool did not start a child.
#[non_exhaustive]
pub enum PoolError<Args> {
    /// There are as many as there may be. Here is what was handed in.
    Full(Args),
    /// The pool does not run: its tree was not started, or ended, or it is being restarted. Here is what was
    /// handed in, if it was not used.
    Down(Option<Args>),
    /// The child ended before it was ready.
    NotStarted(Exit),
    /// Somebody stopped the child before it was ready.
    Interrupted,
}

impl<Args> PoolError<Args> {
    /// What was handed in, if it was not used.
    pub fn into_args(self) -> Option<Args> {
        match self {
            Self::Full(args) => Some(args),
            Self::Down(args) => args,
            Self::NotStarted(_) | Self::Interrupted => None,
        }
    }
}

impl<Args: 'static> PoolError<Args> {
    fn of(error: StartChildError) -> Self {
        match error {
            StartChildError::NotStarted(exit) => Self::NotStarted(exit),
            StartChildError::Interrupted => Self::Interrupted,
            other => {
                let args = other.into_spec().and_then(Spec::reclaim);
                Self::Down(args.and_then(|args| args.downcast().ok()).map(|args| *args))
            }
        }
    }
}

impl<Args> fmt::Debug for PoolError<Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Down(_) => f.write_str("Down(..)"),
            Self::NotStarted(exit) => f.debug_tuple("NotStarted").field(exit).finish(),
            Self::Interrupted => f.write_str("Interrupted"),
        }
    }
}

impl<Args> fmt::Display for PoolError<Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the pool is full"),
            Self::Down(_) => f.write_str("the pool does not run"),
            Self::NotStarted(exit) => write!(f, "the child did not start: {exit}"),
            Self::Interrupted => f.write_str("the child was stopped before it was ready"),
        }
    }
}

impl<Args> Error for PoolError<Args> {}

/// Children that are made anew for each life.
struct Again<F> {
    make: Arc<F>,
    rules: MemberRules,
}

/// Children that are made once.
struct Once<F> {
    make: Arc<F>,
    rules: MemberRules,
}

impl<F, Fut, Args> Plan<Args> for Again<F>
where
    Args: Clone + Send + 'static,
    F: Fn(Args, Incarnation) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoExit> + Send + 'static,
{
    fn spec(&self, number: u64, args: Args, place: Place) -> Spec {
        let make = Arc::clone(&self.make);
        member(number, &self.rules, args, place, move |args, life| {
            make(args.clone().expect("they are kept"), life)
        })
    }
}

impl<F, Fut, Args> Plan<Args> for Once<F>
where
    Args: Send + 'static,
    F: Fn(Args, Incarnation) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoExit> + Send + 'static,
{
    fn spec(&self, number: u64, args: Args, place: Place) -> Spec {
        let make = Arc::clone(&self.make);
        member(number, &self.rules, args, place, move |args, life| {
            make(args.take().expect("a child that is temporary has one life"), life)
        })
    }
}

fn member<Args, F, Fut>(number: u64, rules: &MemberRules, args: Args, place: Place, make: F) -> Spec
where
    Args: Send + 'static,
    F: FnMut(&mut Option<Args>, Incarnation) -> Fut + Send + 'static,
    Fut: Future<Output: IntoExit> + Send + 'static,
{
    let launch = Box::new(Member { args: Some(args), make, future: PhantomData });
    let mut spec = Spec::of(number.into(), Kind::Task, None, launch);
    (spec.rules, spec.backoff, spec.announces) =
        (Arc::clone(&rules.rules), rules.backoff.map(Box::new), rules.announces);
    spec.place = Some(place);
    spec
}

/// What a child is made of, before it is started.
struct Member<Args, F, Fut> {
    args: Option<Args>,
    make: F,
    future: PhantomData<fn() -> Fut>,
}

impl<Args, F, Fut> Launch for Member<Args, F, Fut>
where
    Args: Send + 'static,
    F: FnMut(&mut Option<Args>, Incarnation) -> Fut + Send + 'static,
    Fut: Future<Output: IntoExit> + Send + 'static,
{
    fn launch(self: Box<Self>, runtime: &Runtime, seat: Seat) -> Task<()> {
        let Self { mut args, mut make, .. } = *self;
        runtime.spawn(Runner::new(seat, move |life| make(&mut args, life)))
    }

    fn reclaim(self: Box<Self>) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(self.args?))
    }
}
