//! [`Limited`]: any limiter as a policy.

use std::fmt;
use std::task::{Poll, ready};
use std::time::Duration;

use weirs_limiters::{Denied, Grant, Limit, Outcome, Waiting};
use weirs_runtime::Instant;

use crate::policy::reaches;
use crate::stack::alone;
use crate::{
    Attempt, ByDefault, Chain, Class, Classify, Error, Inner, Invalid, Part, Plan, Policy, Reason, Role,
    Root, Scene, SingleShot, Stack, StackBuilder, Turn,
};

/// A limiter, alone: `limit(&limiter).call(work)`.
///
/// # Examples
/// ```
/// use weirs_limiters::{Quota, Rate, RateLimiter};
/// use weirs_resilience::limit;
/// use weirs_runtime::block_on;
///
/// let limiter = RateLimiter::new(Quota::new(Rate::per_second(100), 10).unwrap());
/// let stack = limit(&limiter);
/// assert_eq!(block_on(stack.call(async |_| Ok::<_, ()>(1))), Ok(1));
/// assert_eq!(limiter.available(), 9);
/// ```
pub fn limit<L: Limit>(limiter: L) -> Stack<Chain<Root, Limited<L>>> {
    alone(Limited::new(limiter))
}

impl<P: Part> StackBuilder<P> {
    /// Waits for a limiter: a semaphore, a limit that learns, the limit of a key, several as one, or one of
    /// your own. A reference, an [`Arc`](std::sync::Arc), or an `Arc<dyn Limit>` will do.
    ///
    /// [`Limited`] has more to set: put it in with [`policy`](StackBuilder::policy).
    pub fn limit<L: Limit>(self, limiter: L) -> StackBuilder<Chain<P, Limited<L>>> {
        self.policy(Limited::new(limiter))
    }

    /// The same for a rate. The difference is in the plan, and in the reason when too many wait already:
    /// [`Reason::RateLimited`].
    pub fn rate_limit<L: Limit>(self, limiter: L) -> StackBuilder<Chain<P, Limited<L>>> {
        self.policy(Limited::rate(limiter))
    }
}

/// Lets the call go when a limiter admits it, and tells the limiter how it ended.
///
/// It asks first, and waits if the answer is no. It waits no longer than the attempt has time: a wait that a
/// rate limiter knows to be too long does not begin.
///
/// | the call ended | the limiter hears |
/// |---|---|
/// | before the work began: refused, served further in, dropped | [`Outcome::Unused`]: a rate has it back |
/// | with [`Class::Success`] | [`Outcome::Success`] |
/// | with [`Class::Throttled`] or [`Class::After`], or by a limit of time | [`Outcome::Overload`] |
/// | with another error, or dropped | [`Outcome::Ignore`] |
///
/// The limiter hears it after the work has been dropped.
///
/// # Waiting
/// As the limiter does.
///
/// # Cancel safety
/// Dropped in the wait, nothing was charged; dropped before the work began, it is given back.
///
/// # Errors
/// [`Error::Rejected`] with [`Reason::RateLimited`], [`Reason::BulkheadFull`] when as many are at work or
/// wait as may, [`Reason::Deadline`] when the attempt has too little time, [`Reason::Closed`],
/// [`Reason::TooLarge`], or whatever else the limiter says. With `retry_after` if the limiter knows it.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use weirs_limiters::{AdaptiveLimiter, Limit};
/// use weirs_resilience::{Limited, Stack};
/// use weirs_runtime::block_on;
///
/// let limiter: Arc<dyn Limit> = Arc::new(AdaptiveLimiter::new());
/// let patient = Limited::new(limiter).wait_at_most(Duration::from_millis(50));
/// let stack = Stack::builder().timeout(Duration::from_secs(1)).policy(patient).build().unwrap();
/// assert_eq!(block_on(stack.call(async |_| Ok::<_, ()>(1))), Ok(1));
/// ```
#[must_use = "it limits nothing until it is in a stack"]
pub struct Limited<L, C = ByDefault> {
    limiter: L,
    cost: u64,
    patience: Patience,
    judge: C,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// As long as the attempt has time.
    Attempt,
    AtMost(Duration),
    None,
}

impl<L: Limit> Limited<L> {
    /// One of this limiter for each call.
    pub fn new(limiter: L) -> Self {
        Self::with_role(limiter, Role::Bulkhead)
    }

    /// One of this rate for each call.
    pub fn rate(limiter: L) -> Self {
        Self::with_role(limiter, Role::RateLimit)
    }

    /// A [`Throttle`](weirs_limiters::Throttle), which turns away because the other side refuses. It never
    /// waits, and any failure but a [`Class::Permanent`] one counts as a refusal.
    pub fn throttling(limiter: L) -> Self {
        Self::with_role(limiter, Role::Throttle).without_waiting()
    }

    fn with_role(limiter: L, role: Role) -> Self {
        Self { limiter, cost: 1, patience: Patience::Attempt, judge: ByDefault, role }
    }
}

impl<L: Limit, C> Limited<L, C> {
    /// So much for each call.
    pub fn cost(mut self, cost: u64) -> Self {
        self.cost = cost;
        self
    }

    /// Never waits: whoever is not admitted at once is refused.
    pub fn without_waiting(mut self) -> Self {
        self.patience = Patience::None;
        self
    }

    /// Waits for so long at most, and no longer than the attempt has time.
    pub fn wait_at_most(mut self, limit: Duration) -> Self {
        self.patience = Patience::AtMost(limit);
        self
    }

    /// What an outcome means; [`ByDefault`] without it.
    pub fn judging<D>(self, judge: D) -> Limited<L, D> {
        Limited { limiter: self.limiter, cost: self.cost, patience: self.patience, judge, role: self.role }
    }

    /// Until when to wait, in the limiter's time, and whether that is for want of patience.
    #[cold]
    fn until(&self, turn: &Turn<'_, '_>, at: Attempt) -> Option<(Instant, bool)> {
        let clock = turn.clock();
        let left = at.deadline(clock).map(|deadline| deadline.saturating_since(clock.now()));
        let (wait, impatient) = match (self.patience, left) {
            (Patience::AtMost(patience), None) => (patience, true),
            (Patience::AtMost(patience), Some(left)) => (patience.min(left), patience < left),
            (_, Some(left)) => (left, false),
            (_, None) => return None,
        };
        Some((self.limiter.clock().now() + wait, impatient))
    }

    /// A refusal in the words of this crate.
    #[cold]
    fn refuse<E>(&self, turn: &Turn<'_, '_>, denied: &Denied, impatient: bool) -> Error<E> {
        let full = match self.role {
            Role::RateLimit => Reason::RateLimited,
            _ => Reason::BulkheadFull,
        };
        let late = if impatient { full } else { Reason::Deadline };
        let reason = match denied {
            Denied::Later { .. } if denied.is_temporary() => Reason::RateLimited,
            // A limit of nothing at all.
            Denied::Later { .. } => Reason::Closed,
            Denied::WouldMissDeadline { .. } if impatient => Reason::RateLimited,
            Denied::WouldMissDeadline { .. } | Denied::DeadlinePassed => late,
            Denied::Busy { .. } => Reason::BulkheadFull,
            Denied::QueueFull { .. } => full,
            Denied::TooLarge { .. } => Reason::TooLarge,
            Denied::Shed { .. } | Denied::Stale { .. } => Reason::Shed,
            Denied::Throttled { .. } => Reason::Throttled,
            Denied::Closed => Reason::Closed,
            _ => Reason::Other,
        };
        turn.reject(reason, denied.retry_after())
    }

    /// What the limiter hears of an outcome.
    fn outcome<T, E>(&self, result: &Result<T, Error<E>>) -> Outcome
    where
        C: Classify<T, E>,
    {
        match self.judge.classify(result) {
            Class::Success => Outcome::Success,
            Class::Throttled | Class::After(_) => Outcome::Overload,
            // It was no refusal: the other side looked at it.
            Class::Permanent if self.role == Role::Throttle => Outcome::Success,
            Class::Failure if self.role == Role::Throttle => Outcome::Overload,
            Class::Failure if matches!(result, Err(Error::Timeout(_))) => Outcome::Overload,
            _ => Outcome::Ignore,
        }
    }
}

impl<L, C> SingleShot for Limited<L, C> {}

impl<L: Limit, C> Part for Limited<L, C> {
    fn explain(&self, plan: &mut Plan) {
        let name = match self.role {
            Role::RateLimit => "rate limit",
            Role::Throttle => "throttle",
            _ => "limit",
        };
        let wait = match self.patience {
            _ if self.role == Role::Throttle => "spares a server that refuses".into(),
            Patience::Attempt => "waits as long as there is time".into(),
            Patience::AtMost(limit) => format!("waits for at most {limit:?}"),
            Patience::None => "does not wait".into(),
        };
        let cost = if self.cost == 1 { String::new() } else { format!("; a call costs {}", self.cost) };
        let check = match self.cost {
            0 => Err(Invalid::new("limit.cost", "a call that costs nothing is not limited")),
            _ => Ok(()),
        };
        plan.part(self.role, name).says(wait + &cost).gives_back(true).check(check);
    }
}

/// What a [`Limited`] remembers of one call.
#[derive(Debug, Default)]
pub struct LimitedState {
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    New,
    /// In a box: most calls never wait, and all are smaller by it.
    Waits(Box<Wait>),
    Holds {
        grant: Grant,
        /// Whether the work began: until then it can be taken back.
        began: bool,
    },
}

#[derive(Debug)]
struct Wait {
    waiting: Waiting,
    /// Whether its deadline is for want of patience.
    impatient: bool,
}

impl<L: Limit, C> Limited<L, C> {
    /// Admitted, or not, or it goes on waiting.
    #[inline]
    fn poll_admitted<E>(
        &self,
        stage: &mut Stage,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
    ) -> Poll<Result<Grant, Error<E>>> {
        if let Stage::New = stage {
            match self.limiter.try_acquire_at(self.limiter.clock().now(), self.cost) {
                Ok(grant) => return Poll::Ready(Ok(grant)),
                Err(denied) => match self.begin_wait(turn, at, &denied) {
                    Ok(waits) => *stage = waits,
                    Err(error) => return Poll::Ready(Err(error)),
                },
            }
        }
        self.poll_wait(stage, turn)
    }

    #[cold]
    fn begin_wait<E>(&self, turn: &Turn<'_, '_>, at: Attempt, denied: &Denied) -> Result<Stage, Error<E>> {
        // To ask a second time would change the odds.
        let is_over = !matches!(denied, Denied::Later { .. } | Denied::Busy { .. });
        if is_over || self.patience == Patience::None {
            return Err(self.refuse(turn, denied, true));
        }
        let waiting = Waiting::new(self.cost);
        Ok(Stage::Waits(Box::new(match self.until(turn, at) {
            Some((deadline, impatient)) => Wait { waiting: waiting.by(deadline), impatient },
            None => Wait { waiting, impatient: false },
        })))
    }

    #[cold]
    fn poll_wait<E>(&self, stage: &mut Stage, turn: &mut Turn<'_, '_>) -> Poll<Result<Grant, Error<E>>> {
        let Stage::Waits(wait) = stage else { unreachable!("it waits") };
        let result = ready!(self.limiter.poll_acquire(&mut wait.waiting, turn.context()));
        let impatient = wait.impatient;
        *stage = Stage::New;
        Poll::Ready(result.map_err(|denied| self.refuse(turn, &denied, impatient)))
    }
}

impl<T, E, L: Limit, C: Classify<T, E>> Policy<T, E> for Limited<L, C> {
    type State = LimitedState;

    #[inline(always)]
    fn begin(&self) -> LimitedState {
        LimitedState::default()
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut LimitedState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let stage = &mut state.stage;
        let (grant, before) = match stage {
            Stage::Holds { grant, began } => (*grant, *began),
            _ => match ready!(self.poll_admitted(stage, turn, at)) {
                Ok(grant) => (grant, false),
                Err(error) => return Poll::Ready(Err(error)),
            },
        };
        // If it panics, it began.
        *stage = Stage::Holds { grant, began: true };
        let (polled, reached) = reaches(turn, |turn| inner.poll(turn, at));
        let began = before || reached;
        match polled {
            Poll::Pending => {
                *stage = Stage::Holds { grant, began };
                Poll::Pending
            }
            Poll::Ready(result) => {
                *stage = Stage::New;
                // The limiter is to have it back, also if the judge panics.
                let mut end = End { limited: self, grant, outcome: Outcome::Ignore };
                end.outcome = if began { self.outcome(&result) } else { Outcome::Unused };
                drop(end);
                Poll::Ready(result)
            }
        }
    }

    fn abandon(&self, state: &mut LimitedState, _: Scene<'_>) {
        match std::mem::take(&mut state.stage) {
            Stage::New => {}
            Stage::Waits(mut wait) => self.limiter.cancel(&mut wait.waiting),
            Stage::Holds { grant, began: false } => self.limiter.release(grant, Outcome::Unused),
            // Whoever asked a server that hangs gives up: it was asked, and did not answer.
            Stage::Holds { grant, began: true } if self.role == Role::Throttle => {
                self.limiter.release(grant, Outcome::Overload);
            }
            Stage::Holds { grant, began: true } => self.limiter.release(grant, Outcome::Ignore),
        }
    }
}

/// Gives a grant back.
struct End<'l, L: Limit, C> {
    limited: &'l Limited<L, C>,
    grant: Grant,
    outcome: Outcome,
}

impl<L: Limit, C> Drop for End<'_, L, C> {
    #[inline]
    fn drop(&mut self) {
        self.limited.limiter.release(self.grant, self.outcome);
    }
}

impl<L, C> fmt::Debug for Limited<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited")
            .field("role", &self.role)
            .field("cost", &self.cost)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
