//! [`FallBack`]: another answer that has to be waited for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::stack::Start;
use crate::{Call, CallOnce, Error, EventKind, Policy, Scene};

impl<'p, P, S, W, Fut, T, E> Call<'p, P, S, W, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    W: Start<Fut>,
    Fut: Future<Output = Result<T, E>>,
{
    /// Asks somebody else when the call failed; all of the call has been dropped by then.
    ///
    /// The closure gets the error, and gives it back if it knows no answer. It stands outside the whole
    /// stack, so no limit of time holds for it: call it through a stack of its own if it needs one.
    ///
    /// # Waiting
    /// As long as the call, and then as long as the other.
    ///
    /// # Cancel safety
    /// Whichever of the two runs is dropped.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::timeout;
    /// use weirs_runtime::block_on;
    ///
    /// let stack = timeout(Duration::from_secs(1));
    /// let replica = timeout(Duration::from_secs(1));
    /// let answer = stack
    ///     .call(async |_| Err("the first server is broken"))
    ///     .fall_back(async |_| replica.call(async |_| Ok("the second answers")).await);
    /// assert_eq!(block_on(answer), Ok("the second answers"));
    /// ```
    pub fn fall_back<F, Other>(self, other: F) -> FallBack<'p, Self, F, Other>
    where
        F: FnOnce(Error<E>) -> Other,
        Other: Future<Output = Result<T, Error<E>>>,
    {
        FallBack { scene: self.scene(), other: Some(other), stage: Stage::Call { call: self } }
    }
}

impl<'p, P, S, Fut, T, E> CallOnce<'p, P, S, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    Fut: Future<Output = Result<T, E>>,
{
    /// Asks somebody else when the call failed; see [`Call::fall_back`].
    pub fn fall_back<F, Other>(self, other: F) -> FallBack<'p, Self, F, Other>
    where
        F: FnOnce(Error<E>) -> Other,
        Other: Future<Output = Result<T, Error<E>>>,
    {
        FallBack { scene: self.scene(), other: Some(other), stage: Stage::Call { call: self } }
    }
}

pin_project! {
    /// The future of [`Call::fall_back`].
    #[must_use = "a call does nothing unless it is awaited"]
    pub struct FallBack<'p, C, F, Other> {
        scene: Scene<'p>,
        other: Option<F>,
        #[pin]
        stage: Stage<C, Other>,
    }
}

pin_project! {
    #[project = StageProject]
    enum Stage<C, Other> {
        Call { #[pin] call: C },
        Other { #[pin] other: Other },
        Done,
    }
}

impl<T, E, C, F, Other> Future for FallBack<'_, C, F, Other>
where
    C: Future<Output = Result<T, Error<E>>>,
    F: FnOnce(Error<E>) -> Other,
    Other: Future<Output = Result<T, Error<E>>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProject::Call { call } => {
                    let result = ready!(call.poll(cx));
                    // Whatever the call borrowed is free before somebody else is asked.
                    this.stage.set(Stage::Done);
                    let error = match result {
                        Ok(answer) => return Poll::Ready(Ok(answer)),
                        Err(error) => error,
                    };
                    let other = this.other.take().expect("a call ends once");
                    this.stage.set(Stage::Other { other: other(error) });
                }
                StageProject::Other { other } => {
                    let result = ready!(other.poll(cx));
                    this.stage.set(Stage::Done);
                    if result.is_ok() {
                        this.scene.tell(EventKind::FellBack);
                    }
                    return Poll::Ready(result);
                }
                StageProject::Done => panic!("it is not polled after its end"),
            }
        }
    }
}

impl<C, F, Other> fmt::Debug for FallBack<'_, C, F, Other> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallBack").field("called", &self.other.is_none()).finish_non_exhaustive()
    }
}
