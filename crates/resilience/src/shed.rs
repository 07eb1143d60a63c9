//! [`Shed`]: turns away at the door what somebody says is not to go in.

use std::borrow::Borrow;
use std::fmt;
use std::task::{Poll, ready};

use weirs_limiters::{Denied, Priority, PriorityShedder};

use crate::stack::alone;
use crate::{
    Attempt, Chain, Error, Inner, Part, Plan, Policy, Reason, Role, Root, Scene, SingleShot, Stack,
    StackBuilder, Turn,
};

/// Shedding, alone: `shed(|_| shedder.admit(priority)).call(work)`.
///
/// # Examples
/// ```
/// use weirs_limiters::{Class, PriorityShedder};
/// use weirs_resilience::{Reason, shed};
/// use weirs_runtime::{Clock, block_on};
///
/// let shedder = PriorityShedder::new(Clock::default());
/// let robots = shed(|_| shedder.admit(Class::Background.into()));
/// assert_eq!(block_on(robots.call(async |_| Ok::<_, ()>(1))), Ok(1));
/// shedder.set_rate(1.0);
/// let refused = block_on(robots.call(async |_| Ok::<_, ()>(1)));
/// assert_eq!(refused.unwrap_err().rejected(), Some(Reason::Shed));
/// ```
pub fn shed<F: Fn(&Attempt) -> Result<(), Denied>>(admit: F) -> Stack<Chain<Root, Shed<F>>> {
    alone(Shed::new(admit))
}

impl<P: Part> StackBuilder<P> {
    /// Asks before each attempt that comes here whether it may go on, and never waits.
    ///
    /// It is for whatever turns away: a [`PriorityShedder`], a [`QueueDelay`](weirs_limiters::QueueDelay), or
    /// a function of your own. What is important is known per stack: make one stack for each class of calls,
    /// and let them share the shedder.
    pub fn shed<F>(self, admit: F) -> StackBuilder<Chain<P, Shed<F>>>
    where
        F: Fn(&Attempt) -> Result<(), Denied>,
    {
        self.policy(Shed::new(admit))
    }
}

/// Turns away whom a function turns away, before anything is begun.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use weirs_limiters::{Class, PriorityShedder};
/// use weirs_resilience::{Shed, Stack};
/// use weirs_runtime::Clock;
///
/// let shedder = Arc::new(PriorityShedder::new(Clock::default()));
/// let of = |class: Class| Shed::by_priority(Arc::clone(&shedder), class);
/// let people = Stack::builder().policy(of(Class::High)).build().unwrap();
/// let robots = Stack::builder().policy(of(Class::Background)).build().unwrap();
/// # let _ = (people, robots);
/// ```
#[derive(Clone, Copy)]
#[must_use = "it turns nobody away until it is in a stack"]
pub struct Shed<F> {
    admit: F,
}

impl<F: Fn(&Attempt) -> Result<(), Denied>> Shed<F> {
    /// What this function turns away.
    pub const fn new(admit: F) -> Self {
        Self { admit }
    }
}

impl Shed<()> {
    /// What this shedder turns away, at a fixed priority.
    pub fn by_priority<S: Borrow<PriorityShedder>>(
        shedder: S,
        priority: impl Into<Priority>,
    ) -> Shed<impl Fn(&Attempt) -> Result<(), Denied>> {
        let priority = priority.into();
        Shed::new(move |_: &Attempt| shedder.borrow().admit(priority))
    }
}

impl<F> SingleShot for Shed<F> {}

impl<F> Part for Shed<F> {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Shed, "shed").says("turns away what is less important");
    }
}

/// What a [`Shed`] remembers of one call.
#[derive(Debug, Default)]
pub struct ShedState {
    admitted: bool,
}

impl<T, E, F: Fn(&Attempt) -> Result<(), Denied>> Policy<T, E> for Shed<F> {
    type State = ShedState;

    #[inline(always)]
    fn begin(&self) -> ShedState {
        ShedState::default()
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut ShedState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        if !state.admitted {
            if let Err(denied) = (self.admit)(&at) {
                return Poll::Ready(Err(refuse(turn, &denied)));
            }
            state.admitted = true;
        }
        let result = ready!(inner.poll(turn, at));
        state.admitted = false;
        Poll::Ready(result)
    }

    #[inline]
    fn abandon(&self, state: &mut ShedState, _: Scene<'_>) {
        state.admitted = false;
    }
}

#[cold]
fn refuse<E>(turn: &Turn<'_, '_>, denied: &Denied) -> Error<E> {
    let reason = match denied {
        Denied::Throttled { .. } => Reason::Throttled,
        Denied::Closed => Reason::Closed,
        Denied::Later { .. } => Reason::RateLimited,
        _ => Reason::Shed,
    };
    turn.reject(reason, denied.retry_after())
}

impl<F> fmt::Debug for Shed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shed").finish_non_exhaustive()
    }
}
