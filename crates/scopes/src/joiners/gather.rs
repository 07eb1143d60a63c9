//! [`Gather`]: the rule of a scope with a joiner, and the ways to run such a scope.
//!
//! Ends come from any thread, and the joiner is called by one at a time: whoever finds it idle takes it out
//! of the lock, and tells it all that is queued. Whoever finds it busy leaves the news in the queue, and goes
//! on. So the queue holds what happens while the joiner is told something.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use weirs_runtime::{PanicPayload, Runtime};

use super::{Cause, Flow, Joiner, OnCancel, Outcome};
use crate::panics::{FirstPanic, contain, forget_panic};
use crate::scope::core::Core;
use crate::scope::driver::{Driver, End};
use crate::scope::rule::{Settled, sealed::Sealed};
use crate::task_scope::builder::Ground;
use crate::task_scope::core::Shared;
use crate::{
    CancelToken, ChildId, Ended, LocalScope, PanicPolicy, Reason, Rule, Scope, ScopeBuilder, ScopeError,
    TaskScope,
};

/// The rule of a scope with a [`Joiner`]: outputs go to the joiner, and handles give `()`.
///
/// What [`gather`](ScopeBuilder::gather) runs is a `Scope<Gather<J, O>>`; functions that take such a scope
/// name it.
pub struct Gather<J, O> {
    inbox: Mutex<Inbox<J, O>>,
    token: CancelToken,
}

struct Inbox<J, O> {
    /// None while it is told something, and when it is gone.
    joiner: Option<J>,
    busy: bool,
    news: VecDeque<News<O>>,
    /// Once there is one, nothing more is told.
    verdict: Option<Verdict>,
    /// The scope is cancelled, and the joiner wants to hear the rest.
    cancelled: Option<Reason>,
    panic: Option<PanicPayload>,
    /// Waits for the joiner to be idle, to finish it.
    finisher: Option<Waker>,
}

enum News<O> {
    /// As many as that, in a row.
    Spawned(ChildId, u64),
    Closed,
    Ended(ChildId, Outcome<O>),
}

enum Verdict {
    /// The joiner stopped the scope.
    Stopped,
    /// The scope was cancelled, and the joiner gave up.
    GaveUp(Reason),
    Panicked,
    Over,
}

/// What is left in the inbox at the end.
struct Taken<J> {
    joiner: Option<J>,
    verdict: Option<Verdict>,
    cancelled: Option<Reason>,
    panic: Option<PanicPayload>,
}

/// How a scope ended, as far as a joiner cares.
pub(crate) enum ScopeEnd {
    /// All have ended, or were stopped by the joiner.
    Ended,
    Cancelled(Reason),
    Panicked(PanicPayload),
}

impl<J, O> Gather<J, O> {
    /// The token is that of the scope.
    pub(crate) fn new(joiner: J, token: CancelToken) -> Self {
        let inbox = Inbox {
            joiner: Some(joiner),
            busy: false,
            news: VecDeque::new(),
            verdict: None,
            cancelled: None,
            panic: None,
            finisher: None,
        };
        Self { inbox: Mutex::new(inbox), token }
    }

    /// Drops the joiner and all that it was not told, and hears of nothing any more. One that is being told
    /// something is dropped by whoever does that.
    pub(crate) fn clear(&self) {
        let (joiner, news) = {
            let mut inbox = self.lock();
            inbox.verdict = Some(Verdict::Over);
            (inbox.joiner.take(), mem::take(&mut inbox.news))
        };
        let mut panic = FirstPanic::default();
        news.into_iter().for_each(|news| panic.run(|| drop(news)));
        panic.run(|| drop(joiner));
        panic.resume_in_drop();
    }

    // No user code runs under this lock, so nothing can poison it half-way.
    fn lock(&self) -> MutexGuard<'_, Inbox<J, O>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J: Joiner<O>, O> Gather<J, O> {
    /// Tells the joiner, or leaves it to whoever tells it something now. Whether the scope shall stop.
    fn post(&self, news: News<O>) -> bool {
        let mut inbox = self.lock();
        if let Some(verdict) = &inbox.verdict {
            let stops = verdict.stops();
            // Its destructor is user code.
            drop(inbox);
            drop(news);
            return stops;
        }
        inbox.news.push_back(news);
        !inbox.busy && self.tell_all(inbox)
    }

    /// Tells the joiner all that is queued. Whether the scope shall stop.
    fn tell_all<'a>(&'a self, mut inbox: MutexGuard<'a, Inbox<J, O>>) -> bool {
        let Some(mut joiner) = inbox.joiner.take() else {
            return false;
        };
        inbox.busy = true;
        let mut stop = None;
        while inbox.verdict.is_none() {
            let Some(news) = inbox.news.pop_front() else {
                break;
            };
            let mut cancelled = inbox.cancelled.take();
            drop(inbox);
            let told = contain(|| self.tell(&mut joiner, news, &mut cancelled));
            inbox = self.lock();
            inbox.cancelled = cancelled;
            let verdict = match told {
                Ok(Ok(Flow::Continue)) => continue,
                Ok(Ok(Flow::Stop(why))) => {
                    stop = Some(why);
                    Verdict::Stopped
                }
                Ok(Err(why)) => Verdict::GaveUp(why),
                Err(payload) => {
                    stop = Some(Reason::SiblingFailed);
                    inbox.panic = Some(payload);
                    Verdict::Panicked
                }
            };
            inbox.verdict.get_or_insert(verdict);
        }
        self.make_idle(inbox, joiner, stop)
    }

    /// After the telling. Whether the scope shall stop.
    fn make_idle(&self, mut inbox: MutexGuard<'_, Inbox<J, O>>, joiner: J, stop: Option<Reason>) -> bool {
        if inbox.verdict.is_none() {
            // Under the lock that saw the queue empty: what is posted after it finds the joiner idle.
            inbox.joiner = Some(joiner);
            inbox.busy = false;
            let finisher = inbox.finisher.take();
            drop(inbox);
            if let Some(waker) = finisher {
                forget_panic(contain(|| waker.wake()));
            }
            return false;
        }
        let over = match inbox.verdict {
            // The scope was dropped meanwhile.
            Some(Verdict::Over) => Some(joiner),
            _ => {
                inbox.joiner = Some(joiner);
                None
            }
        };
        let untold = mem::take(&mut inbox.news);
        drop(inbox);
        // All of this may be user code: destructors, callbacks and wakers.
        let mut first = None;
        let mut keep = |result: Result<(), PanicPayload>| match (result, &first) {
            (Err(payload), None) => first = Some(payload),
            (result, _) => forget_panic(result),
        };
        untold.into_iter().for_each(|news| keep(contain(|| drop(news))));
        keep(contain(|| drop(over)));
        let stops = stop.is_some();
        if let Some(why) = stop {
            keep(contain(|| {
                self.token.cancel(why);
            }));
        }
        let mut inbox = self.lock();
        if inbox.panic.is_none() {
            inbox.panic = first.take();
        }
        inbox.busy = false;
        let finisher = inbox.finisher.take();
        drop(inbox);
        first.into_iter().for_each(|payload| forget_panic(Err(payload)));
        if let Some(waker) = finisher {
            forget_panic(contain(|| waker.wake()));
        }
        stops
    }

    /// Tells one thing; an error if the joiner gave up, for the scope is cancelled.
    fn tell(&self, joiner: &mut J, news: News<O>, cancelled: &mut Option<Reason>) -> Result<Flow, Reason> {
        if let (News::Ended(..), None, true) = (&news, &cancelled, self.token.is_cancelled()) {
            let why = self.reason();
            match joiner.on_cancel(&why) {
                OnCancel::GiveUp => return Err(why),
                OnCancel::Finish => *cancelled = Some(why),
            }
        }
        Ok(match news {
            News::Spawned(first, count) => {
                let numbers = first.number()..first.number() + count;
                numbers.for_each(|number| joiner.on_spawn(ChildId::new(number)));
                Flow::Continue
            }
            News::Closed => joiner.on_close(),
            News::Ended(id, outcome) => joiner.on_end(id, outcome),
        })
    }

    fn reason(&self) -> Reason {
        self.token.reason().unwrap_or(Reason::Requested)
    }

    /// Takes the joiner away when it is idle and knows all there is to know.
    fn poll_taken(&self, cx: &mut Context<'_>) -> Poll<Taken<J>> {
        loop {
            let waker = cx.waker().clone();
            let mut inbox = self.lock();
            if inbox.busy {
                let before = inbox.finisher.replace(waker);
                drop(inbox);
                drop(before);
                return Poll::Pending;
            }
            if inbox.verdict.is_some() || inbox.news.is_empty() {
                let taken = Taken {
                    joiner: inbox.joiner.take(),
                    verdict: inbox.verdict.replace(Verdict::Over),
                    cancelled: inbox.cancelled.take(),
                    panic: inbox.panic.take(),
                };
                drop(inbox);
                return Poll::Ready(taken);
            }
            self.tell_all(inbox);
        }
    }

    /// The result, when all children have ended.
    pub(crate) async fn finish(
        &self,
        end: ScopeEnd,
        policy: PanicPolicy,
    ) -> Result<J::Out, ScopeError<J::Error>> {
        let Taken { joiner, verdict, cancelled, panic } = poll_fn(|cx| self.poll_taken(cx)).await;
        let (end, panic) = match end {
            ScopeEnd::Panicked(payload) => {
                forget_panic(panic.map_or(Ok(()), Err));
                (None, Some(payload))
            }
            ScopeEnd::Cancelled(why) => (Some(why), panic),
            ScopeEnd::Ended => (None, panic),
        };
        if let Some(payload) = panic {
            forget_panic(contain(|| drop(joiner)));
            return panicked(payload, policy);
        }
        let Some(mut joiner) = joiner else { unreachable!("only the end takes the joiner away") };
        let made = contain(move || {
            let cause = match (verdict, cancelled, end) {
                (Some(Verdict::Stopped), ..) => Cause::Stopped,
                (Some(Verdict::GaveUp(why)), ..) => return Err(ScopeError::Cancelled(why)),
                (_, Some(why), _) => Cause::Cancelled(why),
                (_, None, Some(why)) => match joiner.on_cancel(&why) {
                    OnCancel::GiveUp => return Err(ScopeError::Cancelled(why)),
                    OnCancel::Finish => Cause::Cancelled(why),
                },
                (_, None, None) => Cause::Complete,
            };
            joiner.finish(&cause).map_err(ScopeError::Failed)
        });
        made.unwrap_or_else(|payload| panicked(payload, policy))
    }
}

fn panicked<T, E>(payload: PanicPayload, policy: PanicPolicy) -> Result<T, ScopeError<E>> {
    match policy {
        PanicPolicy::Propagate => resume_unwind(payload.into_inner()),
        PanicPolicy::AsError => Err(ScopeError::Panicked(payload)),
    }
}

impl Verdict {
    fn stops(&self) -> bool {
        matches!(self, Self::Stopped | Self::Panicked)
    }
}

impl<J: Joiner<O>, O> Sealed for Gather<J, O> {
    const HEARS_OF_SPAWNS: bool = true;

    fn spawned(&self, id: ChildId) {
        // It is told with the next end: nothing can be stopped by it.
        let mut inbox = self.lock();
        if inbox.verdict.is_some() {
            return;
        }
        match inbox.news.back_mut() {
            Some(News::Spawned(first, count)) if first.number() + *count == id.number() => *count += 1,
            _ => inbox.news.push_back(News::Spawned(id, 1)),
        }
    }

    fn closed(&self) {
        self.post(News::Closed);
    }
}

impl<J: Joiner<O>, O> Rule<O> for Gather<J, O> {
    type Value = ();

    fn settle(&self, id: ChildId, output: O) -> Settled<()> {
        let failed = self.post(News::Ended(id, Outcome::Output(output)));
        Settled { value: Some(()), failed }
    }

    fn unsettled(&self, id: ChildId, why: Ended) {
        let outcome = match why {
            Ended::Panicked => Outcome::Panicked,
            _ => Outcome::Cancelled(self.reason()),
        };
        self.post(News::Ended(id, outcome));
    }

    fn settle_service(&self, _: ChildId, _: O) -> Settled<()> {
        Settled { value: Some(()), failed: false }
    }
}

impl<J, O> fmt::Debug for Gather<J, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gather")
    }
}

/// Belongs to the future of the scope: what the joiner has goes with it, even while there are handles.
struct Owner<P: ?Sized, J, O>(Arc<Core<P, Gather<J, O>>>);

impl<P: ?Sized, J, O> Drop for Owner<P, J, O> {
    fn drop(&mut self) {
        self.0.rule.clear();
    }
}

macro_rules! gathers {
    ($Scope:ident, $gather:ident, [$($Send:tt)*]) => {
        impl ScopeBuilder {
            /// Runs a scope whose children's outputs go to a [joiner](crate::joiners), which says when there
            /// is enough of them, and what they come to.
            ///
            /// Handles of children give `()` when the child has ended. Outputs of services and of isolated
            /// children do not go to the joiner. Children whose output is no `Result` need a joiner that
            /// takes any, such as [`outputs`](crate::joiners::outputs).
            ///
            /// The future is lazy: it does nothing before it is polled.
            ///
            /// # Waiting
            /// It waits for the body and all children. When the joiner has enough, the body and the children
            /// that are left are cancelled, and have the time of [grace](Self::grace).
            ///
            /// # Cancel safety
            /// Dropped before it completes, it drops all children, the last spawned first, then the body, and
            /// then the joiner with what it had, before the drop returns.
            ///
            /// # Panics
            /// When the body, a child or the joiner panicked, after all have ended; or not, with
            /// [`PanicPolicy::AsError`]. A panic after the joiner had enough is a panic too. When it is
            /// polled after its end.
            ///
            /// # Errors
            /// [`ScopeError::Failed`] with the joiner's own error. [`ScopeError::Cancelled`] when the scope
            /// was cancelled before the joiner had enough, by its deadline, from above or by its handle; with
            /// [`until_deadline`](crate::joiners::until_deadline) a deadline is no error.
            ///
            /// # Examples
            /// ```
            /// use weirs_runtime::block_on;
            /// use weirs_scopes::{Scope, joiners};
            ///
            /// let texts = ["3", "4", "five"];
            /// let numbers = block_on(Scope::builder().gather(joiners::all(), async |s| {
            ///     for text in &texts[..2] {
            ///         s.spawn(async move { text.parse::<u32>() });
            ///     }
            /// }));
            /// assert_eq!(numbers.unwrap(), [3, 4]);
            /// ```
            #[track_caller]
            pub fn $gather<'env, J, O, F, Fut>(
                self,
                joiner: J,
                body: F,
            ) -> impl Future<Output = Result<J::Out, ScopeError<J::Error>>> + use<'env, J, O, F, Fut>
            where
                J: Joiner<O> + $($Send)* 'env,
                O: $($Send)* 'env,
                F: FnOnce($Scope<'env, Gather<J, O>>) -> Fut,
                Fut: Future<Output = ()>,
            {
                let policy = self.policy();
                let core = self.core_with(|token| Gather::new(joiner, token.clone()));
                let start = |core| body($Scope::new(core));
                let done = |_: &Gather<J, O>, _, ()| Settled { value: Some(()), failed: false };
                let driver = Driver::new(core, self.plan(false), start, done);
                let owner = Owner(Arc::clone(driver.core()));
                async move { owner.0.rule.finish(scope_end(driver.await), policy).await }
            }
        }
    };
}

gathers!(Scope, gather, [Send+]);
gathers!(LocalScope, gather_local, []);

#[cfg(test)]
mod tests;

/// As [`Owner`], of a parallel scope.
struct SharedOwner<J, O>(Arc<Shared<Gather<J, O>>>);

impl<J, O> Drop for SharedOwner<J, O> {
    fn drop(&mut self) {
        self.0.rule.clear();
    }
}

impl ScopeBuilder {
    /// [`gather`](Self::gather) with children that run in parallel, as tasks of this runtime.
    ///
    /// All that `gather` says holds here too, and what [`run_on`](Self::run_on) says of parallel scopes. The
    /// joiner is told of one end at a time, on the thread where a child ended; those that end meanwhile do
    /// not wait for it.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::{Scope, joiners};
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let squares = block_on(Scope::builder().gather_on(&runtime, joiners::outputs(), async |s| {
    ///     for number in 0..5_u64 {
    ///         s.spawn(async move { number * number });
    ///     }
    /// }));
    /// assert_eq!(squares.unwrap(), [0, 1, 4, 9, 16]);
    /// ```
    pub fn gather_on<J, O, F, Fut>(
        self,
        runtime: &Runtime,
        joiner: J,
        body: F,
    ) -> impl Future<Output = Result<J::Out, ScopeError<J::Error>>> + use<J, O, F, Fut>
    where
        J: Joiner<O> + Send + 'static,
        O: Send + 'static,
        F: FnOnce(TaskScope<Gather<J, O>>) -> Fut,
        Fut: Future<Output = ()>,
    {
        self.gather_within(Ground::on(runtime), joiner, body)
    }

    /// [`gather_on`](Self::gather_on) within another parallel scope: on its runtime, cancelled with it, and
    /// should this one be dropped while a child is inside a poll, the outer one waits for that child.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::{Runtime, block_on};
    /// use weirs_scopes::{Scope, joiners, task_scope};
    ///
    /// let runtime = Runtime::new(futures::executor::ThreadPool::new().unwrap());
    /// let first = block_on(task_scope(&runtime, async |outer| {
    ///     let race = Scope::builder().gather_in(&outer, joiners::any_ok(), async |s| {
    ///         s.spawn(async { Err("is down") });
    ///         s.spawn(async { Ok("is up") });
    ///     });
    ///     race.await.unwrap()
    /// }));
    /// assert_eq!(first, "is up");
    /// ```
    pub fn gather_in<J, O, F, Fut, R>(
        self,
        outer: &TaskScope<R>,
        joiner: J,
        body: F,
    ) -> impl Future<Output = Result<J::Out, ScopeError<J::Error>>> + use<J, O, F, Fut, R>
    where
        J: Joiner<O> + Send + 'static,
        O: Send + 'static,
        F: FnOnce(TaskScope<Gather<J, O>>) -> Fut,
        Fut: Future<Output = ()>,
        R: Send + Sync + 'static,
    {
        self.gather_within(Ground::within(outer), joiner, body)
    }

    fn gather_within<J, O, F, Fut>(
        self,
        ground: Ground,
        joiner: J,
        body: F,
    ) -> impl Future<Output = Result<J::Out, ScopeError<J::Error>>> + use<J, O, F, Fut>
    where
        J: Joiner<O> + Send + 'static,
        O: Send + 'static,
        F: FnOnce(TaskScope<Gather<J, O>>) -> Fut,
        Fut: Future<Output = ()>,
    {
        let policy = self.policy();
        let rule = |token: &CancelToken| Gather::new(joiner, token.clone());
        let done = |_: &Gather<J, O>, _, ()| Settled { value: Some(()), failed: false };
        let driver = self.drive(ground, rule, false, body, done);
        let owner = SharedOwner(Arc::clone(driver.shared()));
        async move { owner.0.rule.finish(scope_end(driver.await), policy).await }
    }
}

fn scope_end(end: End<()>) -> ScopeEnd {
    match end {
        End::Value(_) | End::Failed => ScopeEnd::Ended,
        End::Cancelled(why) => ScopeEnd::Cancelled(why),
        End::Panicked(payload) => ScopeEnd::Panicked(payload),
    }
}
