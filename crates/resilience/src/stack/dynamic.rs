//! [`Dynamic`]: a chain of policies whose types are gone, so that it can be put together while the program
//! runs.

mod builder;
mod erased;
mod frame;

use std::any::Any;
use std::fmt;
use std::task::Poll;

pub use builder::DynamicBuilder;
use erased::{Erased, Nest, Rest};
use frame::{Frame, Pool};

use super::SingleShot;
use crate::{Attempt, Error, Inner, Lane, Part, Plan, Policy, Scene, Turn};

/// Policies of whatever types, from the outside in; made by [`Stack::dynamic`](crate::Stack::dynamic).
///
/// It has one type whatever is in it, so that a stack of it can be a field, and its policies can come from a
/// configuration: `Stack<Dynamic<T, E>>`. The price is one indirect call for each policy, and that the
/// results' types are fixed. The work's own future is no more boxed than elsewhere.
///
/// What the policies remember of a call lives on the machine's stack while nobody has to wait. A call that
/// has to wait borrows a frame from the stack for it, and gives it back at its end: so that calls allocate
/// nothing once there are as many frames as calls that wait at the same time.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Dynamic, Stack};
/// use weirs_runtime::block_on;
///
/// struct Client {
///     stack: Stack<Dynamic<usize, std::io::Error>>,
/// }
///
/// let mut policies = Stack::dynamic();
/// for limit in [Duration::from_secs(2), Duration::from_secs(1)] {
///     policies = policies.layer(|layer| layer.timeout(limit));
/// }
/// let client = Client { stack: policies.build().unwrap() };
/// assert_eq!(block_on(client.stack.call(async |_| Ok(1))).unwrap(), 1);
/// ```
pub struct Dynamic<T, E> {
    policies: Vec<Box<dyn Erased<T, E>>>,
    pool: Pool,
}

impl<T, E> Dynamic<T, E> {
    fn new() -> Self {
        Self { policies: Vec::new(), pool: Pool::default() }
    }

    fn push<Q>(&mut self, policy: Q)
    where
        Q: Policy<T, E> + Send + Sync + 'static,
        Q::State: Send + 'static,
    {
        self.policies.push(Box::new(policy));
    }
}

/// What a [`Dynamic`] remembers of one call.
#[derive(Debug, Default)]
pub struct DynamicState {
    frame: Option<Frame>,
}

impl<T, E> Part for Dynamic<T, E> {
    fn explain(&self, plan: &mut Plan) {
        self.policies.iter().for_each(|policy| policy.explain(plan));
    }
}

impl<T, E> Policy<T, E> for Dynamic<T, E> {
    type State = DynamicState;

    #[inline]
    fn begin(&self) -> DynamicState {
        DynamicState { frame: None }
    }

    #[inline]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut DynamicState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        let mut leaf = Leaf(inner);
        let mut nest = Nest {
            policies: &self.policies,
            rest: Rest::Loose { frame: &mut state.frame, index: 0, pool: &self.pool },
            leaf: &mut leaf,
        };
        let polled = nest.poll_as_outermost(turn, at);
        if polled.is_ready() {
            self.give_back(state);
        }
        polled
    }

    fn abandon(&self, state: &mut DynamicState, scene: Scene<'_>) {
        if let Some(frame) = &mut state.frame {
            if let (Some(policy), Some(slot)) = (self.policies.first(), frame.slots().first_mut()) {
                policy.abandon_first(slot, scene);
            }
        }
        self.give_back(state);
    }

    fn cancel_inner<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut DynamicState,
        scene: Scene<'_>,
        lane: Lane,
        inner: &mut I,
    ) {
        let mut leaf = Leaf(inner);
        let mut nest = Nest {
            policies: &self.policies,
            rest: Rest::Loose { frame: &mut state.frame, index: 0, pool: &self.pool },
            leaf: &mut leaf,
        };
        nest.cancel_inside_outermost(scene, lane);
    }
}

impl<T, E> Dynamic<T, E> {
    #[inline]
    fn give_back(&self, state: &mut DynamicState) {
        if let Some(frame) = state.frame.take() {
            self.pool.put(frame);
        }
    }
}

impl<T, E> fmt::Debug for Dynamic<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dynamic").field("plan", &Plan::of(self)).finish_non_exhaustive()
    }
}

/// A [`Dynamic`] with no policy that may begin the work twice, for [`call_once`](crate::Stack::call_once);
/// made by [`build_single_shot`](DynamicBuilder::build_single_shot).
#[derive(Debug)]
pub struct DynamicOnce<T, E>(Dynamic<T, E>);

impl<T, E> SingleShot for DynamicOnce<T, E> {}

impl<T, E> Part for DynamicOnce<T, E> {
    fn explain(&self, plan: &mut Plan) {
        self.0.explain(plan);
    }
}

impl<T, E> Policy<T, E> for DynamicOnce<T, E> {
    type State = DynamicState;

    #[inline]
    fn begin(&self) -> DynamicState {
        DynamicState { frame: None }
    }

    #[inline]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut DynamicState,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        self.0.poll_call(state, turn, at, inner)
    }

    fn abandon(&self, state: &mut DynamicState, scene: Scene<'_>) {
        Policy::abandon(&self.0, state, scene);
    }

    fn cancel_inner<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut DynamicState,
        scene: Scene<'_>,
        lane: Lane,
        inner: &mut I,
    ) {
        self.0.cancel_inner(state, scene, lane, inner);
    }
}

/// What is inside all of them, of whatever type; only a type of known size becomes a `dyn`.
struct Leaf<'l, I: ?Sized>(&'l mut I);

impl<T, E, I: Inner<T, E> + ?Sized> Inner<T, E> for Leaf<'_, I> {
    #[inline]
    fn poll(&mut self, turn: &mut Turn<'_, '_>, at: Attempt) -> Poll<Result<T, Error<E>>> {
        self.0.poll(turn, at)
    }

    fn cancel(&mut self, scene: Scene<'_>, lane: Lane) {
        self.0.cancel(scene, lane);
    }

    fn keep_panic(&mut self, payload: Box<dyn Any + Send>) {
        self.0.keep_panic(payload);
    }
}
