//! [`Task`]: the handle of a spawned future, with one meaning on every executor.

pub(crate) mod cell;
mod depth;
mod error;
pub(crate) mod label;
pub(crate) mod runner;
pub(crate) mod ticket;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

pub use error::{JoinError, PanicPayload};

use cell::{Join, SendJoin};

/// The handle of a spawned future: awaits it, cancels it, or lets it go.
///
/// Made by [`Runtime::spawn`](crate::Runtime::spawn) and its siblings. It means the same on every executor:
///
/// | event | what happens |
/// |---|---|
/// | awaited | gives the output, or the [`JoinError`] that says why there is none |
/// | dropped | the task is cancelled; [`detach`](Task::detach) lets it run instead |
/// | [`cancel`](Task::cancel) | returns after the future has been dropped; `Ok` if it had finished |
/// | the task panics | [`JoinError::Panic`] to whoever awaits it; the executor's thread never sees it |
/// | a destructor panics while the task is being cancelled | the same |
/// | a panic that nobody awaits | goes to the runtime's [panic hook](crate::Runtime::with_panic_hook) |
/// | the executor refuses or drops the task | [`JoinError::Lost`] |
/// | awaited again after its end | [`JoinError::Taken`] |
///
/// # Cancelling
/// A task that waits for something is idle. Cancelling an idle task drops its future at once, on the thread
/// that cancels, even when nobody drives the executor: its destructors have run when the call returns.
/// (Cancelling from within more than thirty nested destructors of cancelled tasks puts it off until the
/// outermost returns.) A task that is being polled is dropped at the end of that poll.
///
/// # Cancel safety
/// Awaiting `&mut task` may be given up and taken up again; the output is not lost.
///
/// # Examples
/// ```
/// # #[cfg(feature = "smol")] {
/// use weirs_runtime::{Runtime, Smol, block_on};
///
/// let runtime = Runtime::from(Smol::global());
/// block_on(async {
///     let answer = runtime.spawn(async { 6 * 7 });
///     let endless = runtime.spawn(std::future::pending::<()>());
///
///     assert_eq!(answer.await.unwrap(), 42);
///     assert!(endless.cancel().await.unwrap_err().is_cancelled());
/// });
/// # }
/// ```
#[must_use = "a dropped task is cancelled; await it, keep it, or `detach()` it"]
pub struct Task<T>(Handle<dyn SendJoin<Output = T>>);

impl<T> Task<T> {
    pub(crate) fn new(cell: Arc<dyn SendJoin<Output = T>>) -> Self {
        Self(Handle(Some(cell)))
    }

    /// Lets the task run on by itself. If it panics, the runtime's panic hook hears of it.
    pub fn detach(self) {
        self.0.detach();
    }

    /// Cancels the task, and waits until its future has been dropped.
    ///
    /// The cancelling happens in the call; the future that it gives only waits. An idle task is gone when
    /// the call returns, and then the future is ready. `Ok` tells that the task had finished before.
    ///
    /// # Errors
    /// [`JoinError::Cancelled`] when it did what it was meant to, and what [`Task`] says otherwise.
    pub fn cancel(self) -> Cancelled<T> {
        self.abort();
        Cancelled(self)
    }

    /// Cancels the task without waiting for it. Whoever awaits it hears [`JoinError::Cancelled`], unless it
    /// finishes in the poll that is under way.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// A handle that can only cancel the task, for somebody else to hold.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(self.0.cell().map(|cell| Arc::clone(cell).canceller()))
    }

    /// Whether the task is over: awaiting it will not wait.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The task's name, if it was [given one](crate::Runtime::builder); none after the task gave its result.
    pub fn name(&self) -> Option<&str> {
        self.0.cell()?.label().name()
    }

    /// Where in the source it was spawned; none after the task gave its result.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        Some(self.0.cell()?.label().location())
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt("Task", f)
    }
}

/// The future of [`Task::cancel`]: waits until the cancelled task is gone.
///
/// # Cancel safety
/// The task stays cancelled; dropping this only stops waiting for it.
#[derive(Debug)]
#[must_use = "the task is cancelled already; await this to know that it is gone"]
pub struct Cancelled<T>(Task<T>);

impl<T> Future for Cancelled<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// Cancels one task, from anywhere; made by [`Task::abort_handle`].
///
/// It keeps the task's memory, and the waker of whoever awaited it last, but neither the task nor its output;
/// dropping it does nothing.
#[derive(Clone)]
pub struct AbortHandle(Option<Arc<dyn cell::Cancel + Send + Sync>>);

impl AbortHandle {
    /// Cancels the task if it is not over, like [`Task::abort`].
    pub fn abort(&self) {
        if let Some(cell) = &self.0 {
            Arc::clone(cell).cancel();
        }
    }

    /// The task's name, if it was [given one](crate::Runtime::builder).
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref()?.known().name()
    }

    /// Where in the source it was spawned; none if the handle was made after the task gave its result.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        Some(self.0.as_ref()?.known().location())
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AbortHandle")
    }
}

/// The handle of a task on a [`LocalRuntime`](crate::LocalRuntime): a [`Task`] that stays on its thread.
///
/// All that [`Task`] says holds here too, but that there is no abort handle: nothing of it may leave the
/// thread.
#[must_use = "a dropped task is cancelled; await it, keep it, or `detach()` it"]
pub struct LocalTask<T>(Handle<dyn Join<Output = T>>);

impl<T> LocalTask<T> {
    pub(crate) fn new(cell: Arc<dyn Join<Output = T>>) -> Self {
        Self(Handle(Some(cell)))
    }

    /// Lets the task run on by itself, as [`Task::detach`] does.
    pub fn detach(self) {
        self.0.detach();
    }

    /// Cancels the task, and waits until its future has been dropped, as [`Task::cancel`] does.
    ///
    /// # Errors
    /// As for [`Task::cancel`].
    pub fn cancel(self) -> LocalCancelled<T> {
        self.abort();
        LocalCancelled(self)
    }

    /// Cancels the task without waiting for it, as [`Task::abort`] does.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether the task is over: awaiting it will not wait.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.0.cell()?.label().name()
    }

    /// Where in the source it was spawned; none after the task gave its result.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        Some(self.0.cell()?.label().location())
    }
}

impl<T> Future for LocalTask<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

impl<T> fmt::Debug for LocalTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt("LocalTask", f)
    }
}

/// The future of [`LocalTask::cancel`].
#[derive(Debug)]
#[must_use = "the task is cancelled already; await this to know that it is gone"]
pub struct LocalCancelled<T>(LocalTask<T>);

impl<T> Future for LocalCancelled<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// What both sorts of handle have in common: the owner's part of a cell; none once the owner is done with it.
struct Handle<J: Join + ?Sized>(Option<Arc<J>>);

impl<J: Join + ?Sized> Handle<J> {
    fn cell(&self) -> Option<&Arc<J>> {
        self.0.as_ref()
    }

    fn detach(mut self) {
        if let Some(cell) = self.0.take() {
            cell.release();
        }
    }

    fn abort(&self) {
        if let Some(cell) = self.cell() {
            Arc::clone(cell).cancel();
        }
    }

    fn is_finished(&self) -> bool {
        self.cell().is_none_or(|cell| cell.is_done())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<J::Output, JoinError>> {
        let Some(cell) = &self.0 else {
            return Poll::Ready(Err(JoinError::Taken));
        };
        let mut polled = cell.poll_join(cx);
        // From within a destructor it may be waiting for what this thread has put aside.
        if polled.is_pending() && depth::settle() {
            polled = cell.poll_join(cx);
        }
        let result = ready!(polled);
        self.0 = None;
        Poll::Ready(result)
    }

    fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct(name);
        if let Some(cell) = self.cell() {
            debug.field("label", cell.label()).field("finished", &cell.is_done());
        }
        debug.finish()
    }
}

impl<J: Join + ?Sized> Drop for Handle<J> {
    fn drop(&mut self) {
        if let Some(cell) = self.0.take() {
            if !cell.is_done() {
                Arc::clone(&cell).cancel();
            }
            cell.release();
        }
    }
}
