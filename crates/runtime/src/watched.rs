//! [`Watched`]: the list of a runtime's live tasks.

mod idle;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

pub use idle::Idle;

use self::idle::Waiting;
use crate::sync::{Mutex, lock};
use crate::watch::{Ending, Spawned, TaskId, TaskKind, Verdict, Watch};
use crate::{Clock, Instant};

/// The list of a runtime's live tasks; made by [`Runtime::watched`](crate::Runtime::watched).
///
/// Leak checks and live views stand on it. It sees the tasks that the runtime given along with it spawns,
/// and its clones, until they are over. A look at it is a look at a moment: tasks come and go meanwhile. Its
/// [`Display`] is a line for each task.
///
/// [`Display`]: fmt::Display
///
/// # Examples
/// ```
/// # #[cfg(feature = "smol")] {
/// use weirs_runtime::{Runtime, Smol, block_on};
///
/// let (runtime, watched) = Runtime::from(Smol::global()).watched();
/// let task = runtime.builder().name("wait for ever").spawn(std::future::pending::<()>());
///
/// let tasks = watched.tasks();
/// assert_eq!(tasks[0].name.as_deref(), Some("wait for ever"));
///
/// let _ = block_on(task.cancel());
/// assert!(watched.is_empty());
/// # }
/// ```
#[derive(Clone)]
pub struct Watched(Arc<Registry>);

impl Watched {
    pub(crate) fn new(clock: Clock) -> Self {
        Self(Arc::new(Registry { clock, state: Mutex::default() }))
    }

    pub(crate) fn watch(&self) -> Arc<dyn Watch> {
        Arc::clone(&self.0) as _
    }

    /// The live tasks, in the order in which they were spawned.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        let now = self.0.clock.now();
        let state = lock(&self.0.state);
        state.tasks.iter().map(|(id, live)| live.info(*id, now)).collect()
    }

    /// How many tasks are live.
    pub fn len(&self) -> usize {
        lock(&self.0.state).tasks.len()
    }

    /// Whether no task is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until no task is live, but for the one that waits.
    ///
    /// # Waiting
    /// The end of the last task wakes it; it sets no timer. If another task comes before this is polled, it
    /// waits for that as well. A task that waits for itself to end would wait for ever, so the task that
    /// polls this does not count.
    ///
    /// # Cancel safety
    /// Dropping it only stops the waiting.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "smol")] {
    /// use weirs_runtime::{Runtime, Smol, block_on};
    ///
    /// let (runtime, watched) = Runtime::from(Smol::global()).watched();
    /// runtime.spawn(async { /* send the metrics */ }).detach();
    /// block_on(watched.idle());
    /// assert!(watched.is_empty());
    /// # }
    /// ```
    pub fn idle(&self) -> Idle {
        Idle::new(Arc::clone(&self.0))
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for task in self.tasks() {
            writeln!(f, "{task}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.tasks()).finish()
    }
}

/// A live task, as [`Watched::tasks`] found it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// Where in the source it was spawned.
    pub location: &'static Location<'static>,
    /// The watched task that spawned it, if one did.
    pub parent: Option<TaskId>,
    /// What sort of task it is.
    pub kind: TaskKind,
    /// What it is doing.
    pub state: TaskState,
    /// How long ago it was spawned.
    pub age: Duration,
    /// How often it was polled.
    pub polls: u64,
    /// How long its polls took together, the present one included.
    pub busy: Duration,
}

/// What a live task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It was not polled yet.
    New,
    /// It is being polled.
    Running,
    /// It waits to be woken, or to be polled after it was.
    Waiting,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            TaskState::New => "new",
            TaskState::Running => "running",
            TaskState::Waiting => "waiting",
        };
        let name = self.name.as_deref().unwrap_or("(no name)");
        write!(
            f,
            "{} {name}: {state}, spawned {:?} ago at {}, {} polls, busy {:?}",
            self.id, self.age, self.location, self.polls, self.busy,
        )
    }
}

struct Registry {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<TaskId, Live>,
    waiting: Waiting,
}

impl State {
    /// Whether no task is live but for this one.
    fn is_idle_but_for(&self, task: Option<TaskId>) -> bool {
        match self.tasks.len() {
            0 => true,
            1 => task.is_some_and(|task| self.tasks.contains_key(&task)),
            _ => false,
        }
    }
}

struct Live {
    name: Option<String>,
    location: &'static Location<'static>,
    parent: Option<TaskId>,
    kind: TaskKind,
    spawned: Instant,
    poll_began: Option<Instant>,
    polls: u64,
    busy: Duration,
}

impl Live {
    fn info(&self, id: TaskId, now: Instant) -> TaskInfo {
        let state = match (self.poll_began, self.polls) {
            (Some(_), _) => TaskState::Running,
            (None, 0) => TaskState::New,
            (None, _) => TaskState::Waiting,
        };
        TaskInfo {
            id,
            name: self.name.clone(),
            location: self.location,
            parent: self.parent,
            kind: self.kind,
            state,
            age: now - self.spawned,
            polls: self.polls,
            busy: self.busy + self.poll_began.map_or(Duration::ZERO, |began| now - began),
        }
    }
}

impl Watch for Registry {
    fn spawned(&self, task: &Spawned<'_>) {
        let live = Live {
            name: task.name.map(str::to_owned),
            location: task.location,
            parent: task.parent,
            kind: task.kind,
            spawned: self.clock.now(),
            poll_began: None,
            polls: 0,
            busy: Duration::ZERO,
        };
        lock(&self.state).tasks.insert(task.id, live);
    }

    fn poll_begins(&self, id: TaskId) -> Verdict {
        let now = self.clock.now();
        if let Some(live) = lock(&self.state).tasks.get_mut(&id) {
            live.polls += 1;
            live.poll_began = Some(now);
        }
        Verdict::Poll
    }

    fn poll_ends(&self, id: TaskId) {
        let now = self.clock.now();
        if let Some(live) = lock(&self.state).tasks.get_mut(&id) {
            if let Some(began) = live.poll_began.take() {
                live.busy += now - began;
            }
        }
    }

    fn ended(&self, id: TaskId, _: Ending) {
        let (ended, woken) = {
            let mut state = lock(&self.state);
            let ended = state.tasks.remove(&id);
            let woken = if state.tasks.len() < 2 { state.take_woken() } else { Vec::new() };
            (ended, woken)
        };
        drop(ended);
        idle::wake_all(woken);
    }
}
