//! [`Timeout`] and [`Deadline`]: limits of time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use weirs_runtime::{Instant, Sleep};

use crate::attempt::nanos;
use crate::stack::alone;
use crate::{
    Attempt, Chain, Error, EventKind, Failure, Inner, Invalid, Lane, Part, Plan, Policy, Reason, Role, Root,
    Scene, SingleShot, Stack, TimedOut, Turn,
};

/// A limit of time, alone: `timeout(limit).call(work)`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::timeout;
/// use weirs_runtime::block_on;
///
/// async fn never() -> Result<(), std::io::Error> {
///     std::future::pending().await
/// }
///
/// let result = block_on(timeout(Duration::from_millis(1)).call(async |_| never().await));
/// assert!(result.unwrap_err().is_timeout());
/// ```
pub fn timeout(after: Duration) -> Stack<Chain<Root, Timeout>> {
    alone(Timeout::new(after))
}

/// Drops what is inside when it takes too long.
///
/// The time counts from when somebody first has to wait: work that is ready at once costs no look at the
/// clock.
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    after: Duration,
    /// The same, reckoned once.
    nanos: u64,
}

impl Timeout {
    /// After so long. No time at all is a mistake, found by `build`; the one-line form refuses every call.
    pub const fn new(after: Duration) -> Self {
        Self { after, nanos: nanos(after) }
    }
}

impl Timeout {
    /// What is inside waits: for so long, and no longer. Whether the limit struck.
    #[cold]
    fn strikes<T, E, I: Inner<T, E> + ?Sized>(
        &self,
        timer: &mut Option<Sleep>,
        turn: &mut Turn<'_, '_>,
        lane: Lane,
        inner: &mut I,
    ) -> bool {
        let runs = timer.get_or_insert_with(|| turn.clock().sleep(self.after));
        if Pin::new(runs).poll(turn.context()).is_pending() {
            return false;
        }
        *timer = None;
        inner.cancel(turn.scene(), lane);
        turn.tell(EventKind::TimedOut { after: self.after });
        true
    }
}

impl SingleShot for Timeout {}

impl Part for Timeout {
    fn explain(&self, plan: &mut Plan) {
        let check = match self.after.is_zero() {
            true => Err(Invalid::new("timeout.after", "no time at all; nothing could ever be done")),
            false => Ok(()),
        };
        let ends = format!("ends it after {:?}", self.after);
        plan.part(Role::Timeout, "timeout")
            .says(format!("ends what takes {:?}", self.after))
            .limits(self.after)
            .on(Failure::Slow, ends.clone())
            .on(Failure::Hangs, ends)
            .check(check);
    }
}

impl<T, E> Policy<T, E> for Timeout {
    type State = Option<Sleep>;

    #[inline(always)]
    fn begin(&self) -> Option<Sleep> {
        None
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        timer: &mut Option<Sleep>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let at = match timer {
            Some(timer) => at.by(timer.deadline()),
            None => at.within_nanos(self.nanos),
        };
        // Nothing cold touches the result: it may stay in registers.
        let mut polled = inner.poll(turn, at);
        if polled.is_pending() {
            if self.strikes(timer, turn, at.lane(), inner) {
                let timed_out = TimedOut::new(self.after, turn.scene().place());
                polled = Poll::Ready(Err(Error::Timeout(timed_out)));
            }
        } else if timer.is_some() {
            *timer = None;
        }
        polled
    }

    #[inline]
    fn abandon(&self, timer: &mut Option<Sleep>, _: Scene<'_>) {
        *timer = None;
    }
}

/// Holds to the deadline of the call itself: it refuses when that has passed, and drops what is inside when
/// it comes.
///
/// A call without a deadline passes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline(());

impl Deadline {
    /// The deadline of each call.
    pub const fn new() -> Self {
        Self(())
    }
}

impl SingleShot for Deadline {}

impl Part for Deadline {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Timeout, "deadline")
            .says("ends what is over the call's deadline")
            .on(Failure::Slow, "ends it at the call's deadline, if there is one")
            .on(Failure::Hangs, "ends it at the call's deadline, if there is one");
    }
}

/// What a [`Deadline`] remembers of one call.
#[derive(Debug, Default)]
pub struct DeadlineState {
    began: Option<Instant>,
    timer: Option<Sleep>,
}

impl<T, E> Policy<T, E> for Deadline {
    type State = DeadlineState;

    #[inline(always)]
    fn begin(&self) -> DeadlineState {
        DeadlineState::default()
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut DeadlineState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        if state.began.is_none() {
            let Some(deadline) = at.set_deadline() else { return inner.poll(turn, at) };
            let now = turn.clock().now();
            if deadline <= now {
                return Poll::Ready(Err(turn.reject(Reason::Deadline, None)));
            }
            state.began = Some(now);
        }
        let polled = inner.poll(turn, at);
        if polled.is_ready() {
            *state = DeadlineState::default();
            return polled;
        }
        let (Some(began), Some(deadline)) = (state.began, at.set_deadline()) else { return Poll::Pending };
        let runs = state.timer.get_or_insert_with(|| turn.clock().sleep_until(deadline));
        ready!(Pin::new(runs).poll(turn.context()));
        *state = DeadlineState::default();
        inner.cancel(turn.scene(), at.lane());
        let after = deadline.saturating_since(began);
        turn.tell(EventKind::TimedOut { after });
        Poll::Ready(Err(Error::Timeout(TimedOut::new(after, turn.scene().place()))))
    }

    #[inline]
    fn abandon(&self, state: &mut DeadlineState, _: Scene<'_>) {
        *state = DeadlineState::default();
    }
}
