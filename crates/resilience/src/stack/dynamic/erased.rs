//! [`Erased`]: a policy whose type is gone.

use std::any::Any;
use std::task::Poll;

use super::frame::{Frame, Pool, Slot};
use crate::policy::leave;
use crate::{Attempt, Error, Inner, Lane, Part, Policy, Scene, Turn};

/// A policy of whatever type, and states of whatever type.
///
/// By rule 1 of a [`Policy`], its state is as new whenever a poll was ready. So a poll that begins a round
/// may do with a fresh state on the machine's stack, and only if it is pending is the state to be kept.
pub(super) trait Erased<T, E>: Part + Send + Sync {
    /// Begins a round with a state on the machine's stack; it goes into a frame if the round is not over.
    fn poll_loose(&self, turn: &mut Turn<'_, '_>, at: Attempt, inner: Nest<'_, T, E>) -> Outcome<T, E>;

    /// Goes on with the state in the slot.
    fn poll_kept(
        &self,
        slot: &mut Slot,
        lane: Lane,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: Nest<'_, T, E>,
    ) -> Outcome<T, E>;

    /// Cancels what is inside, in that lane.
    fn cancel_inside(&self, slot: &mut Slot, scene: Scene<'_>, lane: Lane, inner: Nest<'_, T, E>);

    /// Cancels what is inside in that lane, and the policy's own part of it.
    fn cancel(&self, slot: &mut Slot, scene: Scene<'_>, lane: Lane, inner: Nest<'_, T, E>);

    /// Abandons what the outermost remembers; that is in the first lane, whatever the attempt's is.
    fn abandon_first(&self, slot: &mut Slot, scene: Scene<'_>);
}

pub(super) type Outcome<T, E> = Poll<Result<T, Error<E>>>;

impl<T, E, Q> Erased<T, E> for Q
where
    Q: Policy<T, E> + Send + Sync,
    Q::State: Send + 'static,
{
    fn poll_loose(&self, turn: &mut Turn<'_, '_>, at: Attempt, inner: Nest<'_, T, E>) -> Outcome<T, E> {
        let mut loose = Loose { state: Some(self.begin()), inner };
        let Some(state) = &mut loose.state else { unreachable!("it was put in just now") };
        let polled = self.poll_call(state, turn, at, &mut loose.inner);
        if polled.is_ready() {
            loose.state = None;
        }
        polled
    }

    fn poll_kept(
        &self,
        slot: &mut Slot,
        lane: Lane,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        mut inner: Nest<'_, T, E>,
    ) -> Outcome<T, E> {
        let state = slot.lane(lane, || self.begin());
        self.poll_call(state, turn, at, &mut inner)
    }

    fn cancel_inside(&self, slot: &mut Slot, scene: Scene<'_>, lane: Lane, mut inner: Nest<'_, T, E>) {
        let state = slot.lane(Lane::FIRST, || self.begin());
        self.cancel_inner(state, scene, lane, &mut inner);
    }

    fn cancel(&self, slot: &mut Slot, scene: Scene<'_>, lane: Lane, mut inner: Nest<'_, T, E>) {
        let Some(lanes) = slot.used() else { return inner.cancel(scene, lane) };
        lanes.leave(lane, |state| leave(self, state, scene, lane, &mut inner));
    }

    fn abandon_first(&self, slot: &mut Slot, scene: Scene<'_>) {
        if let Some(lanes) = slot.used() {
            self.abandon(lanes.first_mut(), scene);
        }
    }
}

/// A state on the machine's stack. Whatever ends the poll before it is ready, a panic too, the state is
/// kept.
struct Loose<'n, S: Send + 'static, T, E> {
    state: Option<S>,
    inner: Nest<'n, T, E>,
}

impl<S: Send + 'static, T, E> Drop for Loose<'_, S, T, E> {
    #[inline]
    fn drop(&mut self) {
        // Asked first: nothing is copied where nothing is there.
        if self.state.is_some() {
            if let Some(state) = self.state.take() {
                self.inner.keep_outer(state);
            }
        }
    }
}

/// What is inside a policy: the policies further in, their states, and then what is inside all of them.
pub(super) struct Nest<'n, T, E> {
    pub(super) policies: &'n [Box<dyn Erased<T, E>>],
    pub(super) rest: Rest<'n>,
    pub(super) leaf: &'n mut dyn Inner<T, E>,
}

/// A policy, its slot, and what is inside.
type Split<'s, T, E> = (&'s dyn Erased<T, E>, &'s mut Slot, Nest<'s, T, E>);

/// The states of the policies further in.
pub(super) enum Rest<'n> {
    /// In a frame, from that index on; as long as nobody waits there is none.
    Loose { frame: &'n mut Option<Frame>, index: usize, pool: &'n Pool },
    /// In these slots.
    Kept(&'n mut [Slot]),
}

impl<T, E> Nest<'_, T, E> {
    /// Polls the first of the policies with the state of the first lane.
    #[inline]
    pub(super) fn poll_as_outermost(&mut self, turn: &mut Turn<'_, '_>, at: Attempt) -> Outcome<T, E> {
        self.poll_in(Lane::FIRST, turn, at)
    }

    /// Cancels what is inside the first of the policies, but not that one itself.
    pub(super) fn cancel_inside_outermost(&mut self, scene: Scene<'_>, lane: Lane) {
        match self.split() {
            Some((policy, slot, inner)) => policy.cancel_inside(slot, scene, lane, inner),
            None => self.leaf.cancel(scene, lane),
        }
    }

    /// Polls the first of the policies with the state of that lane.
    #[inline]
    fn poll_in(&mut self, lane: Lane, turn: &mut Turn<'_, '_>, at: Attempt) -> Outcome<T, E> {
        let Some((policy, policies)) = self.policies.split_first() else {
            return self.leaf.poll(turn, at);
        };
        match &mut self.rest {
            Rest::Loose { frame, index, pool } if frame.is_none() && lane == Lane::FIRST => {
                let rest = Rest::Loose { frame, index: *index + 1, pool };
                policy.poll_loose(turn, at, Nest { policies, rest, leaf: self.leaf })
            }
            rest => {
                let (slot, slots) = rest.frame(self.policies.len());
                let inner = Nest { policies, rest: Rest::Kept(slots), leaf: self.leaf };
                policy.poll_kept(slot, lane, turn, at, inner)
            }
        }
    }

    /// The first of the policies, its slot and what is inside; nothing if nothing waits.
    #[inline]
    fn split(&mut self) -> Option<Split<'_, T, E>> {
        let (policy, policies) = self.policies.split_first()?;
        let slots = match &mut self.rest {
            Rest::Kept(slots) => slots,
            Rest::Loose { frame, index, .. } => &mut frame.as_mut()?.slots()[*index..],
        };
        let (slot, slots) = slots.split_first_mut().expect("each policy has a slot");
        let rest = Rest::Kept(slots);
        Some((&**policy, slot, Nest { policies, rest, leaf: self.leaf }))
    }

    /// Keeps the state of the policy that this is inside of.
    #[cold]
    fn keep_outer<S: Send + 'static>(&mut self, state: S) {
        let Rest::Loose { index, .. } = self.rest else { unreachable!("it is loose only inside loose ones") };
        let (slots, policies) = (index - 1, self.policies.len());
        self.rest.all(policies)[slots].keep(state);
    }
}

impl<'n> Rest<'n> {
    /// All slots of the frame, which is taken from the pool if there was none; so many policies are inside.
    fn all(&mut self, policies: usize) -> &mut [Slot] {
        match self {
            Self::Kept(slots) => slots,
            Self::Loose { frame, index, pool } => {
                frame.get_or_insert_with(|| pool.take(*index + policies)).slots()
            }
        }
    }

    /// The first slot, and those after it.
    fn frame(&mut self, policies: usize) -> (&mut Slot, &mut [Slot]) {
        let from = match self {
            Self::Kept(_) => 0,
            Self::Loose { index, .. } => *index,
        };
        self.all(policies)[from..].split_first_mut().expect("each policy has a slot")
    }
}

impl<T, E> Inner<T, E> for Nest<'_, T, E> {
    #[inline]
    fn poll(&mut self, turn: &mut Turn<'_, '_>, at: Attempt) -> Poll<Result<T, Error<E>>> {
        self.poll_in(at.lane(), turn, at)
    }

    fn cancel(&mut self, scene: Scene<'_>, lane: Lane) {
        match self.split() {
            Some((policy, slot, inner)) => policy.cancel(slot, scene, lane, inner),
            None => self.leaf.cancel(scene, lane),
        }
    }

    fn keep_panic(&mut self, payload: Box<dyn Any + Send>) {
        self.leaf.keep_panic(payload);
    }
}
