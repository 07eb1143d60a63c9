//! [`TaskSpawnWhenFree`]: waiting until a parallel scope with a limit takes another child.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::core::Kind;
use super::{TaskChild, TaskScope};
use crate::scope::rule::Hooks;
use crate::{Refusal, Rejected};

pin_project! {
    /// Waits for room in a scope, and spawns; made by [`TaskScope::spawn_when_free`].
    #[must_use = "nothing is spawned before it is awaited"]
    pub struct TaskSpawnWhenFree<R, F, V>
    where
        F: Future,
    {
        scope: TaskScope<R>,
        // Not pinned: it does not run before it is moved into its task.
        future: Option<F>,
        ticket: Option<u64>,
        location: &'static Location<'static>,
        hooks: Hooks<R, F::Output, V>,
    }

    impl<R, F, V> PinnedDrop for TaskSpawnWhenFree<R, F, V>
    where
        F: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(ticket) = this.ticket.take() {
                this.scope.0.core.leave_queue(ticket);
            }
        }
    }
}

impl<R, F: Future, V> TaskSpawnWhenFree<R, F, V> {
    pub(crate) fn new(
        scope: TaskScope<R>,
        future: F,
        location: &'static Location<'static>,
        hooks: Hooks<R, F::Output, V>,
    ) -> Self {
        Self { scope, future: Some(future), ticket: None, location, hooks }
    }
}

impl<R, F, V> Future for TaskSpawnWhenFree<R, F, V>
where
    R: Send + Sync + 'static,
    F: Future + Send + 'static,
    V: Send + 'static,
{
    type Output = Result<TaskChild<V>, Rejected<F>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut queued = false;
        loop {
            let future = this.future.take().expect("polled after it was ready");
            let (at, kind) = (*this.location, Kind::Child);
            match this.scope.insert_at(at, kind, None, *this.ticket, future, *this.hooks) {
                Ok(child) => {
                    *this.ticket = None;
                    return Poll::Ready(Ok(child));
                }
                Err((future, Refusal::Full)) => {
                    *this.future = Some(future);
                    if queued {
                        return Poll::Pending;
                    }
                    // Room that came between the first look and the queue is seen by a second look.
                    this.scope.0.core.wait_for_room(this.ticket, cx.waker());
                    queued = true;
                }
                Err((future, why)) => {
                    if let Some(ticket) = this.ticket.take() {
                        this.scope.0.core.leave_queue(ticket);
                    }
                    return Poll::Ready(Err(Rejected::new(future, why)));
                }
            }
        }
    }
}

impl<R, F: Future, V> fmt::Debug for TaskSpawnWhenFree<R, F, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = self.ticket.is_some();
        f.debug_struct("TaskSpawnWhenFree").field("scope", &self.scope).field("waits", &waits).finish()
    }
}
