//! [`Driver`]: the future of a parallel scope: it polls the body, and waits until no child is left.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use weirs_runtime::{Instant, PanicPayload, Sleep};

use super::core::{Cause, Core, Deferred, Kind, Next, Shared};
use crate::panics::{contain, forget_panic};
use crate::scope::cleanup::{Skipped, SkippedHook};
use crate::scope::driver::End;
use crate::scope::rule::Settled;
use crate::{ChildId, Reason, Registration};

/// What a scope was built to do, beside what its core knows.
pub(crate) struct TaskPlan {
    pub(super) deadline: Option<Instant>,
    /// How long what was deferred may take, all together.
    pub(super) cleanup: Duration,
    pub(super) on_skipped: Option<SkippedHook>,
    /// There is no outcome but the body's: it is not dropped when the scope is cancelled.
    pub(super) keeps_body: bool,
}

pin_project! {
    /// See the module.
    pub(crate) struct Driver<R, G, B, T>
    where
        B: Future,
    {
        shared: Arc<Shared<R>>,
        start: Option<G>,
        #[pin]
        body: Option<B>,
        settle: fn(&R, ChildId, B::Output) -> Settled<T>,
        state: State<T>,
    }

    impl<R, G, B, T> PinnedDrop for Driver<R, G, B, T>
    where
        B: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // One that was never polled has no children, one that is over has none any more.
            if this.start.is_none() && !this.state.over {
                let panic = this.state.abandon(this.shared, this.body.as_mut());
                if let Some(payload) = panic {
                    if !std::thread::panicking() {
                        resume_unwind(payload.into_inner());
                    }
                }
            }
        }
    }
}

struct State<T> {
    plan: TaskPlan,
    value: Option<T>,
    /// It is known that the scope was stopped.
    stopped: bool,
    /// The time of grace is over.
    hard: bool,
    over: bool,
    timer: Option<Sleep>,
    cleanup: Option<Sleep>,
    deferred: Option<Deferred>,
    token: Option<Registration>,
}

impl<R, G, B, T> Driver<R, G, B, T>
where
    R: Send + Sync + 'static,
    G: FnOnce(Arc<Shared<R>>) -> B,
    B: Future,
{
    pub(crate) fn new(
        shared: Arc<Shared<R>>,
        plan: TaskPlan,
        start: G,
        settle: fn(&R, ChildId, B::Output) -> Settled<T>,
    ) -> Self {
        let state = State {
            plan,
            value: None,
            stopped: false,
            hard: false,
            over: false,
            timer: None,
            cleanup: None,
            deferred: None,
            token: None,
        };
        Self { shared, start: Some(start), body: None, settle, state }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<R>> {
        &self.shared
    }

    fn begin(self: Pin<&mut Self>) {
        let mut this = self.project();
        let Some(start) = this.start.take() else {
            return;
        };
        let (state, core) = (this.state, &this.shared.core);
        let shared = Arc::clone(this.shared);
        state.token = Some(core.token.on_cancel(move |why| shared.core.token_cancelled(why)));
        if let Some(deadline) = state.plan.deadline {
            let clock = core.runtime.clock();
            if clock.now() >= deadline {
                core.stop(Cause::Cancelled(Reason::Deadline));
            }
            state.timer = Some(clock.sleep_until(deadline));
        }
        if core.is_stopped() && !state.plan.keeps_body {
            forget_panic(contain(|| drop(start)));
            return;
        }
        match contain(|| start(Arc::clone(this.shared))) {
            Ok(body) => this.body.set(Some(body)),
            Err(payload) => core.panicked(payload),
        }
    }

    fn poll_body(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let (state, shared) = (this.state, &**this.shared);
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return;
        };
        let polled = contain(|| match body.poll(cx) {
            Poll::Ready(output) => Some((this.settle)(&shared.rule, ChildId::BODY, output)),
            Poll::Pending => None,
        });
        if matches!(polled, Ok(None)) {
            return;
        }
        let dropped = contain(|| this.body.set(None));
        match polled.and_then(|settled| dropped.map(|()| settled)) {
            Ok(Some(Settled { value, failed })) => {
                state.value = value;
                if failed {
                    shared.core.stop(Cause::Failed);
                }
            }
            Ok(None) => {}
            Err(payload) => shared.core.panicked(payload),
        }
    }

    /// The clock, after the work: what is done by the deadline is done. Whether anything changed.
    fn look_at_clock(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.project();
        let (state, core) = (this.state, &this.shared.core);
        let mut changed = rings(&mut state.timer, cx);
        if changed && state.stopped {
            state.hard = true;
            core.abort(Kind::Child);
        } else if changed {
            core.stop(Cause::Cancelled(Reason::Deadline));
        }
        changed |= state.notice_stop(core, cx);
        if rings(&mut state.cleanup, cx) {
            changed = true;
            state.skip_deferred(core, core.take_deferred());
        }
        changed
    }

    /// Everything but the body; whether the scope is over.
    fn look_around(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut this = self.as_mut().project();
            let (state, core) = (this.state, &this.shared.core);
            if this.body.is_some() && state.drops_body(core) {
                if let Err(payload) = contain(|| this.body.set(None)) {
                    core.panicked(payload);
                }
            }
            let waits = if this.body.is_some() {
                core.watch(state.stopped, cx.waker())
            } else if let Some(deferred) = &mut state.deferred {
                let polled = contain(|| deferred.future.as_mut().poll(cx));
                let waits = matches!(polled, Ok(Poll::Pending));
                if !waits {
                    let deferred = state.deferred.take();
                    let dropped = contain(|| drop(deferred));
                    for payload in polled.err().into_iter().chain(dropped.err()) {
                        core.panicked(payload);
                    }
                }
                waits
            } else {
                match core.next(cx.waker()) {
                    Next::Wait => true,
                    Next::StopServices => {
                        core.abort(Kind::Service);
                        false
                    }
                    Next::Clean(deferred) => {
                        state.deferred = Some(deferred);
                        let clock = core.runtime.clock();
                        state.cleanup.get_or_insert_with(|| clock.sleep(state.plan.cleanup));
                        false
                    }
                    Next::Done => return Poll::Ready(()),
                }
            };
            if !self.as_mut().look_at_clock(cx) && waits {
                return Poll::Pending;
            }
        }
    }

    fn end(self: Pin<&mut Self>) -> End<T> {
        let this = self.project();
        let (state, core) = (this.state, &this.shared.core);
        state.over = true;
        state.token = None;
        state.timer = None;
        state.cleanup = None;
        if let Some(payload) = core.take_panic() {
            return End::Panicked(payload);
        }
        match core.take_cause() {
            None | Some(Cause::Panicked) => End::Value(state.value.take()),
            Some(Cause::Failed) => End::Failed,
            Some(Cause::Cancelled(reason)) => {
                let own = state.plan.keeps_body || core.is_cancelled_from_within();
                match state.value.take() {
                    Some(value) if own => End::Value(Some(value)),
                    // The body went on after the cancelling, and failed.
                    None if state.plan.keeps_body => End::Failed,
                    _ => End::Cancelled(reason),
                }
            }
        }
    }
}

impl<R, G, B, T> Future for Driver<R, G, B, T>
where
    R: Send + Sync + 'static,
    G: FnOnce(Arc<Shared<R>>) -> B,
    B: Future,
{
    type Output = End<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End<T>> {
        assert!(!self.state.over, "a scope was polled after its end");
        self.as_mut().begin();
        let this = self.as_mut().project();
        this.state.notice_stop(&this.shared.core, cx);
        if !this.state.drops_body(&this.shared.core) {
            self.as_mut().poll_body(cx);
        }
        std::task::ready!(self.as_mut().look_around(cx));
        Poll::Ready(self.end())
    }
}

fn rings(timer: &mut Option<Sleep>, cx: &mut Context<'_>) -> bool {
    let rung = timer.as_mut().is_some_and(|timer| Pin::new(timer).poll(cx).is_ready());
    if rung {
        *timer = None;
    }
    rung
}

impl<T> State<T> {
    /// Begins the time of grace when the scope was stopped, by whomever; whether that is new.
    fn notice_stop(&mut self, core: &Core, cx: &mut Context<'_>) -> bool {
        if self.stopped || !core.is_stopped() {
            return false;
        }
        self.stopped = true;
        let grace = core.heritage.grace;
        self.timer = (!grace.is_zero()).then(|| core.runtime.clock().sleep(grace));
        self.hard = self.timer.is_none() || rings(&mut self.timer, cx);
        if self.hard {
            // Whoever stopped it may be doing this as well, on a thread of its own.
            core.abort(Kind::Child);
        }
        true
    }

    fn drops_body(&self, core: &Core) -> bool {
        self.hard && (!self.plan.keeps_body || core.is_broken())
    }

    /// There is no time left for what was deferred.
    fn skip_deferred(&mut self, core: &Core, rest: Vec<Deferred>) {
        let mut skipped = Skipped::new(core.name.as_deref());
        let running = self.deferred.take();
        for deferred in running.into_iter().chain(rest.into_iter().rev()) {
            skipped.push_place(deferred.location);
            if let Err(payload) = contain(|| drop(deferred)) {
                core.panicked(payload);
            }
        }
        match self.plan.on_skipped.take() {
            Some(hook) if !skipped.is_empty() => {
                if let Err(payload) = contain(|| hook(&skipped)) {
                    core.panicked(payload);
                }
            }
            unused => self.plan.on_skipped = unused,
        }
    }

    /// The scope is dropped before its end: its children are ended, the last spawned first, then its body and
    /// its services. Who is inside a poll is left to the scope around.
    fn abandon<R, B>(
        &mut self,
        shared: &Arc<Shared<R>>,
        mut body: Pin<&mut Option<B>>,
    ) -> Option<PanicPayload> {
        let core = &shared.core;
        // The panic of a child is for whoever awaits the scope. One in a destructor that runs here goes on
        // here.
        forget_panic(core.take_panic().map_or(Ok(()), Err));
        core.close();
        core.stop(Cause::Cancelled(Reason::ScopeDropped));
        core.abort(Kind::Child);
        if let Err(payload) = contain(|| body.set(None)) {
            core.panicked(payload);
        }
        core.abort(Kind::Service);
        self.token = None;
        let skipped = core.abandon(self.deferred.take());
        self.skip_deferred(core, skipped);
        core.take_panic()
    }
}
