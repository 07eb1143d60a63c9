//! [`Chain`]: a policy inside others. The composition happens on the machine's stack, at each poll.

use std::any::Any;
use std::task::Poll;

use super::SingleShot;
use crate::policy::{Lanes, leave};
use crate::{Attempt, Error, Inner, Lane, Part, Place, Plan, Policy, Scene, Turn};

/// The policies so far, and one more inside them.
#[derive(Clone, Debug)]
pub struct Chain<A, B> {
    outer: A,
    inner: B,
    place: Place,
}

impl<A, B> Chain<A, B> {
    pub(crate) fn new(outer: A, inner: B, place: Place) -> Self {
        Self { outer, inner, place }
    }
}

/// What a [`Chain`] remembers of one call.
#[derive(Debug)]
pub struct ChainState<A, B> {
    outer: A,
    inner: Lanes<B>,
}

impl<A: Part, B: Part> Part for Chain<A, B> {
    fn explain(&self, plan: &mut Plan) {
        self.outer.explain(plan);
        self.inner.explain(plan);
    }
}

impl<A: SingleShot, B: SingleShot> SingleShot for Chain<A, B> {}

impl<T, E, A: Policy<T, E>, B: Policy<T, E>> Policy<T, E> for Chain<A, B> {
    type State = ChainState<A::State, B::State>;

    #[inline(always)]
    fn begin(&self) -> Self::State {
        ChainState { outer: self.outer.begin(), inner: Lanes::new(self.inner.begin()) }
    }

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut Self::State,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let mut nest = Nest { policy: &self.inner, place: self.place, states: &mut state.inner, inner };
        self.outer.poll_call(&mut state.outer, turn, at, &mut nest)
    }

    #[inline]
    fn abandon(&self, state: &mut Self::State, scene: Scene<'_>) {
        self.outer.abandon(&mut state.outer, scene);
    }

    #[inline]
    fn cancel_inner<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut Self::State,
        scene: Scene<'_>,
        lane: Lane,
        inner: &mut I,
    ) {
        let mut nest = Nest { policy: &self.inner, place: self.place, states: &mut state.inner, inner };
        self.outer.cancel_inner(&mut state.outer, scene, lane, &mut nest);
    }
}

/// The inner policy with all that is inside it, as the outer one sees it.
struct Nest<'n, S, B, I: ?Sized> {
    policy: &'n B,
    place: Place,
    states: &'n mut Lanes<S>,
    inner: &'n mut I,
}

impl<T, E, B: Policy<T, E>, I: Inner<T, E> + ?Sized> Inner<T, E> for Nest<'_, B::State, B, I> {
    #[inline(always)]
    fn poll(&mut self, turn: &mut Turn<'_, '_>, at: Attempt) -> Poll<Result<T, Error<E>>> {
        let state = self.states.get_or_begin(at.lane(), || self.policy.begin());
        let outer = std::mem::replace(&mut turn.scene.place, self.place);
        let polled = self.policy.poll_call(state, turn, at, self.inner);
        turn.scene.place = outer;
        polled
    }

    #[inline]
    fn cancel(&mut self, scene: Scene<'_>, lane: Lane) {
        let scene = scene.at(self.place);
        let (policy, inner) = (self.policy, &mut *self.inner);
        self.states.leave(lane, |state| leave(policy, state, scene, lane, inner));
    }

    fn keep_panic(&mut self, payload: Box<dyn Any + Send>) {
        self.inner.keep_panic(payload);
    }
}

/// No policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Root;

impl Part for Root {
    fn explain(&self, _: &mut Plan) {}
}

impl SingleShot for Root {}

impl<T, E> Policy<T, E> for Root {
    type State = ();

    #[inline(always)]
    fn begin(&self) {}

    #[inline(always)]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        _: &mut (),
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        inner.poll(turn, at)
    }

    #[inline]
    fn abandon(&self, _: &mut (), _: Scene<'_>) {}
}
