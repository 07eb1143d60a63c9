//! [`from_async`]: a policy that is written as an async function.

mod cell;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cell::Cell;

use crate::{
    Attempt, Error, Inner, Lane, Part, Plan, Policy, Reason, Rejection, Role, Scene, SingleShot, Turn,
};

/// A policy that is written as an async function: it may wait, run what is inside with `next.run(at)`, look
/// at the result, and run it again.
///
/// One run at a time. Its future is boxed for each call, which is two allocations; a policy for the happy
/// path of a busy server is better written as a [`Policy`]. The calls are `Send` if the function's future is.
///
/// # Waiting
/// As long as the function waits.
///
/// # Cancel safety
/// When the call is dropped, what runs inside is dropped first, then the function's future. A run that the
/// function itself drops, as the loser of a race, ends when the function next waits or returns: not before
/// the next line, but before anybody else sees it.
///
/// # Panics
/// A panic of the function is passed on to the caller.
///
/// # Errors
/// Whatever the function gives. To refuse, it gives [`Error::Rejected`]; the place in it is filled in.
///
/// # Examples
/// Three attempts, a millisecond apart:
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Error, Stack, from_async};
/// use weirs_runtime::{Clock, block_on};
///
/// let clock = Clock::default();
/// let thrice = from_async(move |mut next, at| {
///     let clock = clock.clone();
///     async move {
///         for number in 1..3 {
///             match next.run(at.numbered(number)).await {
///                 Err(Error::Inner(_)) => clock.sleep(Duration::from_millis(1)).await,
///                 result => return result,
///             }
///         }
///         next.run(at.numbered(3)).await
///     }
/// });
/// let stack = Stack::builder().policy(thrice).build().unwrap();
/// let result = block_on(stack.call(async |at| if at.number() == 3 { Ok("at last") } else { Err(()) }));
/// assert_eq!(result, Ok("at last"));
/// ```
pub fn from_async<T, E, F, Fut>(policy: F) -> AsyncPolicy<F, Next<T, E>>
where
    F: Fn(Next<T, E>, Attempt) -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    AsyncPolicy { policy, name: "async policy", next: PhantomData }
}

/// [`from_async`] for a function that runs what is inside once at most; so a stack with it still has
/// [`call_once`](crate::Stack::call_once).
///
/// # Examples
/// ```
/// use weirs_resilience::{Stack, from_async_once};
/// use weirs_runtime::block_on;
///
/// let doubled = from_async_once(|next, at| async move { Ok(2 * next.run(at).await?) });
/// let stack = Stack::builder().policy(doubled).build().unwrap();
/// assert_eq!(block_on(stack.call_once(async { Ok::<_, ()>(21) })), Ok(42));
/// ```
pub fn from_async_once<T, E, F, Fut>(policy: F) -> AsyncPolicy<F, NextOnce<T, E>>
where
    F: Fn(NextOnce<T, E>, Attempt) -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    AsyncPolicy { policy, name: "async policy", next: PhantomData }
}

/// The policy of [`from_async`] and [`from_async_once`].
pub struct AsyncPolicy<F, N> {
    policy: F,
    name: &'static str,
    next: PhantomData<fn(N)>,
}

impl<F, N> AsyncPolicy<F, N> {
    /// A name, for plans.
    #[must_use = "the policy is given back"]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }
}

impl<F, N> fmt::Debug for AsyncPolicy<F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncPolicy").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F, T, E> Part for AsyncPolicy<F, Next<T, E>> {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Other, self.name);
    }
}

impl<F, T, E> Part for AsyncPolicy<F, NextOnce<T, E>> {
    fn explain(&self, plan: &mut Plan) {
        plan.part(Role::Other, self.name).begins_once(true);
    }
}

impl<F, T, E> SingleShot for AsyncPolicy<F, NextOnce<T, E>> {}

/// What is inside, to be run again and again; given to the function of [`from_async`].
pub struct Next<T, E>(Arc<Cell<T, E>>);

impl<T, E> Next<T, E> {
    /// Runs what is inside, as that attempt.
    ///
    /// # Waiting
    /// As long as that takes. Lazy: nothing happens before the first poll.
    ///
    /// # Cancel safety
    /// Dropped, what runs is dropped; see [`from_async`].
    ///
    /// # Errors
    /// Of what is inside; and [`Reason::Closed`] when the call is over, for whoever kept this.
    pub fn run(&mut self, at: Attempt) -> Run<'_, T, E> {
        Run { running: Running::new(Arc::clone(&self.0), at), next: PhantomData }
    }
}

impl<T, E> fmt::Debug for Next<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

/// What is inside, to be run once; given to the function of [`from_async_once`].
pub struct NextOnce<T, E>(Arc<Cell<T, E>>);

impl<T, E> NextOnce<T, E> {
    /// Runs what is inside, as that attempt; see [`Next::run`].
    pub fn run(self, at: Attempt) -> RunOnce<T, E> {
        RunOnce { running: Running::new(self.0, at) }
    }
}

impl<T, E> fmt::Debug for NextOnce<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextOnce").finish_non_exhaustive()
    }
}

/// The future of [`Next::run`].
#[must_use = "nothing runs unless it is awaited"]
pub struct Run<'n, T, E> {
    running: Running<T, E>,
    next: PhantomData<&'n mut ()>,
}

impl<T, E> Future for Run<'_, T, E> {
    type Output = Result<T, Error<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.running.poll(cx)
    }
}

impl<T, E> fmt::Debug for Run<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("begun", &self.running.number.is_some()).finish_non_exhaustive()
    }
}

/// The future of [`NextOnce::run`].
#[must_use = "nothing runs unless it is awaited"]
pub struct RunOnce<T, E> {
    running: Running<T, E>,
}

impl<T, E> Future for RunOnce<T, E> {
    type Output = Result<T, Error<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.running.poll(cx)
    }
}

impl<T, E> fmt::Debug for RunOnce<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOnce").field("begun", &self.running.number.is_some()).finish_non_exhaustive()
    }
}

/// One run, as the function sees it.
struct Running<T, E> {
    cell: Arc<Cell<T, E>>,
    at: Attempt,
    /// Once it was wished for, until it is over.
    number: Option<u64>,
}

impl<T, E> Running<T, E> {
    fn new(cell: Arc<Cell<T, E>>, at: Attempt) -> Self {
        Self { cell, at, number: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Error<E>>> {
        let polled = match self.number {
            None => self.cell.wish(self.at, cx.waker()).map(|number| self.number = Some(number)),
            Some(number) => match self.cell.poll(number, cx.waker()) {
                Ok(Poll::Pending) => Ok(()),
                Ok(Poll::Ready(result)) => {
                    self.number = None;
                    return Poll::Ready(result);
                }
                Err(closed) => Err(closed),
            },
        };
        match polled {
            Ok(()) => Poll::Pending,
            Err(cell::Closed) => Poll::Ready(Err(Error::Rejected(Rejection::from(Reason::Closed)))),
        }
    }
}

impl<T, E> Drop for Running<T, E> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.cell.unwish(number);
        }
    }
}

/// What an [`AsyncPolicy`] remembers of one call.
pub struct AsyncState<T, E, Fut>(Option<Active<T, E, Fut>>);

struct Active<T, E, Fut> {
    /// The run whose work is begun.
    running: Option<(u64, Lane)>,
    future: Pin<Box<Fut>>,
    // It comes after the function: then only runs that were given away are still there to be told.
    cell: Open<T, E>,
}

/// Dropped, it tells whoever kept a run that the call is over.
struct Open<T, E>(Arc<Cell<T, E>>);

impl<T, E> Drop for Open<T, E> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T, E, Fut> AsyncState<T, E, Fut> {
    fn end(&mut self) {
        if let Some(active) = self.0.take() {
            // The call need not be woken of runs that end with it.
            active.cell.0.attend();
        }
    }
}

impl<T, E, Fut> fmt::Debug for AsyncState<T, E, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncState").field("begun", &self.0.is_some()).finish_non_exhaustive()
    }
}

impl<T, E, F, Fut> Policy<T, E> for AsyncPolicy<F, Next<T, E>>
where
    F: Fn(Next<T, E>, Attempt) -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    type State = AsyncState<T, E, Fut>;

    fn begin(&self) -> Self::State {
        AsyncState(None)
    }

    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut Self::State,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        poll(state, turn, inner, |cell| (self.policy)(Next(cell), at))
    }

    fn abandon(&self, state: &mut Self::State, _: Scene<'_>) {
        state.end();
    }
}

impl<T, E, F, Fut> Policy<T, E> for AsyncPolicy<F, NextOnce<T, E>>
where
    F: Fn(NextOnce<T, E>, Attempt) -> Fut,
    Fut: Future<Output = Result<T, Error<E>>>,
{
    type State = AsyncState<T, E, Fut>;

    fn begin(&self) -> Self::State {
        AsyncState(None)
    }

    fn poll_call<I: Inner<T, E> + ?Sized>(
        &self,
        state: &mut Self::State,
        turn: &mut Turn<'_, '_>,
        at: Attempt,
        inner: &mut I,
    ) -> Poll<Result<T, Error<E>>> {
        poll(state, turn, inner, |cell| (self.policy)(NextOnce(cell), at))
    }

    fn abandon(&self, state: &mut Self::State, _: Scene<'_>) {
        state.end();
    }
}

/// The function and what is inside take turns: the function says what it wishes, and is polled again when
/// that is there.
fn poll<T, E, Fut, I>(
    state: &mut AsyncState<T, E, Fut>,
    turn: &mut Turn<'_, '_>,
    inner: &mut I,
    begin: impl FnOnce(Arc<Cell<T, E>>) -> Fut,
) -> Poll<Result<T, Error<E>>>
where
    Fut: Future<Output = Result<T, Error<E>>>,
    I: Inner<T, E> + ?Sized,
{
    let active = state.0.get_or_insert_with(|| {
        let cell = Arc::new(Cell::new());
        let future = Box::pin(begin(Arc::clone(&cell)));
        Active { running: None, future, cell: Open(cell) }
    });
    loop {
        active.cell.0.attend();
        let polled = active.future.as_mut().poll(turn.context());
        let wish = active.cell.0.wished(turn.context().waker(), polled.is_pending());
        if let Some((number, lane)) = active.running {
            if polled.is_ready() || wish.is_none_or(|(wished, _)| wished != number) {
                active.running = None;
                inner.cancel(turn.scene(), lane);
            }
        }
        if let Poll::Ready(result) = polled {
            state.0 = None;
            return Poll::Ready(result.map_err(|error| placed(error, turn)));
        }
        let Some((number, at)) = wish else { return Poll::Pending };
        active.running = Some((number, at.lane()));
        let Poll::Ready(result) = inner.poll(turn, at) else { return Poll::Pending };
        active.running = None;
        active.cell.0.fulfil(number, result, turn.context().waker());
    }
}

/// With the place of this policy, if it is its own refusal.
fn placed<E>(error: Error<E>, turn: &Turn<'_, '_>) -> Error<E> {
    match error {
        Error::Rejected(own) if own.place() == crate::Place::ALONE => {
            turn.reject(own.reason(), own.retry_after())
        }
        error => error,
    }
}
