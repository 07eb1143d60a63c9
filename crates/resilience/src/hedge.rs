//! [`Hedge`]: another attempt beside one that takes long.

mod latencies;
mod settings;
mod state;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use weirs_runtime::Instant;

use latencies::Latencies;
pub use state::HedgeState;
use state::{First, Next, Run, Runs};

use crate::budget::{CallEnd, Fate, Want};
use crate::policy::reaches;
use crate::stack::alone;
use crate::{
    Attempt, Budget, ByDefault, Chain, Class, Classify, Error, EventKind, Inner, Invalid, Lane, Part, Policy,
    Root, Scene, Stack, StackBuilder, Turn,
};

/// A hedge, alone: `hedge(Hedge::after(delay)).call(work)`.
///
/// # Examples
/// The first server hangs, the second answers:
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Attempt, Hedge, hedge};
/// use weirs_runtime::block_on;
///
/// async fn ask(at: Attempt) -> Result<&'static str, ()> {
///     let servers = ["one", "two"];
///     match servers[usize::from(at.hedge()) % servers.len()] {
///         "one" => std::future::pending().await,
///         answers => Ok(answers),
///     }
/// }
///
/// let stack = hedge(Hedge::after(Duration::from_millis(1)));
/// assert_eq!(block_on(stack.call(ask)), Ok("two"));
/// ```
pub fn hedge<C>(hedge: Hedge<C>) -> Stack<Chain<Root, Hedge<C>>> {
    alone(hedge)
}

impl<P: Part> StackBuilder<P> {
    /// Another attempt beside one that takes long; the first to succeed wins.
    ///
    /// Everything further in runs once for each attempt, with a state of its own.
    pub fn hedge<C>(self, hedge: Hedge<C>) -> StackBuilder<Chain<P, Hedge<C>>> {
        self.policy(hedge)
    }
}

/// Begins another attempt beside one that takes long.
///
/// The first attempt begins at once. After a delay comes the next one, and after another delay the one after
/// that, up to [`max`](Hedge::max). The first that succeeds wins; the others are dropped, and have given back
/// what they held, before the call is ready.
///
/// | an attempt ends as | what happens |
/// |---|---|
/// | [`Class::Success`] | it wins |
/// | [`Class::Permanent`] | it is the result: the others would fail as well |
/// | [`Class::Failure`] | the next one begins at once |
/// | [`Class::Throttled`] | the next one begins after the delay: the other side has enough to do |
/// | [`Class::After`] | the next one begins after that time |
/// | [`Class::Ignored`], such as a refusal further in | the others go on; no other one begins for it |
///
/// If all fail, the error is that of the first. The delay counts from when the first one has to wait, and no
/// other attempt begins if there is too little [time](Hedge::needs), if the [budget](Hedge::budget) is spent,
/// or if the call is not [eligible](Hedge::when).
///
/// Only hedge what may be done twice. The work sees by [`Attempt::hedge`] which one it is, so that it can ask
/// another server; in hedges of hedges no two have the same number.
///
/// While the first attempt is in time nothing is allocated. For each other one its future, and the state of
/// each policy further in, is boxed.
///
/// # Examples
/// After what 95 of 100 calls take, for one call of ten at most:
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Budget, Hedge, Stack};
/// use weirs_runtime::block_on;
///
/// let ms = Duration::from_millis;
/// let budget = Budget::share(0.1).build()?;
/// let hedge = Hedge::after(ms(100)).percentile(0.95, 50).budget(&budget);
/// let stack = Stack::builder().timeout(ms(1_000)).hedge(hedge).build()?;
/// assert_eq!(block_on(stack.call(async |_| Ok::<_, ()>(1))), Ok(1));
/// # Ok::<(), weirs_resilience::Invalid>(())
/// ```
#[derive(Clone)]
#[must_use = "it hedges nothing until it is in a stack"]
pub struct Hedge<C = ByDefault> {
    delay: Delay,
    after: Duration,
    max: u16,
    needs: Duration,
    eligible: Option<Eligible>,
    budget: Option<Budget>,
    judge: C,
    invalid: Option<Invalid>,
}

type Eligible = Arc<dyn Fn(&Attempt) -> bool + Send + Sync>;
type DelayOf = Arc<dyn Fn(u16, &Attempt) -> Duration + Send + Sync>;

#[derive(Clone)]
enum Delay {
    Fixed,
    Percentile(Arc<Latencies>),
    With(DelayOf),
}

impl<C> Hedge<C> {
    /// Whether neither a budget nor a percentile wants to know of each call.
    #[inline]
    fn is_plain(&self) -> bool {
        self.budget.is_none() && !matches!(self.delay, Delay::Percentile(_))
    }

    /// How long to wait before the hedge of that number.
    fn delay(&self, number: u16, at: &Attempt) -> Duration {
        match &self.delay {
            Delay::Fixed => self.after,
            Delay::Percentile(latencies) => latencies.known().unwrap_or(self.after),
            Delay::With(delay) => delay(number, at),
        }
    }

    /// The first attempt as the work is to see it: within hedges of hedges every attempt has a number of its
    /// own, like the digits of a number.
    #[inline]
    fn first(&self, at: Attempt) -> Attempt {
        match at.hedge() {
            0 => at,
            outer => at.hedged(outer.saturating_mul(self.max.saturating_add(1)), at.lane()),
        }
    }

    /// Something took so long; `since` is none if it did not have to wait.
    fn took(&self, scene: Scene<'_>, since: Option<Instant>) {
        if let Delay::Percentile(latencies) = &self.delay {
            let now = since.map(|_| scene.clock().now());
            let latency = since.zip(now).map(|(since, now)| now.saturating_since(since));
            latencies.record(latency.unwrap_or_default(), now);
        }
    }

    /// The call is over for the budget.
    fn settle<T, E>(&self, state: &mut HedgeState<T, E>, end: CallEnd) {
        if let (Some(budget), true) = (&self.budget, std::mem::take(&mut state.counts)) {
            budget.call_ended(end);
        }
    }

    /// What was paid for this hedge is settled.
    fn settle_run(&self, run: &mut Run, fate: Fate) {
        if let (Some(budget), Some(taken)) = (&self.budget, run.taken.take()) {
            budget.settle(taken, if run.began { fate } else { Fate::NotMade });
        }
    }

    /// When the next one comes, if one may.
    fn arm<T, E>(&self, state: &mut HedgeState<T, E>, turn: &Turn<'_, '_>, at: &Attempt) {
        let begun = state.runs.as_ref().map_or(0, |runs| runs.begun);
        let undecided = begun == 0 && matches!(state.next, Next::Undecided);
        let ineligible = |eligible: &Eligible| !eligible(at);
        if undecided && self.eligible.as_ref().is_some_and(ineligible) {
            state.next = Next::Never;
            return;
        }
        state.next = match begun < self.max {
            true => Next::At(turn.clock().sleep(self.delay(begun + 1, at))),
            false => Next::Never,
        };
    }

    /// Another attempt begins, unless there is a reason against it.
    #[cold]
    fn start<T, E>(&self, state: &mut HedgeState<T, E>, turn: &mut Turn<'_, '_>, at: &Attempt) -> bool {
        let late = at.deadline(turn.clock()).is_some_and(|by| by <= turn.clock().now() + self.needs);
        let runs = state.runs.get_or_insert_with(Box::default);
        if late || runs.begun >= self.max {
            state.next = Next::Never;
            return false;
        }
        runs.begun += 1;
        let (number, alone) = (runs.begun, !runs.any());
        // The user's code, before anything is taken that would have to be given back.
        self.arm(state, turn, at);
        let taken = match &self.budget {
            None => None,
            Some(budget) => match budget.take(Want::Attempt) {
                Some(taken) => Some(taken),
                None => {
                    // Those that run go on, and with them the hope for a later one.
                    if alone {
                        state.next = Next::Never;
                    }
                    turn.tell(EventKind::BudgetSpent);
                    return false;
                }
            },
        };
        let since = matches!(self.delay, Delay::Percentile(_)).then(|| turn.clock().now());
        let lane = turn.new_lane();
        turn.tally.hedges = turn.tally.hedges.saturating_add(1);
        let runs = state.runs.get_or_insert_with(Box::default);
        runs.hedges.push(Run { number, lane, taken, began: false, since });
        turn.tell(EventKind::HedgeStarted { hedge: at.hedge().saturating_add(number) });
        true
    }
}

impl<C> Hedge<C> {
    /// One attempt did not succeed: whether the next one begins at once.
    fn failed<T, E>(
        &self,
        state: &mut HedgeState<T, E>,
        turn: &Turn<'_, '_>,
        at: &Attempt,
        class: Class,
    ) -> bool {
        if class != Class::Ignored && state.counts {
            if let Some(budget) = &self.budget {
                budget.failed();
            }
        }
        if matches!(state.next, Next::Undecided) {
            self.arm(state, turn, at);
        }
        match (class, &state.next) {
            (_, Next::Never | Next::Undecided) => false,
            (Class::After(pause), _) => {
                state.next = Next::At(turn.clock().sleep(pause));
                false
            }
            (Class::Throttled, _) => false,
            (Class::Ignored, _) => {
                // With nobody left to wait for it is over.
                if !state.runs.as_ref().is_some_and(|runs| runs.any()) {
                    state.next = Next::Never;
                }
                false
            }
            _ => true,
        }
    }

    /// The first attempt has to wait or has failed: others may begin.
    fn go_on<T, E, I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HedgeState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: &Attempt,
        inner: &mut I,
        mut at_once: bool,
    ) -> Poll<Result<T, Error<E>>>
    where
        C: Classify<T, E>,
    {
        loop {
            if !at_once {
                let Next::At(timer) = &mut state.next else { break };
                if Pin::new(timer).poll(turn.context()).is_pending() {
                    return Poll::Pending;
                }
            }
            at_once = false;
            if self.start(state, turn, at) {
                let newest = state.runs.as_ref().map_or(0, |runs| runs.hedges.len() - 1);
                match self.poll_hedge(state, turn, at, inner, newest) {
                    Polled::Waits => {}
                    Polled::Failed(again) => at_once = again,
                    Polled::Over(result) => return Poll::Ready(result),
                }
            }
        }
        let Some(runs) = &mut state.runs else { return Poll::Pending };
        if runs.any() {
            return Poll::Pending;
        }
        match std::mem::replace(&mut runs.first, First::Runs) {
            First::Failed(result) => {
                self.finish(state, CallEnd::Failed);
                Poll::Ready(result)
            }
            First::Runs => unreachable!("it runs"),
        }
    }

    /// One of those beside the first.
    fn poll_hedge<T, E, I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HedgeState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: &Attempt,
        inner: &mut I,
        index: usize,
    ) -> Polled<T, E>
    where
        C: Classify<T, E>,
    {
        let Some(run) = state.runs.as_mut().map(|runs| &mut runs.hedges[index]) else {
            unreachable!("it was begun")
        };
        let number = at.hedge().saturating_add(run.number);
        let of_hedge = at.hedged(number, run.lane);
        // If it panics, it began.
        let before = std::mem::replace(&mut run.began, true);
        let (polled, reached) = reaches(turn, |turn| inner.poll(turn, of_hedge));
        run.began = before || reached;
        let Poll::Ready(result) = polled else { return Polled::Waits };
        let class = self.judge.classify(&result);
        if matches!(class, Class::Success | Class::Permanent) {
            let since = run.since;
            return Polled::Over(self.win(state, turn, at, inner, Some(index), class, since, result));
        }
        let Some(runs) = &mut state.runs else { unreachable!("it was begun") };
        let mut run = runs.hedges.remove(index);
        self.settle_run(&mut run, Fate::Failed);
        // What the policies further in keep for that lane goes.
        inner.cancel(turn.scene(), run.lane);
        Polled::Failed(self.failed(state, turn, at, class))
    }

    /// It is decided: the others are dropped, and then it is over.
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "it is one step of a poll, with all that a poll has")]
    fn win<T, E, I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HedgeState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: &Attempt,
        inner: &mut I,
        winner: Option<usize>,
        class: Class,
        since: Option<Instant>,
        result: Result<T, Error<E>>,
    ) -> Result<T, Error<E>> {
        let (scene, success) = (turn.scene(), class == Class::Success);
        let mut hedge = None;
        if let Some(runs) = &mut state.runs {
            if let (Some(index), true) = (winner, success) {
                hedge = Some(at.hedge().saturating_add(runs.hedges[index].number));
                self.settle_run(&mut runs.hedges[index], Fate::Succeeded);
            }
            let first_runs = winner.is_some() && matches!(runs.first, First::Runs);
            state::cancel_each(scene, first_runs.then_some(at.lane()), &runs.hedges, inner);
            if first_runs {
                self.took(scene, state.since);
            }
        }
        if success {
            self.took(scene, since);
        }
        let at_once = state.runs.as_ref().is_none_or(|runs| runs.begun == 0);
        self.finish(
            state,
            match (success, at_once) {
                (true, true) => CallEnd::AtOnce,
                (true, false) => CallEnd::Later,
                (false, _) => CallEnd::Failed,
            },
        );
        if let Some(hedge) = hedge {
            turn.tell(EventKind::HedgeWon { hedge });
        }
        result
    }

    /// Nothing runs any more: the state is as new.
    #[inline]
    fn finish<T, E>(&self, state: &mut HedgeState<T, E>, end: CallEnd) {
        if let Some(mut runs) = state.runs.take() {
            runs.hedges.iter_mut().for_each(|run| self.settle_run(run, Fate::Failed));
        }
        self.settle(state, end);
        state.next = Next::Undecided;
        state.since = None;
        state.begun = false;
    }
}

/// What came of polling a hedge.
enum Polled<T, E> {
    Waits,
    /// Whether the next one begins at once.
    Failed(bool),
    Over(Result<T, Error<E>>),
}

impl<T, E, C: Classify<T, E>> Policy<T, E> for Hedge<C> {
    type State = HedgeState<T, E>;

    #[inline(always)]
    fn begin(&self) -> HedgeState<T, E> {
        HedgeState::default()
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HedgeState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let at = self.first(at);
        if let (Some(budget), false) = (&self.budget, state.begun) {
            state.begun = true;
            // A retry or a hedge further out may have told this budget already.
            if turn.tally.budget != budget.id() {
                turn.tally.budget = budget.id();
                state.counts = true;
                budget.call_began();
            }
        }
        if state.runs.is_some() {
            return self.poll_all(state, turn, at, inner);
        }
        match inner.poll(turn, at) {
            Poll::Ready(result) => match self.judge.classify(&result) {
                // Nobody asks how it went, and nobody was begun: the state is as new.
                Class::Success if self.is_plain() && matches!(state.next, Next::Undecided) => {
                    Poll::Ready(result)
                }
                class @ (Class::Success | Class::Permanent) => {
                    // Copies: so that `at` itself can stay in registers.
                    let (since, copy) = (state.since, at);
                    Poll::Ready(self.win(state, turn, &copy, inner, None, class, since, result))
                }
                class => {
                    let copy = at;
                    self.first_failed(state, turn, &copy, inner, result, class)
                }
            },
            Poll::Pending => {
                let copy = at;
                self.first_waits(state, turn, &copy, inner)
            }
        }
    }

    fn abandon(&self, state: &mut HedgeState<T, E>, _: Scene<'_>) {
        self.finish(state, CallEnd::Failed);
    }

    fn cancel_inner<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HedgeState<T, E>,
        scene: Scene<'_>,
        lane: Lane,
        inner: &mut I,
    ) {
        match &state.runs {
            None => inner.cancel(scene, lane),
            Some(runs) => state::cancel_each(scene, Some(lane), &runs.hedges, inner),
        }
    }
}

impl<C> Hedge<C> {
    fn first_waits<T, E, I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HedgeState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: &Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>>
    where
        C: Classify<T, E>,
    {
        if matches!(state.next, Next::Undecided) {
            if matches!(self.delay, Delay::Percentile(_)) {
                state.since = Some(turn.clock().now());
            }
            self.arm(state, turn, at);
        }
        self.go_on(state, turn, at, inner, false)
    }

    #[cold]
    fn first_failed<T, E, I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HedgeState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: &Attempt,
        inner: &mut I,
        result: Result<T, Error<E>>,
        class: Class,
    ) -> Poll<Result<T, Error<E>>>
    where
        C: Classify<T, E>,
    {
        if class == Class::Ignored {
            // It was refused further in, and so would be the others.
            self.finish(state, CallEnd::Failed);
            return Poll::Ready(result);
        }
        let runs = state.runs.get_or_insert_with(Box::<Runs<T, E>>::default);
        runs.first = First::Failed(result);
        let at_once = self.failed(state, turn, at, class);
        self.go_on(state, turn, at, inner, at_once)
    }

    /// The first, and those beside it.
    #[cold]
    fn poll_all<T, E, I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HedgeState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>>
    where
        C: Classify<T, E>,
    {
        let mut at_once = false;
        if state.runs.as_ref().is_some_and(|runs| matches!(runs.first, First::Runs)) {
            if let Poll::Ready(result) = inner.poll(turn, at) {
                let class = self.judge.classify(&result);
                if matches!(class, Class::Success | Class::Permanent) {
                    let since = state.since;
                    return Poll::Ready(self.win(state, turn, &at, inner, None, class, since, result));
                }
                if let Some(runs) = &mut state.runs {
                    runs.first = First::Failed(result);
                }
                at_once = self.failed(state, turn, &at, class);
            }
        }
        let mut index = 0;
        while index < state.runs.as_ref().map_or(0, |runs| runs.hedges.len()) {
            match self.poll_hedge(state, turn, &at, inner, index) {
                Polled::Waits => index += 1,
                Polled::Failed(again) => at_once |= again,
                Polled::Over(result) => return Poll::Ready(result),
            }
        }
        self.go_on(state, turn, &at, inner, at_once)
    }
}

impl<C> fmt::Debug for Hedge<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge").field("after", &self.after).field("max", &self.max).finish_non_exhaustive()
    }
}
