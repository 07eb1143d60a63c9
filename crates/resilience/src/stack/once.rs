//! [`CallOnce`]: a call whose work can run only once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use weirs_runtime::Instant;

use super::leaf::Start;
use super::{Call, Stack};
use crate::{Attempt, Error, Policy, Scene};

/// Policies that begin the work once at most: all but retries and hedges.
///
/// # Examples
/// A policy of your own says so:
/// ```
/// # use std::task::Poll;
/// # use weirs_resilience::{Attempt, Error, Inner, Part, Plan, Policy, Role, Scene, SingleShot, Stack, Turn};
/// struct Mine;
/// # impl Part for Mine {
/// #     fn explain(&self, plan: &mut Plan) {
/// #         plan.part(Role::Other, "mine").begins_once(true);
/// #     }
/// # }
/// # impl<T, E> Policy<T, E> for Mine {
/// #     type State = ();
/// #     fn begin(&self) {}
/// #     fn poll_call<I: Inner<T, E> + ?Sized>(
/// #         &self,
/// #         _: &mut (),
/// #         turn: &mut Turn<'_, '_>,
/// #         at: Attempt,
/// #         inner: &mut I,
/// #     ) -> Poll<Result<T, Error<E>>> {
/// #         inner.poll(turn, at)
/// #     }
/// #     fn abandon(&self, _: &mut (), _: Scene<'_>) {}
/// # }
/// impl SingleShot for Mine {}
///
/// let stack = Stack::builder().policy(Mine).build().unwrap();
/// let call = stack.call_once(async { Ok::<_, ()>(1) });
/// # assert_eq!(weirs_runtime::block_on(call), Ok(1));
/// ```
/// Without that it does not compile:
/// ```compile_fail,E0277
/// # use std::task::Poll;
/// # use weirs_resilience::{Attempt, Error, Inner, Part, Plan, Policy, Role, Scene, SingleShot, Stack, Turn};
/// struct Mine;
/// # impl Part for Mine {
/// #     fn explain(&self, plan: &mut Plan) {
/// #         plan.part(Role::Other, "mine").begins_once(true);
/// #     }
/// # }
/// # impl<T, E> Policy<T, E> for Mine {
/// #     type State = ();
/// #     fn begin(&self) {}
/// #     fn poll_call<I: Inner<T, E> + ?Sized>(
/// #         &self,
/// #         _: &mut (),
/// #         turn: &mut Turn<'_, '_>,
/// #         at: Attempt,
/// #         inner: &mut I,
/// #     ) -> Poll<Result<T, Error<E>>> {
/// #         inner.poll(turn, at)
/// #     }
/// #     fn abandon(&self, _: &mut (), _: Scene<'_>) {}
/// # }
/// let stack = Stack::builder().policy(Mine).build().unwrap();
/// let call = stack.call_once(async { Ok::<_, ()>(1) });
/// ```
#[diagnostic::on_unimplemented(
    message = "this stack may begin its work more than once, which `call_once` cannot do",
    note = "a retry or a hedge is in it: use `call` with a closure that makes the future anew"
)]
pub trait SingleShot {}

/// Work that runs already.
#[derive(Debug)]
pub struct Once;

impl<Fut> Start<Fut> for Once {
    fn start(&mut self, _: Attempt) -> Fut {
        unreachable!("a policy that says it is `SingleShot` began its work twice")
    }
}

pin_project! {
    /// The future of [`Stack::call_once`].
    #[must_use = "a call does nothing unless it is awaited"]
    pub struct CallOnce<'p, P, S, Fut, T, E>
    where
        P: Policy<T, E, State = S>,
        Fut: Future<Output = Result<T, E>>,
    {
        #[pin]
        call: Call<'p, P, S, Once, Fut, T, E>,
    }
}

impl<'p, P, S, Fut, T, E> CallOnce<'p, P, S, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    Fut: Future<Output = Result<T, E>>,
{
    pub(crate) fn new(stack: &'p Stack<P>, work: Fut) -> Self {
        Self { call: Call::new(stack, Once, Some(work)) }
    }

    /// The same as a part of another attempt; see [`Call::under`].
    pub fn under(mut self, outer: Attempt) -> Self {
        self.call = self.call.under(outer);
        self
    }

    /// The same with a deadline of its own; see [`Call::by`].
    pub fn by(mut self, deadline: Instant) -> Self {
        self.call = self.call.by(deadline);
        self
    }

    pub(crate) fn scene(&self) -> Scene<'p> {
        self.call.scene()
    }
}

impl<P, S, Fut, T, E> Future for CallOnce<'_, P, S, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(cx)
    }
}

impl<P, S, Fut, T, E> fmt::Debug for CallOnce<'_, P, S, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    Fut: Future<Output = Result<T, E>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallOnce").field("call", &self.call).finish()
    }
}
