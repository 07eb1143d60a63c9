//! [`Retry`]: failed attempts are made again.

mod judge;
mod settings;
mod state;

use std::fmt;
use std::task::{Poll, ready};
use std::time::Duration;

use weirs_runtime::Instant;

pub use judge::{NotSent, When};
pub use state::RetryState;

use crate::budget::{CallEnd, Fate, Want};
use crate::stack::alone;
use crate::{
    Attempt, Backoff, Budget, ByDefault, Chain, Class, Classify, Error, EventKind, GiveUp, Inner, Part,
    Policy, Root, Scene, Stack, StackBuilder, Turn,
};

/// A retry, alone: `retry(Retry::exponential(base)).call(work)`.
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::time::Duration;
/// use weirs_resilience::{Jitter, Retry, retry};
/// use weirs_runtime::block_on;
///
/// let policy = Retry::exponential(Duration::from_millis(1)).retries(3).jitter(Jitter::Full);
/// let begun = Cell::new(0);
/// let answer = block_on(retry(policy).call(async |at| {
///     begun.set(at.number());
///     if at.number() < 3 { Err("not yet") } else { Ok(42) }
/// }));
/// assert_eq!((answer.unwrap(), begun.get()), (42, 3));
/// ```
pub fn retry<C>(retry: Retry<C>) -> Stack<Chain<Root, Retry<C>>> {
    alone(retry)
}

impl<P: Part> StackBuilder<P> {
    /// Makes failed attempts at what is inside again.
    pub fn retry<C>(self, retry: Retry<C>) -> StackBuilder<Chain<P, Retry<C>>> {
        self.policy(retry)
    }
}

/// Makes failed attempts again, after a pause.
///
/// At a failure it asks, in this order:
/// 1. What does it mean? `C` says so: [`when`](Retry::when), [`classify`](Retry::classify), or
///    [`ByDefault`]. What would fail again is not made again.
/// 2. Are [`retries`](Retry::retries) left, and does the [amplification](Retry::max_amplification) allow
///    another?
/// 3. How long is the pause? As long as the [`Backoff`] says, or as the other side asked for by
///    [`Class::After`] if that is longer; never longer than the backoff's cap. After [`Class::After`] the
///    backoff begins anew.
/// 4. Would the next attempt begin too late for the deadline?
/// 5. Does the [budget](Retry::budget) allow it? What it costs is taken before the pause.
///
/// Whenever the answer is no, the call ends at once with the last real error: no pause whose end would be in
/// vain, and no error that hides the cause. The why is in the [`Report`](crate::Report) and in the event.
///
/// A refusal by a policy further in, such as an open circuit, is no failure of the other side. It is not
/// tried again and costs no budget. When the first attempt is refused, the refusal is what the call gives;
/// when a later one is, the call gives the last error before it. See also
/// [`wait_for_ready`](Retry::wait_for_ready).
///
/// A limit of time for all attempts is a timeout outside; one for each attempt is a timeout inside.
///
/// The work is made again, so it has to bear being done twice. Whoever cannot be sure says
/// [`only_if_not_sent`](Retry::only_if_not_sent).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Budget, Jitter, Retry, Stack};
///
/// enum Answer { NotFound, Busy }
///
/// let budget = Budget::default();
/// let stack = Stack::builder()
///     .timeout(Duration::from_secs(2))
///     .retry(
///         Retry::exponential(Duration::from_millis(50))
///             .cap(Duration::from_secs(1))
///             .jitter(Jitter::Full)
///             .retries(3)
///             .budget(&budget)
///             .when(|answer: &Answer| matches!(answer, Answer::Busy)),
///     )
///     .timeout(Duration::from_millis(500))
///     .build()?;
/// let result = weirs_runtime::block_on(stack.call(async |_| Err::<(), _>(Answer::NotFound)));
/// assert!(result.is_err());
/// # Ok::<(), weirs_resilience::Invalid>(())
/// ```
#[derive(Clone)]
#[must_use = "a retry is only a policy; put it into a stack"]
pub struct Retry<C = ByDefault> {
    backoff: Backoff,
    retries: u32,
    max_amplification: u32,
    min_attempt_time: Duration,
    wait_for_ready: bool,
    budget: Option<Budget>,
    classify: C,
}

/// A pause before a refused attempt is at least this long, so that nobody asks without a breath.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// So many attempts without any waiting, and others get their turn.
const ROUNDS: u32 = 32;

impl<T, E, C: Classify<T, E>> Policy<T, E> for Retry<C> {
    type State = RetryState<T, E>;

    #[inline(always)]
    fn begin(&self) -> RetryState<T, E> {
        RetryState::new()
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut RetryState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let mut rounds = 0;
        loop {
            if let Some(trouble) = &mut state.trouble {
                ready!(trouble.poll_pause(turn));
            }
            if state.number == 0 {
                state.number = 1;
                self.count_call(state, turn);
            }
            // Looked at where it is: it is not copied.
            let polled = inner.poll(turn, at.numbered(state.number));
            let Poll::Ready(result) = &polled else { return polled };
            let class = self.classify.classify(result);
            if class == Class::Success && state.trouble.is_none() {
                // The happy path: nothing was taken, and nothing is kept.
                state.number = 0;
                if std::mem::take(&mut state.is_counted) {
                    self.count_end(CallEnd::AtOnce);
                }
                return polled;
            }
            let Poll::Ready(result) = polled else { unreachable!("it was ready just now") };
            if let Some(result) = self.go_on(state, turn, at, class, result) {
                return Poll::Ready(result);
            }
            rounds += 1;
            if rounds == ROUNDS {
                turn.context().waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    #[inline]
    fn abandon(&self, state: &mut RetryState<T, E>, _: Scene<'_>) {
        if state.number != 0 {
            let is_paused = state.trouble.as_ref().is_some_and(|trouble| trouble.is_paused);
            let fate = if is_paused { Fate::NotMade } else { Fate::Failed };
            self.settle(state, fate);
            self.end(state, CallEnd::Failed);
        }
    }
}

impl<C> Retry<C> {
    /// The budget hears of each call once, whoever shares it.
    #[inline]
    fn count_call<T, E>(&self, state: &mut RetryState<T, E>, turn: &mut Turn<'_, '_>) {
        if let Some(budget) = &self.budget {
            if turn.tally.budget != budget.id() {
                turn.tally.budget = budget.id();
                state.is_counted = true;
                budget.call_began();
            }
        }
    }

    #[inline]
    fn count_end(&self, end: CallEnd) {
        if let Some(budget) = &self.budget {
            budget.call_ended(end);
        }
    }

    /// What was paid for the attempt that is over, or that never began.
    fn settle<T, E>(&self, state: &mut RetryState<T, E>, fate: Fate) {
        let taken = state.trouble.as_mut().and_then(|trouble| trouble.taken.take());
        if let (Some(budget), Some(taken)) = (&self.budget, taken) {
            budget.settle(taken, fate);
        }
    }

    /// The call is over: the state is as new.
    fn end<T, E>(&self, state: &mut RetryState<T, E>, end: CallEnd) {
        let over = std::mem::replace(state, RetryState::new());
        if over.is_counted {
            self.count_end(end);
        }
    }

    /// After anything but a success at once: gives what the call ends with, or `None` if an attempt follows.
    #[cold]
    fn go_on<T, E>(
        &self,
        state: &mut RetryState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        class: Class,
        result: Result<T, Error<E>>,
    ) -> Option<Result<T, Error<E>>> {
        let after = match class {
            Class::Success => {
                let end = if state.number == 1 { CallEnd::AtOnce } else { CallEnd::Later };
                self.settle(state, Fate::Succeeded);
                self.end(state, end);
                return Some(result);
            }
            Class::Ignored if matches!(result, Err(Error::Rejected(_))) => {
                return self.refused(state, turn, at, result);
            }
            Class::Ignored => {
                self.settle(state, Fate::Failed);
                self.end(state, CallEnd::Failed);
                return Some(result);
            }
            Class::Permanent => {
                self.settle(state, Fate::Failed);
                return Some(self.give_up(state, turn, GiveUp::Permanent, result));
            }
            Class::After(after) => Some(after),
            Class::Failure | Class::Throttled => None,
        };
        self.settle(state, Fate::Failed);
        if let Some(budget) = &self.budget {
            budget.failed();
        }
        match self.plan(state, turn, at, after, &result) {
            Ok(pause) => {
                let attempt = state.number;
                state.number = attempt.saturating_add(1);
                let last = state.real(result);
                let trouble = state.trouble();
                trouble.last = Some(last);
                trouble.begin_pause(turn, pause);
                // Last, for whoever observes may panic.
                turn.tell(EventKind::Retry { attempt, delay: pause.delay });
                None
            }
            Err(reason) => Some(self.give_up(state, turn, reason, result)),
        }
    }

    /// The pause before the next attempt, paid for; or why there is none.
    fn plan<T, E>(
        &self,
        state: &mut RetryState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        after: Option<Duration>,
        result: &Result<T, Error<E>>,
    ) -> Result<Pause, GiveUp> {
        if state.number > self.retries {
            return Err(GiveUp::Exhausted);
        }
        if at.numbered(state.number.saturating_add(1)).amplification() > self.max_amplification {
            return Err(GiveUp::Amplified);
        }
        let progress = &mut state.trouble().progress;
        let backoff = self.backoff.next(progress, turn.clock());
        let delay = match after {
            None => backoff,
            Some(after) => {
                *progress = Default::default();
                self.backoff.capped(backoff.max(after))
            }
        };
        let pause = self.fit(state, turn, at, delay)?;
        if let Some(budget) = &self.budget {
            let want = match result {
                Err(Error::Timeout(_)) => Want::AfterTimeout,
                _ => Want::Attempt,
            };
            let Some(taken) = budget.take(want) else {
                turn.tell(EventKind::BudgetSpent);
                return Err(GiveUp::Budget);
            };
            state.trouble().taken = Some(taken);
        }
        Ok(pause)
    }

    /// A pause of that length, if the attempt after it begins in time.
    fn fit<T, E>(
        &self,
        state: &mut RetryState<T, E>,
        turn: &Turn<'_, '_>,
        at: Attempt,
        delay: Duration,
    ) -> Result<Pause, GiveUp> {
        let now = turn.clock().now();
        let earliest = &mut state.trouble().deadline;
        if let Some(deadline) = at.set_deadline() {
            *earliest = deadline.min(*earliest);
        }
        // A timer that does not run yet will run from now on at the latest.
        if let Some(left) = at.remaining() {
            *earliest = (now + left).min(*earliest);
        }
        let until = now + delay;
        // An attempt without any time is none.
        let needs = self.min_attempt_time.max(Duration::from_nanos(1));
        match *earliest != Instant::FAR_FUTURE && until + needs > *earliest {
            true => Err(GiveUp::Deadline),
            false => Ok(Pause { delay, until }),
        }
    }

    /// A policy further in refused the attempt: it was not made.
    fn refused<T, E>(
        &self,
        state: &mut RetryState<T, E>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        result: Result<T, Error<E>>,
    ) -> Option<Result<T, Error<E>>> {
        let mut reason = GiveUp::Refused;
        if let (true, Err(Error::Rejected(rejection))) = (self.wait_for_ready, &result) {
            if let Some(wait) = rejection.retry_after() {
                match self.fit(state, turn, at, wait.max(SHORTEST_WAIT)) {
                    Ok(pause) => {
                        // What was paid for this attempt is kept for it.
                        state.trouble().begin_pause(turn, pause);
                        turn.tell(EventKind::Retry { attempt: state.number, delay: pause.delay });
                        return None;
                    }
                    Err(why) => reason = why,
                }
            }
        }
        self.settle(state, Fate::NotMade);
        if state.number == 1 && reason == GiveUp::Refused {
            // It never came to a retry: the refusal was told by whoever refused.
            turn.tally.gave_up = Some(reason);
            self.end(state, CallEnd::Failed);
            return Some(result);
        }
        Some(self.give_up(state, turn, reason, result))
    }

    /// The last real error, and the why told.
    fn give_up<T, E>(
        &self,
        state: &mut RetryState<T, E>,
        turn: &mut Turn<'_, '_>,
        reason: GiveUp,
        result: Result<T, Error<E>>,
    ) -> Result<T, Error<E>> {
        turn.tally.gave_up = Some(reason);
        turn.tell(EventKind::GaveUp { attempts: state.number, reason });
        let last = state.real(result);
        self.end(state, CallEnd::Failed);
        last
    }
}

/// How long a pause is, and when it ends.
#[derive(Clone, Copy, Debug)]
struct Pause {
    delay: Duration,
    until: Instant,
}

impl<C> fmt::Debug for Retry<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("backoff", &self.backoff)
            .field("retries", &self.retries)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
