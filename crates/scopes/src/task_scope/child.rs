//! [`TaskChild`]: the handle of a child that runs in parallel.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use weirs_runtime::{JoinError, Task};

use crate::panics::forget_panic;
use crate::{ChildId, Ended, Refusal};

/// The handle of a child of a [`TaskScope`](super::TaskScope): awaited, it gives the child's value.
///
/// # Waiting
/// It waits until the child has ended. Children run whether or not anybody awaits them.
///
/// # Cancel safety
/// Awaiting `&mut child` may be given up and taken up again; the value is not lost. Dropping the handle
/// neither cancels the child nor lets it outlive its scope: it drops the value, when there is one.
///
/// # Errors
/// [`Ended`] says why there is no value. A child that the executor lost, most often because it was shut
/// down, is [`Ended::Cancelled`].
///
/// # Examples
/// ```
/// use weirs_runtime::{Runtime, block_on};
/// use weirs_scopes::task_scope;
///
/// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
/// let sum = block_on(task_scope(&runtime, async |s| {
///     let first = s.spawn(async { 3 });
///     let second = s.spawn(async { 4 });
///     first.await.unwrap() + second.await.unwrap()
/// }));
/// assert_eq!(sum, 7);
/// ```
pub struct TaskChild<T>(Handle<T>);

enum Handle<T> {
    Live(ChildId, Option<Task<Result<T, Ended>>>),
    Over(Option<ChildId>, Ended),
}

impl<T> TaskChild<T> {
    pub(super) fn new(id: ChildId, task: Task<Result<T, Ended>>) -> Self {
        Self(Handle::Live(id, Some(task)))
    }

    pub(crate) fn refused(why: Refusal) -> Self {
        Self(Handle::Over(None, Ended::Refused(why)))
    }

    /// Cancels the child. One that waits for something is dropped here and now; one that is being polled, at
    /// the end of that poll.
    ///
    /// It does not wait; await the handle to know that the child is gone. A child that is over stays as it
    /// was.
    pub fn cancel(&self) {
        if let Some(task) = self.task() {
            task.abort();
        }
    }

    /// Whether the child is over: awaiting it will not wait.
    pub fn is_finished(&self) -> bool {
        self.task().is_none_or(Task::is_finished)
    }

    /// The number of one that was just spawned.
    pub(super) fn live_id(&self) -> ChildId {
        self.id().unwrap_or(ChildId::BODY)
    }

    /// Its number in the scope; none for one that was refused.
    pub fn id(&self) -> Option<ChildId> {
        match self.0 {
            Handle::Live(id, _) => Some(id),
            Handle::Over(id, _) => id,
        }
    }

    /// The child's name, if it was given one; none after it gave its value.
    pub fn name(&self) -> Option<&str> {
        self.task()?.name()
    }

    /// Where in the source it was spawned; none after it gave its value.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.task()?.location()
    }

    fn task(&self) -> Option<&Task<Result<T, Ended>>> {
        match &self.0 {
            Handle::Live(_, task) => task.as_ref(),
            Handle::Over(..) => None,
        }
    }
}

impl<T> Future for TaskChild<T> {
    type Output = Result<T, Ended>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (id, result) = match &mut self.0 {
            Handle::Live(id, Some(task)) => (Some(*id), ready!(Pin::new(task).poll(cx))),
            Handle::Live(id, None) => (Some(*id), Err(JoinError::Taken)),
            Handle::Over(id, ended) => (*id, Ok(Err(*ended))),
        };
        self.0 = Handle::Over(id, Ended::Taken);
        Poll::Ready(match result {
            Ok(result) => result,
            Err(JoinError::Panic(payload)) => {
                // The scope has the panics of its children; this is one that a watcher of tasks put in.
                forget_panic(Err(payload));
                Err(Ended::Panicked)
            }
            Err(JoinError::Taken) => Err(Ended::Taken),
            Err(_) => Err(Ended::Cancelled),
        })
    }
}

impl<T> Drop for TaskChild<T> {
    fn drop(&mut self) {
        if let Handle::Live(_, task) = &mut self.0 {
            if let Some(task) = task.take() {
                task.detach();
            }
        }
    }
}

impl<T> fmt::Debug for TaskChild<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TaskChild");
        if let Some(task) = self.task() {
            debug.field("name", &task.name()).field("location", &task.location());
        }
        debug.field("finished", &self.is_finished()).finish()
    }
}
