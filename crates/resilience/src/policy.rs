//! [`Policy`]: one layer of a stack, and what it sees of the call.

mod degradation;
mod lanes;
mod lint;
mod plan;
mod turn;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Poll;

pub use degradation::{Degradation, Failure, Step};
pub(crate) use lanes::Lanes;
pub use lint::{Lint, LintKind};
pub use plan::{Part, PartPlan, Plan, Role};
pub use turn::{Place, Scene, Turn};
pub(crate) use turn::{Tally, reaches};

use crate::{Attempt, Error, Lane};

/// A layer of a stack: it may refuse, wait, limit, repeat or replace what is inside.
///
/// It is a function that polls. The [state](Policy::State) of a call is plain data that the call owns; the
/// policy itself is shared by all calls. So a stack of policies is one future without a box, and it is
/// `Send` whatever the closure borrows. Who rather writes `async` finds `from_async`, and who only looks at
/// beginnings and ends finds `from_hooks`.
///
/// # Rules for implementors
/// 1. After [`begin`](Policy::begin), and after each time that `poll_call` was ready, nothing is held: the
///    state is as new, and a poll after that begins another round.
/// 2. Whoever has polled `inner` and no longer wants what runs there calls [`Inner::cancel`] before it is
///    ready.
/// 3. [`abandon`](Policy::abandon) gives back all that the state holds. It comes when the call is dropped in
///    the middle, or cancelled from further out; what is inside has been dropped by then.
/// 4. Nothing is held across user code: not in `inner`, and not in the observer.
///
/// # Examples
/// Refuse in the night:
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::task::Poll;
/// use weirs_resilience::{Attempt, Error, Inner, Part, Plan, Policy, Reason, Role, Scene, Stack, Turn};
/// use weirs_runtime::block_on;
///
/// struct ByDay(AtomicBool);
///
/// impl Part for ByDay {
///     fn explain(&self, plan: &mut Plan) {
///         plan.part(Role::Other, "by day").says("refuses in the night");
///     }
/// }
///
/// impl<T, E> Policy<T, E> for ByDay {
///     type State = ();
///     fn begin(&self) {}
///
///     fn poll_call<I: Inner<T, E> + ?Sized>(
///         &self,
///         _: &mut (),
///         turn: &mut Turn<'_, '_>,
///         at: Attempt,
///         inner: &mut I,
///     ) -> Poll<Result<T, Error<E>>> {
///         match self.0.load(Ordering::Relaxed) {
///             true => inner.poll(turn, at),
///             false => Poll::Ready(Err(turn.reject(Reason::Other, None))),
///         }
///     }
///
///     fn abandon(&self, _: &mut (), _: Scene<'_>) {}
/// }
///
/// let stack = Stack::builder().policy(ByDay(AtomicBool::new(false))).build().unwrap();
/// let refused = block_on(stack.call(async |_| Ok::<_, ()>("good day")));
/// assert_eq!(refused.unwrap_err().rejected(), Some(Reason::Other));
/// ```
pub trait Policy<T, E>: Part {
    /// What it remembers of one call.
    type State;

    /// The state of a call that has not begun.
    fn begin(&self) -> Self::State;

    /// Goes on with a call.
    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut Self::State,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>>;

    /// The call ends in the middle: gives back what it holds. In a state that holds nothing it does nothing.
    fn abandon(&self, state: &mut Self::State, scene: Scene<'_>);

    /// Cancels what runs inside, in `lane`. Only a policy that runs several attempts at the same time has
    /// more to do than this does.
    fn cancel_inner<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut Self::State,
        scene: Scene<'_>,
        lane: Lane,
        inner: &mut I,
    ) {
        let _ = state;
        inner.cancel(scene, lane);
    }
}

/// What is inside a policy: the policies further in, and then the work.
///
/// It may be started again and again, and several times at once: each attempt that runs beside others has a
/// [lane](Attempt::lane) of its own, from [`Turn::new_lane`].
pub trait Inner<T, E> {
    /// Goes on with the attempt in the lane of `at`, or begins one if none runs there.
    fn poll(&mut self, turn: &mut Turn<'_, '_>, at: Attempt) -> Poll<Result<T, Error<E>>>;

    /// Drops the attempt in that lane, from the inside out. Without one it does nothing.
    fn cancel(&mut self, scene: Scene<'_>, lane: Lane);

    /// Keeps the panic of somebody who gave back, until all have given back. The first one counts.
    #[doc(hidden)]
    fn keep_panic(&mut self, payload: Box<dyn Any + Send>) {
        resume_unwind(payload);
    }
}

/// Drops what is inside, and then gives back what the policy holds: a panic of one keeps nobody further out
/// from giving back, and is heard of after that.
pub(crate) fn leave<T, E, P: Policy<T, E> + ?Sized, I: Inner<T, E> + ?Sized>(
    policy: &P,
    state: &mut P::State,
    scene: Scene<'_>,
    lane: Lane,
    inner: &mut I,
) {
    let cancelled = catch_unwind(AssertUnwindSafe(|| policy.cancel_inner(state, scene, lane, inner)));
    let abandoned = catch_unwind(AssertUnwindSafe(|| policy.abandon(state, scene)));
    for payload in [cancelled, abandoned].into_iter().filter_map(Result::err) {
        inner.keep_panic(payload);
    }
}
