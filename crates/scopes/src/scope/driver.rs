//! [`Driver`]: the future of a scope, which polls its body and its children until none is left.

mod abandon;

use std::collections::HashSet;
use std::future::Future;
use std::mem;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use weirs_runtime::{Clock, Instant, PanicPayload, Sleep};

use self::abandon::{abandon, tell};
use super::Ended;
use super::cell::{Held, Lent, Queue, Step, Unit, Woken};
use super::cleanup::{Skipped, SkippedHook};
use super::core::Core;
use super::header::{Header, Kind};
use super::rule::{ChildId, Settled};
use crate::panics::{contain, forget_panic};
use crate::tracker::Enrolled;
use crate::{Reason, Registration};

/// How many polls of children a turn makes before others of the task's executor have theirs.
const BUDGET: usize = 64;

/// What a scope was built to do.
pub(crate) struct Plan {
    pub(crate) clock: Clock,
    pub(crate) deadline: Option<Instant>,
    pub(crate) grace: Duration,
    /// How long what was deferred may take.
    pub(crate) cleanup: Duration,
    pub(crate) on_skipped: Option<SkippedHook>,
    /// There is no outcome but the body's: it is not dropped when the scope is cancelled.
    pub(crate) keeps_body: bool,
}

/// How a scope ended.
pub(crate) enum End<T> {
    /// The body's value, if it came to one.
    Value(Option<T>),
    Failed,
    Cancelled(Reason),
    Panicked(PanicPayload),
}

enum Cause {
    Failed,
    Panicked,
    Cancelled(Reason),
}

pin_project! {
    /// See the module.
    pub(crate) struct Driver<P, R, G, B, T>
    where
        P: Unit<R>,
        P: ?Sized,
        B: Future,
    {
        core: Arc<Core<P, R>>,
        start: Option<G>,
        #[pin]
        body: Option<B>,
        settle: fn(&R, ChildId, B::Output) -> Settled<T>,
        state: State<P, T>,
    }

    impl<P, R, G, B, T> PinnedDrop for Driver<P, R, G, B, T>
    where
        P: Unit<R>,
        P: ?Sized,
        B: Future,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // One that was never polled has no children, one that is over has none any more.
            let panic = if this.start.is_none() && !this.state.over {
                let on_skipped = this.state.plan.on_skipped.take();
                abandon(this.core, this.body.as_mut(), on_skipped)
            } else {
                None
            };
            this.state.queue.clear(this.core.take_new());
            if let Some(payload) = panic {
                if !std::thread::panicking() {
                    resume_unwind(payload.into_inner());
                }
            }
        }
    }
}

struct State<P: ?Sized, T> {
    plan: Plan,
    value: Option<T>,
    cause: Option<Cause>,
    panic: Option<PanicPayload>,
    timer: Option<Sleep>,
    /// The time of grace is over.
    hard: bool,
    /// When it was over, if there were shields.
    hard_since: Option<Instant>,
    /// The body and all children are gone, and what was deferred runs. The outcome is settled, but for a
    /// panic.
    cleaning: bool,
    over: bool,
    deferred: Option<ChildId>,
    token: Option<Registration>,
    tracked: Option<Enrolled>,
    queue: Queue<P>,
    /// Those that ended in this turn.
    ended: Vec<Lent<P>>,
    /// Something has happened since the last look around.
    changed: bool,
}

impl<P, R, G, B, T> Driver<P, R, G, B, T>
where
    P: Unit<R> + ?Sized,
    G: FnOnce(Arc<Core<P, R>>) -> B,
    B: Future,
{
    #[track_caller]
    pub(crate) fn new(
        core: Arc<Core<P, R>>,
        plan: Plan,
        start: G,
        settle: fn(&R, ChildId, B::Output) -> Settled<T>,
    ) -> Self {
        let queue = Queue::new(&core.ready, Location::caller());
        core.set_driver(&queue.spawned());
        let state = State {
            plan,
            value: None,
            cause: None,
            panic: None,
            timer: None,
            hard: false,
            hard_since: None,
            cleaning: false,
            over: false,
            deferred: None,
            token: None,
            tracked: None,
            queue,
            ended: Vec::new(),
            changed: true,
        };
        Self { core, start: Some(start), body: None, settle, state }
    }

    pub(crate) fn core(&self) -> &Arc<Core<P, R>> {
        &self.core
    }

    fn begin(self: Pin<&mut Self>) {
        let mut this = self.project();
        let Some(start) = this.start.take() else {
            return;
        };
        let state = this.state;
        state.tracked = this.core.roster.as_ref().map(|roster| roster.enroll());
        let waker = state.queue.control().clone();
        state.token = Some(this.core.token.on_cancel(move |_| waker.wake()));
        if let Some(deadline) = state.plan.deadline {
            if state.plan.clock.now() >= deadline {
                state.stop(this.core, this.body.as_mut(), Cause::Cancelled(Reason::Deadline));
            }
            state.timer = Some(state.plan.clock.sleep_until(deadline));
        }
        if state.cause.is_some() || (this.core.token.is_cancelled() && !state.plan.keeps_body) {
            forget_panic(contain(|| drop(start)));
            return;
        }
        match contain(|| start(Arc::clone(this.core))) {
            Ok(body) => {
                this.body.set(Some(body));
                state.queue.body().wake_by_ref();
            }
            Err(payload) => {
                state.panicked(payload);
                state.stop(this.core, this.body.as_mut(), Cause::Panicked);
            }
        }
    }

    /// Polls what was woken, in its order, as far as the budget goes; whether there was anything.
    fn turn(self: Pin<&mut Self>, budget: &mut usize) -> bool {
        let mut this = self.project();
        let state = this.state;
        if !state.queue.fill(|| this.core.take_new()) {
            return false;
        }
        while *budget > 0 {
            let Some(woken) = state.queue.next() else {
                break;
            };
            *budget -= 1;
            let (unit, cancelled) = match woken {
                Woken::Child(unit) => (unit, false),
                Woken::Cancelled(unit) => (unit, true),
                Woken::Body => {
                    state.poll_body(this.core, this.body.as_mut(), *this.settle);
                    continue;
                }
                Woken::Control => {
                    state.changed = true;
                    continue;
                }
                Woken::Gone => continue,
            };
            // Whoever was woken before the scope was stopped is gone by now, or is to go on for a while.
            if !state.hard || state.survives(this.core, unit.header()) {
                state.poll_unit(this.core, this.body.as_mut(), unit, cancelled);
            } else {
                // Spawned on another thread just as the scope was stopped: the look around drops it.
                state.changed = true;
            }
        }
        state.remove_ended(this.core);
        true
    }

    /// Whether there is something to look after between turns.
    fn has_changed(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        let state = this.state;
        let cancelled = state.cause.is_none() && !state.cleaning && this.core.token.is_cancelled();
        // When it is hard, a shield may have ended in any poll.
        mem::take(&mut state.changed) || cancelled || state.hard
    }

    /// What has to be done between turns; whether the scope is over.
    fn look_around(self: Pin<&mut Self>) -> bool {
        let mut this = self.project();
        let state = this.state;
        if state.panic.is_some() {
            // It may have struck in a destructor, which stops nothing by itself.
            state.stop(this.core, this.body.as_mut(), Cause::Panicked);
        }
        if state.cause.is_none() && !state.cleaning && this.core.token.is_cancelled() {
            let reason = this.core.token.reason().unwrap_or(Reason::Requested);
            state.stop(this.core, this.body.as_mut(), Cause::Cancelled(reason));
        }
        if state.hard && (this.core.live() > 0 || (this.body.is_some() && this.core.shields.get().is_some()))
        {
            // Spawned on another thread just as the scope was stopped, or shielded until now.
            state.drop_all(this.core, this.body.as_mut());
        }
        if this.body.is_some() || !this.core.close_if_childless() {
            return false;
        }
        for service in this.core.remove_all(&[Kind::Service]) {
            state.discard(this.core, &service);
        }
        if state.deferred.is_some_and(|key| this.core.contains(key)) {
            return false;
        }
        state.deferred = this.core.pop_deferred().map(|unit| this.core.start_deferred(unit));
        if state.deferred.is_some() && !state.cleaning {
            // Neither the deadline nor the end of the grace matters any more.
            state.cleaning = true;
            state.timer = None;
        }
        state.deferred.is_none()
    }

    /// The clock, after the work: what is done by the deadline is done. Whether anything changed.
    fn look_at_clock(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let mut this = self.project();
        let state = this.state;
        if state.cleaning && state.timer.is_none() && state.plan.cleanup < Duration::MAX {
            // What is deferred has to wait: from here on its time is measured.
            state.timer = Some(state.plan.clock.sleep(state.plan.cleanup));
        }
        let Some(timer) = &mut state.timer else {
            return false;
        };
        if Pin::new(timer).poll(cx).is_pending() {
            return false;
        }
        state.timer = None;
        if state.cleaning {
            state.skip_deferred(this.core);
        } else if state.cause.is_none() {
            state.stop(this.core, this.body.as_mut(), Cause::Cancelled(Reason::Deadline));
        } else {
            state.drop_all(this.core, this.body.as_mut());
        }
        true
    }

    fn end(self: Pin<&mut Self>) -> End<T> {
        let this = self.project();
        let state = this.state;
        state.over = true;
        state.token = None;
        state.timer = None;
        if let Some(payload) = state.panic.take() {
            return End::Panicked(payload);
        }
        match state.cause.take() {
            None | Some(Cause::Panicked) => End::Value(state.value.take()),
            Some(Cause::Failed) => End::Failed,
            Some(Cause::Cancelled(reason)) => {
                let own = state.plan.keeps_body || this.core.is_cancelled_from_within();
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

impl<P, R, G, B, T> Future for Driver<P, R, G, B, T>
where
    P: Unit<R> + ?Sized,
    G: FnOnce(Arc<Core<P, R>>) -> B,
    B: Future,
{
    type Output = End<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End<T>> {
        assert!(!self.state.over, "a scope was polled after its end");
        self.as_mut().begin();
        let mut budget = BUDGET;
        loop {
            let turned = self.as_mut().turn(&mut budget);
            if self.as_mut().has_changed() && self.as_mut().look_around() {
                return Poll::Ready(self.end());
            }
            if budget == 0 {
                // Others of this executor have their turn.
                if !self.as_mut().look_at_clock(cx) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                budget = 1;
                self.as_mut().project().state.changed = true;
            } else if turned {
                continue;
            } else if self.as_mut().look_at_clock(cx) {
                self.as_mut().project().state.changed = true;
            } else if self.state.queue.park(cx.waker()) {
                return Poll::Pending;
            }
        }
    }
}

impl<P: ?Sized, T> State<P, T> {
    fn poll_unit<R, B>(
        &mut self,
        core: &Arc<Core<P, R>>,
        body: Pin<&mut Option<B>>,
        unit: Lent<P>,
        cancelled: bool,
    ) where
        P: Unit<R>,
    {
        if cancelled {
            self.discard(core, &unit);
            self.ended(core, unit);
            if core.token.is_cancelled() {
                // The rule may have stopped the scope for it, and then nobody else has a turn.
                let reason = core.token.reason().unwrap_or(Reason::Requested);
                self.stop(core, body, Cause::Cancelled(reason));
            }
            return;
        }
        let step = unit.poll(&core.rule);
        if matches!(step, Step::Pending) {
            if let Some(shields) = core.shields.get().filter(|shields| shields.is_fresh()) {
                shields.assign(unit.header().id());
            }
            return;
        }
        self.ended(core, unit);
        match step {
            Step::Pending | Step::Finished => {}
            Step::Failed => self.stop(core, body, Cause::Failed),
            Step::Panicked(payload) => {
                self.panicked(payload);
                self.stop(core, body, Cause::Panicked);
            }
        }
    }

    /// It is removed at the end of the turn, together with others.
    fn ended<R>(&mut self, core: &Arc<Core<P, R>>, unit: Lent<P>)
    where
        P: Unit<R>,
    {
        self.changed = true;
        let at_once = core.has_limit() || unit.header().kind() != Kind::Child;
        core.ended(&unit);
        self.ended.push(unit);
        if at_once {
            self.remove_ended(core);
        }
    }

    fn remove_ended<R>(&mut self, core: &Arc<Core<P, R>>)
    where
        P: Unit<R>,
    {
        if !self.ended.is_empty() {
            // It wakes whoever waits for room, which is user code.
            let removed = contain(|| core.remove(&mut self.ended));
            self.keep(removed);
        }
    }

    fn poll_body<R, B>(
        &mut self,
        core: &Arc<Core<P, R>>,
        mut body: Pin<&mut Option<B>>,
        settle: fn(&R, ChildId, B::Output) -> Settled<T>,
    ) where
        P: Unit<R>,
        B: Future,
    {
        let Some(future) = body.as_mut().as_pin_mut() else {
            return;
        };
        let waker = self.queue.body();
        let polled = contain(|| match future.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(settle(&core.rule, ChildId::BODY, output)),
            Poll::Pending => None,
        });
        if matches!(polled, Ok(None)) {
            if let Some(shields) = core.shields.get().filter(|shields| shields.is_fresh()) {
                shields.assign(ChildId::BODY);
            }
            return;
        }
        self.changed = true;
        let dropped = contain(|| body.set(None));
        match polled.and_then(|settled| dropped.map(|()| settled)) {
            Ok(Some(Settled { value, failed })) => {
                self.value = value;
                if failed {
                    self.stop(core, body, Cause::Failed);
                }
            }
            Ok(None) => {}
            Err(payload) => {
                self.panicked(payload);
                self.stop(core, body, Cause::Panicked);
            }
        }
    }

    /// The first cause stops the scope; a second one changes nothing.
    fn stop<R, B>(&mut self, core: &Arc<Core<P, R>>, body: Pin<&mut Option<B>>, cause: Cause)
    where
        P: Unit<R>,
    {
        if self.cause.is_some() {
            return;
        }
        let reason = match &cause {
            Cause::Cancelled(reason) => reason.clone(),
            Cause::Failed | Cause::Panicked => Reason::SiblingFailed,
        };
        self.cause = Some(cause);
        // Wakers and callbacks are user code.
        self.keep(contain(|| {
            core.token.cancel(reason);
        }));
        self.keep(contain(|| core.dismiss_waiting()));
        if self.cleaning {
            // Only a panic comes here so late, and there is nobody to drop.
        } else if self.plan.grace.is_zero() {
            self.drop_all(core, body);
        } else {
            self.timer = Some(self.plan.clock.sleep(self.plan.grace));
        }
    }

    /// The time of grace is over: drops all but those whom a shield keeps for a while.
    fn drop_all<R, B>(&mut self, core: &Arc<Core<P, R>>, mut body: Pin<&mut Option<B>>)
    where
        P: Unit<R>,
    {
        self.hard = true;
        let kept: HashSet<_> = self.shielded(core).into_iter().collect();
        for child in core.remove_where(|it| it.kind() == Kind::Child && !kept.contains(&it.id())) {
            self.discard(core, &child);
        }
        let keeps_body = self.plan.keeps_body && matches!(self.cause, Some(Cause::Cancelled(_)));
        if !keeps_body && !kept.contains(&ChildId::BODY) {
            self.keep(contain(|| body.set(None)));
        }
        // Whoever is still there may need them.
        if kept.is_empty() {
            for service in core.remove_all(&[Kind::Service]) {
                self.discard(core, &service);
            }
        }
    }

    /// Whom the shields that are up keep now; sets the timer for the first of them that will end.
    fn shielded<R>(&mut self, core: &Core<P, R>) -> Vec<ChildId> {
        let Some(shields) = core.shields.get().filter(|shields| !shields.is_empty()) else {
            return Vec::new();
        };
        let now = self.plan.clock.now();
        let since = *self.hard_since.get_or_insert(now);
        let (kept, end) = shields.kept(since, now);
        self.timer = end.map(|end| self.plan.clock.sleep_until(end));
        kept
    }

    /// Whether a child goes on although the time of grace is over.
    fn survives<R>(&self, core: &Core<P, R>, header: &Header) -> bool {
        match header.kind() {
            Kind::Deferred => true,
            // Those who were not kept are gone.
            _ => core.shields.get().is_some_and(|shields| !shields.is_empty()),
        }
    }

    /// The time for what was deferred is over.
    fn skip_deferred<R>(&mut self, core: &Core<P, R>)
    where
        P: Unit<R>,
    {
        let mut skipped = Skipped::new(core.name.as_deref());
        let running = core.remove_all(&[Kind::Deferred]);
        for unit in running.into_iter().chain(core.end().into_iter().rev()) {
            skipped.push(unit.header());
            self.discard(core, &unit);
        }
        let told = tell(self.plan.on_skipped.take(), &skipped);
        self.keep(told);
    }

    fn discard<R>(&mut self, core: &Core<P, R>, unit: &Held<P>)
    where
        P: Unit<R>,
    {
        self.keep(unit.discard(Some(&core.rule), Ended::Cancelled));
        core.forget(unit.header());
    }

    fn keep(&mut self, result: Result<(), PanicPayload>) {
        if let Err(payload) = result {
            self.panicked(payload);
        }
    }

    /// The first panic is the one that goes on.
    fn panicked(&mut self, payload: PanicPayload) {
        match &self.panic {
            None => self.panic = Some(payload),
            Some(_) => forget_panic(Err(payload)),
        }
    }
}
