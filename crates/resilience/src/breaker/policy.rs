//! [`Guard`]: a breaker as a policy of a stack.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::call::RunState;
use super::{Breaker, BreakerCall};
use crate::sync::Ordering;
use crate::{
    Attempt, ByDefault, Chain, Classify, Error, Inner, Part, Plan, Policy, Role, Scene, SingleShot,
    StackBuilder, Turn,
};

/// A shared [`Breaker`] as a policy, with what an outcome means to it.
///
/// Made of a breaker by itself, or by [`Breaker::judging`].
#[derive(Clone, Debug)]
pub struct Guard<C = ByDefault> {
    breaker: Arc<Breaker>,
    judge: C,
}

impl<C> Guard<C> {
    pub(super) fn new(breaker: Arc<Breaker>, judge: C) -> Self {
        Self { breaker, judge }
    }

    /// The breaker.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// [`Breaker::call`], with this judge.
    ///
    /// # Waiting
    /// As `Breaker::call`.
    ///
    /// # Cancel safety
    /// As `Breaker::call`.
    ///
    /// # Panics
    /// As `Breaker::call`.
    ///
    /// # Errors
    /// As `Breaker::call`.
    pub fn call<T, E, Fut>(&self, work: Fut) -> BreakerCall<'_, Fut, C>
    where
        C: Classify<T, E>,
        Fut: Future<Output = Result<T, E>>,
    {
        BreakerCall::new(&self.breaker, &self.judge, work)
    }
}

impl From<Arc<Breaker>> for Guard {
    fn from(breaker: Arc<Breaker>) -> Self {
        Self::new(breaker, ByDefault)
    }
}

impl From<&Arc<Breaker>> for Guard {
    fn from(breaker: &Arc<Breaker>) -> Self {
        Self::new(Arc::clone(breaker), ByDefault)
    }
}

impl<P: Part> StackBuilder<P> {
    /// Refuses calls while the breaker's circuit is open. The breaker is shared with whoever else has it, and
    /// has its own clock.
    ///
    /// A limit of time belongs inside of it: what is dropped from outside counts as [`Abandoned`] says.
    ///
    /// [`Abandoned`]: crate::Abandoned
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::{Breaker, Stack};
    /// use weirs_runtime::block_on;
    ///
    /// let breaker = Breaker::consecutive(5).build().unwrap();
    /// let limit = Duration::from_secs(1);
    /// let stack = Stack::builder().breaker(&breaker).timeout(limit).build().unwrap();
    /// assert_eq!(block_on(stack.call(async |_| Ok::<_, ()>(1))), Ok(1));
    /// ```
    pub fn breaker<C>(self, breaker: impl Into<Guard<C>>) -> StackBuilder<Chain<P, Guard<C>>> {
        self.policy(breaker.into())
    }
}

impl Breaker {
    /// How old a call has to be for its drop to be a failure, if there is such an age.
    fn counts_dropped_after(&self) -> Option<Duration> {
        let (shape, slow_after) = (self.gate.shape(), self.slow_after.load(Ordering::Relaxed));
        match shape.drop_fails() {
            true => Some(Duration::ZERO),
            false => shape.is_by_age().then(|| Duration::from_nanos(slow_after)),
        }
    }
}

impl<C> SingleShot for Guard<C> {}

impl<C> Part for Guard<C> {
    fn explain(&self, plan: &mut Plan) {
        let name = match self.breaker.name() {
            "" => "breaker".to_owned(),
            name => format!("breaker {name}"),
        };
        let part = plan.part(Role::Breaker, name).says("refuses while the other side fails");
        if let Some(age) = self.breaker.counts_dropped_after() {
            part.counts_dropped_after(age);
        }
    }
}

/// What a [`Guard`] remembers of one call.
#[derive(Debug, Default)]
pub struct GuardState(RunState);

impl<T, E, C: Classify<T, E>> Policy<T, E> for Guard<C> {
    type State = GuardState;

    #[inline(always)]
    fn begin(&self) -> GuardState {
        GuardState::default()
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut GuardState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let GuardState(state) = state;
        if state.is_out() {
            match self.breaker.admit(false, Some(turn.scene())) {
                Ok(held) => state.enter(held),
                Err(refused) => {
                    let after = refused.after.map(Duration::from_nanos);
                    return Poll::Ready(Err(turn.reject(refused.reason, after)));
                }
            }
        }
        state.runs_work = true;
        // Looked at where it is: it is not copied.
        let polled = inner.poll(turn, at);
        state.runs_work = false;
        match &polled {
            Poll::Pending => state.waits(&self.breaker),
            Poll::Ready(result) => {
                state.runs_work = true;
                let class = self.judge.classify(result);
                state.runs_work = false;
                if let Some(held) = state.take() {
                    self.breaker.finish(held, class, Some(turn.scene()));
                }
            }
        }
        polled
    }

    #[inline]
    fn abandon(&self, state: &mut GuardState, scene: Scene<'_>) {
        let panicked = std::mem::take(&mut state.0.runs_work);
        if let Some(held) = state.0.take() {
            self.breaker.abandon(held, panicked, Some(scene));
        }
    }
}
