//! The task cell: the one place that owns a spawned future, whoever polls, cancels or awaits it.
//!
//! A cell is shared by the [`Runner`](super::runner::Runner) that the executor holds, the handle that its
//! owner holds, and any number of cancellers. One word of flags says who may touch what:
//!
//! 1. Whoever sets `CLAIMED` owns the stage and the runner's waker, until it clears `CLAIMED` (the future is
//!    idle again) or exchanges it for `DONE`. There is never a second claim.
//! 2. From `DONE` on the stage holds the result. It and the runner's waker belong to the handle if `HANDLE`
//!    was set when `DONE` was, else to whoever set `DONE`.
//! 3. The joiner's waker may be written only by the handle, and only while `JOINING` and `DONE` are both
//!    clear or the handle has just cleared `HANDLE` before `DONE` was set. Whoever sets `DONE` may read it
//!    if it saw `JOINING` and `HANDLE`; from then on nobody writes it before the cell is dropped.
//! 4. The future is never moved once there is a runner or a canceller, until its destructor is called: the
//!    cell lives in an [`Arc`], and the stage is overwritten only after the future was dropped in place.
//! 5. A cell whose `CANCEL` is set while it is `CLAIMED` is not left idle: the claimant drops the future
//!    itself.
//!
//! Every exchange of a flag both acquires and releases, so each owner sees what the one before it wrote.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::label::Label;
use super::runner::Slot;
use super::ticket::{Plain, Ticketing};
use super::{JoinError, depth};
use crate::PanicPayload;
use crate::panic_hook::{PanicOrigin, contain, drop_quietly};
use crate::sync::{AtomicUsize, Ordering, UnsafeCell};
use crate::watch::{Ending, Verdict};

/// Somebody owns the stage: it is being polled, or dropped.
const CLAIMED: usize = 1;
/// The stage holds the result.
const DONE: usize = 1 << 1;
/// The task shall be cancelled.
const CANCEL: usize = 1 << 2;
/// The handle wants the result.
const HANDLE: usize = 1 << 3;
/// The joiner's waker is set.
const JOINING: usize = 1 << 4;

/// A future, its result, and who waits for it.
pub(crate) struct Cell<F: Future, K: Ticketing<F> = Plain> {
    flags: AtomicUsize,
    joiner: UnsafeCell<Option<Waker>>,
    runner: UnsafeCell<Option<Waker>>,
    stage: UnsafeCell<Stage<F>>,
    label: Label,
    /// The executor's alone.
    pub(super) slot: std::cell::UnsafeCell<Slot<F, K>>,
}

enum Stage<F: Future> {
    Future(F),
    Result(Result<F::Output, JoinError>),
    Empty,
}

// SAFETY: the flags give each part one owner at a time (rules 1 to 3), so sharing a cell moves its future,
// its result and wakers between threads, and never shares them.
unsafe impl<F, K> Sync for Cell<F, K>
where
    F: Future + Send,
    F::Output: Send,
    K: Ticketing<F>,
{
}

/// What a handle does with a cell of whatever future.
pub(crate) trait Join: Cancel {
    type Output;

    /// The result, or the promise to wake `cx` when it is there.
    fn poll_join(&self, cx: &mut Context<'_>) -> Poll<Result<Self::Output, JoinError>>;

    /// Whether the result is there.
    fn is_done(&self) -> bool;

    /// The handle goes away; a result that it did not take is dropped. Called once at the most.
    fn release(self: Arc<Self>);

    /// What is known of the task.
    fn label(&self) -> &Label;
}

/// A [`Join`] that may be used on any thread, and makes cancellers that may be as well.
pub(crate) trait SendJoin: Join + Send + Sync {
    fn canceller(self: Arc<Self>) -> Arc<dyn Cancel + Send + Sync>;
}

/// What anybody may do with a cell: cancel it.
pub(crate) trait Cancel {
    /// What is known of the task.
    fn known(&self) -> &Label;

    /// Drops an idle future now; one that is being polled is dropped at the end of that poll.
    fn cancel(self: Arc<Self>);

    /// [`cancel`](Cancel::cancel) without a bound on how deep tasks may hold other tasks.
    fn cancel_now(&self);

    /// [`release`](Join::release) without such a bound.
    fn release_now(&self);
}

impl<F: Future, K: Ticketing<F>> Cell<F, K> {
    pub(crate) fn new(future: F, label: Label) -> Arc<Self> {
        Arc::new(Self {
            flags: AtomicUsize::new(HANDLE),
            joiner: UnsafeCell::new(None),
            runner: UnsafeCell::new(None),
            stage: UnsafeCell::new(Stage::Future(future)),
            label,
            slot: Slot::empty(),
        })
    }

    /// The future of a task that nobody but the caller has. It may be moved: it was never polled, for then it
    /// would have a runner, and never cancelled, for then it would be gone.
    pub(super) fn future_mut(&mut self) -> Option<&mut F> {
        self.stage.with_mut(|stage| {
            // SAFETY: `&mut self`: nobody else has the cell.
            match unsafe { &mut *stage } {
                Stage::Future(future) => Some(future),
                _ => None,
            }
        })
    }

    /// Takes the future out of a task that nobody but the caller has.
    pub(super) fn take_future(&mut self) -> Option<F> {
        self.stage.with_mut(|stage| {
            // SAFETY: `&mut self`: nobody else has the cell.
            match std::mem::replace(unsafe { &mut *stage }, Stage::Empty) {
                Stage::Future(future) => Some(future),
                _ => None,
            }
        })
    }

    /// Takes the ownership of the stage, unless somebody has it or the task is done.
    fn claim(&self) -> bool {
        let claimed = self.flags.fetch_update(Ordering::AcqRel, Ordering::Acquire, |flags| {
            (flags & (CLAIMED | DONE) == 0).then_some(flags | CLAIMED)
        });
        claimed.is_ok()
    }

    /// Gives the ownership back with an idle future; `false` when it has to be cancelled instead.
    fn unclaim(&self) -> bool {
        let unclaimed = self.flags.fetch_update(Ordering::AcqRel, Ordering::Acquire, |flags| {
            (flags & CANCEL == 0).then_some(flags & !CLAIMED)
        });
        unclaimed.is_ok()
    }

    /// Changes the flags and says `true`, or leaves them when the task is done.
    fn change_unless_done(&self, change: impl Fn(usize) -> usize) -> bool {
        let changed = self.flags.fetch_update(Ordering::AcqRel, Ordering::Acquire, |flags| {
            (flags & DONE == 0).then(|| change(flags))
        });
        changed.is_ok()
    }

    /// One poll on behalf of the executor.
    pub(super) fn run(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.claim() {
            // It is done, or a canceller is about to be: nothing is left to run.
            return Poll::Ready(());
        }
        let result = match self.step(cx) {
            Ok(Step::Pending) if self.unclaim() => return Poll::Pending,
            Ok(Step::Pending | Step::Cancel) => Err(JoinError::Cancelled),
            Ok(Step::Ready(output)) => Ok(output),
            Err(payload) => Err(JoinError::Panic(payload)),
        };
        self.finish(result);
        Poll::Ready(())
    }

    /// Polls the future as its watchers will have it. The caller owns the stage.
    fn step(&self, cx: &mut Context<'_>) -> Result<Step<F::Output>, PanicPayload> {
        let Some(watched) = self.label.watched() else {
            return self.poll_future(cx);
        };
        let _entered = watched.enter();
        match watched.poll_begins()? {
            Verdict::Poll => {}
            Verdict::Cancel => return Ok(Step::Cancel),
            Verdict::Panic(payload) => return Err(PanicPayload::new(payload)),
        }
        let step = self.poll_future(cx);
        let Err(payload) = watched.poll_ends() else {
            return step;
        };
        match step {
            Err(first) => {
                drop_quietly(payload);
                Err(first)
            }
            Ok(step) => {
                if let Step::Ready(output) = step {
                    self.dispose(Ok(output));
                }
                Err(payload)
            }
        }
    }

    /// Polls the future and keeps the executor's waker. The caller owns the stage.
    ///
    /// The waker of a task that is ready is kept as well, until somebody takes the result. That makes it the
    /// last to hold the executor's own memory of the task, which is then freed by the thread of the joiner,
    /// where most often it was allocated, as it is without us. Measured, an empty spawn and join costs 1.2
    /// times async-std's own, and 2.4 times when the worker frees it.
    fn poll_future(&self, cx: &mut Context<'_>) -> Result<Step<F::Output>, PanicPayload> {
        let polled = self.stage.with_mut(|stage| {
            // SAFETY: the caller owns the stage (rule 1).
            let Stage::Future(future) = (unsafe { &mut *stage }) else {
                unreachable!("a task that is not done has a future");
            };
            // SAFETY: the future is never moved again (rule 4).
            let future = unsafe { Pin::new_unchecked(future) };
            contain(|| future.poll(cx))
        })?;
        self.call(PanicOrigin::Executor, || {
            self.runner.with_mut(|runner| {
                // SAFETY: whoever owns the stage owns the runner's waker (rule 1).
                match unsafe { &mut *runner } {
                    Some(waker) => waker.clone_from(cx.waker()),
                    runner => *runner = Some(cx.waker().clone()),
                }
            });
        });
        match polled {
            Poll::Ready(output) => Ok(Step::Ready(output)),
            Poll::Pending => Ok(Step::Pending),
        }
    }

    /// Drops the future, files the result, tells whoever waits, and gives back the executor's waker. The
    /// caller owns the stage, until this returns.
    fn finish(&self, result: Result<F::Output, JoinError>) {
        let ticket = self.take_ticket();
        let result = match (self.empty_stage(), result) {
            (Ok(()), result) => result,
            // The first panic tells what went wrong; the second is but its echo.
            (Err(echo), Err(JoinError::Panic(first))) => {
                self.label.report(PanicOrigin::Drop, echo);
                Err(JoinError::Panic(first))
            }
            (Err(payload), output) => {
                self.dispose(output);
                Err(JoinError::Panic(payload.during(PanicOrigin::Drop)))
            }
        };
        if let Some(watched) = self.label.watched() {
            let ending = ending(&result);
            if let Err(payload) = watched.ended(ending) {
                self.label.report(PanicOrigin::Task, payload);
            }
        }
        self.stage.with_mut(|stage| {
            // SAFETY: the caller owns the stage (rule 1), which is empty, so nothing is overwritten
            // undropped.
            unsafe { ptr::write(stage, Stage::Result(result)) };
        });
        // `CLAIMED` is set and `DONE` is not: the sum exchanges them in one instruction.
        let before = self.flags.fetch_add(DONE - CLAIMED, Ordering::AcqRel);
        if before & HANDLE == 0 {
            // Rule 2: without a handle the result is ours.
            self.dispose_stage();
        }
        self.call(PanicOrigin::Task, || drop(ticket));
        if before & HANDLE != 0 && before & JOINING != 0 {
            self.joiner.with(|joiner| {
                // SAFETY: rule 3: `JOINING` and `HANDLE` were set when `DONE` was, so nobody writes it any
                // more.
                if let Some(waker) = unsafe { &*joiner } {
                    self.call(PanicOrigin::Waker, || waker.wake_by_ref());
                }
            });
        }
    }

    /// What the future leaves to be dropped when its task is over. The caller owns the stage.
    fn take_ticket(&self) -> Option<K::Ticket> {
        self.stage.with_mut(|stage| {
            // SAFETY: the caller owns the stage (rule 1).
            let Stage::Future(future) = (unsafe { &mut *stage }) else {
                return None;
            };
            // SAFETY: the future is never moved again (rule 4).
            let future = unsafe { Pin::new_unchecked(future) };
            let mut ticket = None;
            self.call(PanicOrigin::Drop, || ticket = Some(K::ticket(future)));
            ticket
        })
    }

    /// Drops what the stage holds, in place, and leaves it empty. The caller owns the stage.
    fn empty_stage(&self) -> Result<(), PanicPayload> {
        self.stage.with_mut(|stage| {
            // SAFETY: the caller owns the stage (rules 1 and 2). What it holds is dropped where it lies
            // (rule 4), once: whether or not a destructor panics, it is then overwritten without being
            // dropped again.
            unsafe {
                let dropped = contain(|| ptr::drop_in_place(stage));
                ptr::write(stage, Stage::Empty);
                dropped
            }
        })
    }

    /// Takes the result out, and lets go of the executor. The caller owns the stage, and the task is done.
    fn take_result(&self) -> Option<Result<F::Output, JoinError>> {
        let runner = self.take_runner();
        self.call(PanicOrigin::Executor, || drop(runner));
        self.stage.with_mut(|stage| {
            // SAFETY: the caller owns the stage (rule 2).
            let Stage::Result(result) = (unsafe { &mut *stage }) else {
                return None;
            };
            // SAFETY: the result is moved out, and the stage is overwritten before anybody looks again.
            // (Only the result is copied: a stage is as large as the future that it held.)
            unsafe {
                let result = ptr::read(result);
                ptr::write(stage, Stage::Empty);
                Some(result)
            }
        })
    }

    /// The executor's waker. The caller owns the stage.
    fn take_runner(&self) -> Option<Waker> {
        self.runner.with_mut(|runner| {
            // SAFETY: whoever owns the stage owns the runner's waker (rules 1 and 2).
            unsafe { (*runner).take() }
        })
    }

    /// Drops a result that nobody will take; a panic in it, and the panic that it may be, go to the hook. The
    /// caller owns the stage.
    fn dispose_stage(&self) {
        if let Some(result) = self.take_result() {
            self.dispose(result);
        }
    }

    fn dispose(&self, result: Result<F::Output, JoinError>) {
        match result {
            Err(JoinError::Panic(payload)) => self.label.report(payload.origin(), payload),
            other => {
                if let Err(payload) = contain(|| drop(other)) {
                    self.label.report(PanicOrigin::Drop, payload);
                }
            }
        }
    }

    /// Calls into a waker, which is foreign code.
    fn call(&self, origin: PanicOrigin, call: impl FnOnce()) {
        if let Err(payload) = contain(call) {
            self.label.report(origin, payload);
        }
    }

    /// The watchers hear of the task, unless it was cancelled before it was spawned. Nobody ends it
    /// meanwhile, so that they hear of its beginning first.
    pub(super) fn announce(&self) {
        if self.label.watched().is_none() || !self.claim() {
            return;
        }
        match self.label.spawned() {
            Ok(()) if self.unclaim() => {}
            Ok(()) => self.finish(Err(JoinError::Cancelled)),
            Err(payload) => self.finish(Err(JoinError::Panic(payload))),
        }
    }

    /// Ends the task for this reason, unless it is over or about to be.
    pub(super) fn end(&self, reason: JoinError) {
        if self.claim() {
            self.finish(Err(reason));
        }
    }
}

/// What a poll came to.
enum Step<T> {
    Pending,
    Ready(T),
    Cancel,
}

fn ending<T>(result: &Result<T, JoinError>) -> Ending {
    match result {
        Ok(_) => Ending::Finished,
        Err(JoinError::Panic(_)) => Ending::Panicked,
        Err(JoinError::Cancelled) => Ending::Cancelled,
        Err(_) => Ending::Lost,
    }
}

impl<F: Future + 'static, K: Ticketing<F> + 'static> Cancel for Cell<F, K> {
    fn known(&self) -> &Label {
        &self.label
    }

    fn cancel(self: Arc<Self>) {
        depth::nest(self, |task| task.cancel_now());
    }

    fn cancel_now(&self) {
        let before = self.flags.fetch_update(Ordering::AcqRel, Ordering::Acquire, |flags| {
            (flags & DONE == 0).then_some(flags | CANCEL | CLAIMED)
        });
        // Whoever had claimed it before us sees `CANCEL` before it lets go (rule 5).
        if matches!(before, Ok(flags) if flags & CLAIMED == 0) {
            let runner = self.take_runner();
            self.finish(Err(JoinError::Cancelled));
            // The executor polls once more, finds nothing to do, and lets go of its part.
            self.call(PanicOrigin::Executor, || runner.map_or((), Waker::wake));
        }
    }

    fn release_now(&self) {
        let before = self.flags.fetch_sub(HANDLE, Ordering::AcqRel);
        if before & DONE != 0 {
            // Rule 2: the result was ours.
            self.dispose_stage();
        } else {
            let joiner = self.joiner.with_mut(|joiner| {
                // SAFETY: this is the handle, and it cleared `HANDLE` before `DONE` was set (rule 3).
                unsafe { (*joiner).take() }
            });
            self.call(PanicOrigin::Waker, || drop(joiner));
        }
    }
}

impl<F: Future + 'static, K: Ticketing<F> + 'static> Join for Cell<F, K> {
    type Output = F::Output;

    fn poll_join(&self, cx: &mut Context<'_>) -> Poll<Result<F::Output, JoinError>> {
        let taken = || Poll::Ready(self.take_result().unwrap_or(Err(JoinError::Taken)));
        let flags = self.flags.load(Ordering::Acquire);
        if flags & DONE != 0 {
            return taken();
        }
        if flags & JOINING != 0 {
            let same = self.joiner.with(|joiner| {
                // SAFETY: only the handle writes the joiner's waker (rule 3), and this is the handle.
                let waker = unsafe { (*joiner).as_ref() };
                waker.is_some_and(|waker| waker.will_wake(cx.waker()))
            });
            if same {
                return Poll::Pending;
            }
            if !self.change_unless_done(|flags| flags & !JOINING) {
                return taken();
            }
        }
        let waker = cx.waker().clone();
        let before = self.joiner.with_mut(|joiner| {
            // SAFETY: this is the handle, and `JOINING` is clear (rule 3).
            unsafe { (*joiner).replace(waker) }
        });
        self.call(PanicOrigin::Waker, || drop(before));
        if self.change_unless_done(|flags| flags | JOINING) { Poll::Pending } else { taken() }
    }

    fn is_done(&self) -> bool {
        self.flags.load(Ordering::Acquire) & DONE != 0
    }

    fn release(self: Arc<Self>) {
        depth::nest(self, |task| task.release_now());
    }

    fn label(&self) -> &Label {
        &self.label
    }
}

impl<F, K> SendJoin for Cell<F, K>
where
    F: Future + Send + 'static,
    F::Output: Send,
    K: Ticketing<F> + 'static,
{
    fn canceller(self: Arc<Self>) -> Arc<dyn Cancel + Send + Sync> {
        self
    }
}

/// Not under loom, which does not see the count of an [`Arc`], and so cannot know that the cell is ours
/// alone here.
#[cfg(not(loom))]
impl<F: Future, K: Ticketing<F>> Drop for Cell<F, K> {
    fn drop(&mut self) {
        let joiner = self.joiner.with_mut(|joiner| {
            // SAFETY: `&mut self`: nobody else has the cell.
            unsafe { (*joiner).take() }
        });
        // Its destructor is foreign code, and this may be an executor's thread.
        self.call(PanicOrigin::Waker, || drop(joiner));
    }
}

impl<F: Future, K: Ticketing<F>> fmt::Debug for Cell<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.flags.load(Ordering::Relaxed);
        let state = match (flags & DONE != 0, flags & CLAIMED != 0) {
            (true, _) => "done",
            (false, true) => "running",
            (false, false) => "waiting",
        };
        f.debug_struct("Task").field("label", &self.label).field("state", &state).finish()
    }
}
