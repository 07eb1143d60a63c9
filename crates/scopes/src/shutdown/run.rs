//! The run of a shutdown: the main future, and then the stages.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use weirs_runtime::{Instant, JoinError, Sleep};

use super::inner::Inner;
use super::report::{GroupReport, MainEnd, MainOutput, MemberEnd, MemberReport, Report, Stage, StageReport};
use super::state::{Deferred, Effects, Mode, State};
use crate::Reason;
use crate::panics::{contain, forget_panic};
use crate::sync::lock;

#[cfg(all(unix, feature = "signals"))]
use crate::{Escalation, EscalationStep};

pub(super) async fn run<M>(inner: &Inner, main: M) -> Report
where
    M: Future,
    M::Output: MainOutput,
{
    let claimed = std::mem::replace(&mut lock(&inner.state).claimed, true);
    assert!(!claimed, "a shutdown runs but once");
    // Dropped last: the main future goes before the tasks.
    let _abandon = Abandon(inner);
    let mut main = pin!(Some(main));
    let mut run = Run {
        inner,
        main: main.as_mut(),
        main_end: None,
        main_triggered: false,
        #[cfg(all(unix, feature = "signals"))]
        escalation: inner.take_escalation(),
    };
    run.wait(Instant::FAR_FUTURE, |state, _| state.trigger.is_some()).await;
    run.stages().await
}

struct Abandon<'a>(&'a Inner);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

struct Run<'a, 'm, M> {
    inner: &'a Inner,
    main: Pin<&'m mut Option<M>>,
    main_end: Option<MainEnd>,
    /// The shutdown was triggered by the end of the main future.
    main_triggered: bool,
    #[cfg(all(unix, feature = "signals"))]
    escalation: Option<Escalation>,
}

impl<M> Run<'_, '_, M>
where
    M: Future,
    M::Output: MainOutput,
{
    /// The stages. Each ends at its own time, or that of the whole, if it is not done before.
    async fn stages(mut self) -> Report {
        let (inner, plan) = (self.inner, self.inner.plan);
        let trigger = lock(&inner.state).trigger.clone();
        let (triggered, reason) = trigger.unwrap_or_else(|| (self.now(), Reason::Requested));
        let end = triggered + plan.total;
        let mut laps = Laps { stages: Vec::new(), last: triggered };
        let none_left = |state: &State, main_over: bool| main_over && state.groups[0].live == 0;

        if !self.main_triggered {
            self.wait((triggered + plan.lame_duck).min(end), none_left).await;
        }
        laps.done(Stage::LameDuck, self.now());

        inner.intake.cancel(reason.clone());
        self.change(State::drain);
        self.wait((laps.last + plan.drain).min(end), none_left).await;
        laps.done(Stage::Drain, self.now());

        inner.token.cancel(Reason::Shutdown);
        self.change(State::cancel);
        self.cancel_in_rounds((laps.last + plan.grace).min(end)).await;
        laps.done(Stage::Cancel, self.now());

        self.drop_main();
        inner.drop_all();
        let forced = lock(&inner.state).forced;
        self.wait_even_if_forced((laps.last + plan.drop).min(end), |state, _| state.present == 0).await;
        laps.done(Stage::Drop, self.now());

        let cleanup = self.clean_up((laps.last + plan.cleanup).min(end), forced).await;
        laps.done(Stage::Cleanup, self.now());
        self.report(reason, laps.stages, cleanup)
    }

    /// Gives each round of groups its part of the time; whatever of a round is left then is dropped, so that
    /// the next may end in order.
    async fn cancel_in_rounds(&mut self, end: Instant) {
        loop {
            let (live, rounds) = {
                let state = lock(&self.inner.state);
                if state.forced {
                    return;
                }
                (state.groups[0].live, state.rounds())
            };
            if live == 0 {
                break;
            }
            let now = self.now();
            let till = now + end.saturating_since(now) / rounds;
            self.wait(till, |state, _| state.in_round == 0).await;
            if lock(&self.inner.state).forced {
                return;
            }
            self.change(State::end_round);
            self.change(State::next_round);
        }
        self.wait(end, |_, main_over| main_over).await;
    }

    /// Runs what was deferred, one after the other; gives what did not finish.
    async fn clean_up(&mut self, end: Instant, mut skip: bool) -> Vec<MemberReport> {
        let mut unfinished = Vec::new();
        loop {
            let next = lock(&self.inner.state).deferred.pop();
            let Some(Deferred { name, location, future }) = next else {
                return unfinished;
            };
            let begun = self.now();
            skip |= begun >= end || lock(&self.inner.state).forced;
            let how = if skip {
                forget_panic(contain(|| drop(future)));
                MemberEnd::Dropped
            } else {
                let mut task = self.inner.runtime.builder().name(name.clone()).spawn(future);
                let mut sleep = self.inner.runtime.clock().sleep_until(end);
                let joined = poll_fn(|cx| match Pin::new(&mut task).poll(cx) {
                    Poll::Ready(joined) => Poll::Ready(Some(joined)),
                    Poll::Pending => self.poll(cx, &mut sleep, false, &|_, _| false).map(|()| None),
                });
                match joined.await {
                    Some(Ok(())) => continue,
                    Some(Err(JoinError::Panic(payload))) => {
                        forget_panic(Err(payload));
                        MemberEnd::Panicked
                    }
                    Some(Err(_)) => MemberEnd::Dropped,
                    None => {
                        task.abort();
                        if task.is_finished() { MemberEnd::Dropped } else { MemberEnd::StillRunning }
                    }
                }
            };
            let age = self.now().saturating_since(begun);
            unfinished.push(MemberReport::new(name, location, age, how));
        }
    }

    fn report(mut self, reason: Reason, stages: Vec<StageReport>, cleanup: Vec<MemberReport>) -> Report {
        let now = self.now();
        let mut state = lock(&self.inner.state);
        state.mode = Mode::Over;
        let groups = state.groups.iter_mut().map(|group| {
            let left: Vec<_> = std::mem::take(&mut group.members).into_values().collect();
            left.iter().for_each(|entry| group.note(entry, MemberEnd::StillRunning, now));
            let report = GroupReport {
                path: group.path.clone(),
                counts: group.counts,
                named: std::mem::take(&mut group.named),
            };
            (report, left)
        });
        let (groups, left): (Vec<GroupReport>, Vec<_>) = groups.unzip();
        let (forced, runner) = (state.forced, state.runner.take());
        drop(state);
        // Wakers and names are foreign.
        drop((left, runner));
        let groups = groups.into_iter().filter(|group| !group.is_empty()).collect();
        let main = self.main_end.take().unwrap_or(MainEnd::Dropped);
        Report { reason, forced, main, stages, groups, cleanup }
    }

    /// Waits until it is so, the time has come, or the shutdown is forced.
    async fn wait(&mut self, till: Instant, done: impl Fn(&State, bool) -> bool) {
        if lock(&self.inner.state).forced {
            return;
        }
        let mut sleep = self.inner.runtime.clock().sleep_until(till);
        poll_fn(|cx| self.poll(cx, &mut sleep, false, &done)).await;
    }

    async fn wait_even_if_forced(&mut self, till: Instant, done: impl Fn(&State, bool) -> bool) {
        let mut sleep = self.inner.runtime.clock().sleep_until(till);
        poll_fn(|cx| self.poll(cx, &mut sleep, true, &done)).await;
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        sleep: &mut Sleep,
        even_if_forced: bool,
        done: &dyn Fn(&State, bool) -> bool,
    ) -> Poll<()> {
        #[cfg(all(unix, feature = "signals"))]
        self.poll_signals(cx);
        self.poll_main(cx);
        let waker = cx.waker().clone();
        let mut state = lock(&self.inner.state);
        let before = state.runner.replace(waker);
        let over = done(&state, self.main_end.is_some()) || (state.forced && !even_if_forced);
        drop(state);
        drop(before);
        if over { Poll::Ready(()) } else { Pin::new(sleep).poll(cx) }
    }

    fn poll_main(&mut self, cx: &mut Context<'_>) {
        let Some(main) = self.main.as_mut().as_pin_mut() else {
            return;
        };
        let end = match contain(|| main.poll(cx).map(|output| output.failure())) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(None)) => MainEnd::Finished,
            Ok(Poll::Ready(Some(error))) => MainEnd::Failed(error),
            Err(payload) => MainEnd::Panicked(payload),
        };
        let why = match end {
            MainEnd::Finished => "the main future has ended",
            MainEnd::Failed(_) => "the main future has failed",
            _ => "the main future has panicked",
        };
        self.main_end = Some(end);
        self.drop_main();
        self.main_triggered = self.inner.trigger(why.into());
    }

    fn drop_main(&mut self) {
        if let Err(payload) = contain(|| self.main.set(None)) {
            match self.main_end {
                // Its first panic is the one that counts.
                Some(MainEnd::Panicked(_)) => forget_panic(Err(payload)),
                _ => self.main_end = Some(MainEnd::Panicked(payload)),
            }
        }
    }

    #[cfg(all(unix, feature = "signals"))]
    fn poll_signals(&mut self, cx: &mut Context<'_>) {
        while let Some(escalation) = &mut self.escalation {
            match escalation.poll_step(cx) {
                Poll::Ready(EscalationStep::Graceful(signal)) => {
                    self.inner.trigger(signal.to_string().into());
                }
                Poll::Ready(EscalationStep::Force(_)) => self.inner.force(),
                Poll::Pending => return,
            }
        }
    }

    fn change(&self, change: fn(&mut State) -> Effects) {
        let effects = change(&mut lock(&self.inner.state));
        effects.run();
    }

    fn now(&self) -> Instant {
        self.inner.runtime.clock().now()
    }
}

struct Laps {
    stages: Vec<StageReport>,
    last: Instant,
}

impl Laps {
    fn done(&mut self, stage: Stage, now: Instant) {
        self.stages.push(StageReport { stage, took: now.saturating_since(self.last) });
        self.last = now;
    }
}
