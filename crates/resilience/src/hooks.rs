//! [`from_hooks`]: a policy that looks at beginnings and ends.

use std::fmt;
use std::marker::PhantomData;
use std::task::{Poll, ready};

use crate::{
    Attempt, Error, EventKind, Inner, Part, Place, Plan, Policy, Reason, Rejection, Role, Scene, SingleShot,
    Turn,
};

/// A policy from two closures: one that lets attempts begin, or refuses, and one that is told how they ended.
///
/// What `before` gives is handed to `after`, exactly once, however the attempt ends: also when it is dropped
/// half-way, or panics. If `before` refuses, there is no `after`. The policy runs what is inside once for
/// each time that it is run itself, so a stack with it still has [`call_once`](crate::Stack::call_once).
///
/// # Panics
/// A panic of a closure is passed on to the caller; after one of `before` there is no `after`.
///
/// # Examples
/// At most two at once, and a count of failures:
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use weirs_resilience::{Ended, Error, Reason, Stack, from_hooks};
/// use weirs_runtime::block_on;
///
/// let (running, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
/// let (busy, seen) = (running.clone(), failed.clone());
/// let policy = from_hooks(
///     move |_at| {
///         let more = |now| (now < 2).then_some(now + 1);
///         busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map_err(|_| Reason::Other.into())
///     },
///     move |_before: usize, ended: Ended<'_, (), &str>| {
///         running.fetch_sub(1, Ordering::Relaxed);
///         if let Ended::Done(Err(_)) = ended {
///             seen.fetch_add(1, Ordering::Relaxed);
///         }
///     },
/// );
/// let stack = Stack::builder().policy(policy).build().unwrap();
/// let result = block_on(stack.call(async |_| Err("broken")));
/// assert_eq!((result, failed.load(Ordering::Relaxed)), (Err(Error::Inner("broken")), 1));
/// ```
pub fn from_hooks<S, T, E, B, A>(before: B, after: A) -> Hooks<S, B, A>
where
    B: Fn(&Attempt) -> Result<S, Rejection>,
    A: Fn(S, Ended<'_, T, E>),
{
    Hooks { before, after, name: "hooks", state: PhantomData }
}

/// The policy of [`from_hooks`].
pub struct Hooks<S, B, A> {
    before: B,
    after: A,
    name: &'static str,
    state: PhantomData<fn() -> S>,
}

impl<S, B, A> Hooks<S, B, A> {
    /// A name, for plans.
    #[must_use = "the policy is given back"]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Ended<'r, T, E> {
    /// With this result, which goes on to the caller.
    Done(&'r Result<T, Error<E>>),
    /// It was dropped half-way.
    Abandoned,
    /// It panicked.
    Panicked,
}

/// A refusal of a policy of one's own; the stack fills in which policy it was.
impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::new(reason, Place::ALONE)
    }
}

/// What [`Hooks`] remember of one call.
#[derive(Debug)]
pub struct HooksState<S> {
    begun: Option<S>,
    /// While what is inside is polled: whoever finds it set was unwound by a panic.
    polls: bool,
}

impl<S, B, A> SingleShot for Hooks<S, B, A> {}

impl<S, B, A> Part for Hooks<S, B, A> {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Other, self.name).begins_once(true);
    }
}

impl<S, B, A> fmt::Debug for Hooks<S, B, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T, E, S, B, A> Policy<T, E> for Hooks<S, B, A>
where
    B: Fn(&Attempt) -> Result<S, Rejection>,
    A: Fn(S, Ended<'_, T, E>),
{
    type State = HooksState<S>;

    #[inline]
    fn begin(&self) -> HooksState<S> {
        HooksState { begun: None, polls: false }
    }

    #[inline]
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut HooksState<S>,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        if state.begun.is_none() {
            match (self.before)(&at) {
                Ok(begun) => state.begun = Some(begun),
                Err(refusal) => return Poll::Ready(Err(refuse(turn, refusal))),
            }
        }
        state.polls = true;
        let polled = inner.poll(turn, at);
        state.polls = false;
        let result = ready!(polled);
        if let Some(begun) = state.begun.take() {
            (self.after)(begun, Ended::Done(&result));
        }
        Poll::Ready(result)
    }

    fn abandon(&self, state: &mut HooksState<S>, _: Scene<'_>) {
        let panicked = std::mem::take(&mut state.polls);
        if let Some(begun) = state.begun.take() {
            (self.after)(begun, if panicked { Ended::Panicked } else { Ended::Abandoned });
        }
    }
}

#[cold]
fn refuse<E>(turn: &Turn<'_, '_>, refusal: Rejection) -> Error<E> {
    let (reason, retry_after) = (refusal.reason(), refusal.retry_after());
    turn.tell(EventKind::Rejected { reason, retry_after });
    Error::Rejected(Rejection::new(reason, turn.scene().place()).retry_after_of(retry_after))
}
