//! [`Watch`]: seeing, and steering, every task of a runtime.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

/// Is told of every task of the [`Runtime`](crate::Runtime) it was given to by
/// [`with_watch`](crate::Runtime::with_watch).
///
/// Task lists, leak checks and the simulator stand on it. A runtime without a watch pays nothing for it. The
/// methods are called by whatever thread spawns, polls or cancels, so they should be short; the calls about
/// one task come in order. A panic in one of them keeps no other watch from being told; it is treated as if
/// the task had panicked, and one in [`ended`](Watch::ended), which is too late for that, goes to the panic
/// hook.
pub trait Watch: Send + Sync + 'static {
    /// A task was made. The call comes right before the task is handed to the spawner, on the same thread.
    fn spawned(&self, task: &Spawned<'_>) {
        let _ = task;
    }

    /// The task is about to be polled; the answer says what shall happen instead, if anything.
    fn poll_begins(&self, id: TaskId) -> Verdict {
        let _ = id;
        Verdict::Poll
    }

    /// The poll that began has returned.
    fn poll_ends(&self, id: TaskId) {
        let _ = id;
    }

    /// The task is over and its future has been dropped; whoever awaits it is woken after this call.
    fn ended(&self, id: TaskId, ending: Ending) {
        let _ = (id, ending);
    }
}

/// A task that was just made, as [`Watch::spawned`] is told of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Spawned<'a> {
    /// Its number.
    pub id: TaskId,
    /// Its name, if it was given one.
    pub name: Option<&'a str>,
    /// Where in the source it was spawned.
    pub location: &'static Location<'static>,
    /// The watched task that spawned it, if one did.
    pub parent: Option<TaskId>,
    /// What sort of task it is.
    pub kind: TaskKind,
}

/// What sort of task it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskKind {
    /// A future on a [`Runtime`](crate::Runtime).
    Task,
    /// A future on a [`LocalRuntime`](crate::LocalRuntime).
    Local,
    /// A blocking job.
    Blocking,
}

/// What shall happen to a task in place of, or before, its next poll.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// Poll it.
    Poll,
    /// Cancel it, as if its owner had.
    Cancel,
    /// Let it panic with this payload.
    Panic(Box<dyn Any + Send>),
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// It ran to its end.
    Finished,
    /// It panicked, or a destructor did while it was being dropped.
    Panicked,
    /// It was cancelled.
    Cancelled,
    /// Its executor refused or dropped it.
    Lost,
}

/// The number of a watched task: one of its own for each in a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }

    /// The bare number.
    pub const fn number(self) -> NonZeroU64 {
        self.0
    }

    /// The watched task that is being polled on this thread, if any.
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

thread_local! {
    static CURRENT: Cell<Option<TaskId>> = const { Cell::new(None) };
}

/// Makes a task the current one of this thread until it is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    before: Option<TaskId>,
}

impl Entered {
    pub(crate) fn new(id: TaskId) -> Self {
        Self { before: CURRENT.replace(Some(id)) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}
