//! [`Call`]: one call through a stack.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use weirs_runtime::{Clock, Instant};

use super::Stack;
use super::leaf::{Leaf, LeafRef, Start};
use crate::policy::{Tally, leave};
use crate::{Attempt, Error, Lane, Place, Policy, Scene, Turn};

pin_project! {
    /// The future of [`Stack::call`].
    #[must_use = "a call does nothing unless it is awaited"]
    pub struct Call<'p, P, S, W, Fut, T, E>
    where
        P: Policy<T, E, State = S>,
        W: Start<Fut>,
        Fut: Future<Output = Result<T, E>>,
    {
        stack: &'p Stack<P>,
        // Only of a call that has to wait: until then it is on the machine's stack, and is never moved.
        state: Option<S>,
        #[pin]
        leaf: Leaf<W, Fut>,
        at: Attempt,
        // From the first poll on: what is made there is not moved with the call.
        tally: Option<Tally>,
        stage: Stage,
        result: PhantomData<fn() -> (T, E)>,
    }

    impl<'p, P, S, W, Fut, T, E> PinnedDrop for Call<'p, P, S, W, Fut, T, E>
    where
        P: Policy<T, E, State = S>,
        W: Start<Fut>,
        Fut: Future<Output = Result<T, E>>,
    {
        fn drop(this: Pin<&mut Self>) {
            if this.stage == Stage::Runs {
                this.dropped();
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Runs,
    Done,
}

impl<'p, P, S, W, Fut, T, E> Call<'p, P, S, W, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    W: Start<Fut>,
    Fut: Future<Output = Result<T, E>>,
{
    #[inline(always)]
    pub(crate) fn new(stack: &'p Stack<P>, work: W, first: Option<Fut>) -> Self {
        Self {
            stack,
            state: None,
            leaf: Leaf::new(work, first),
            at: Attempt::first(),
            tally: None,
            stage: Stage::New,
            result: PhantomData,
        }
    }

    /// It is dropped in the middle.
    #[cold]
    fn dropped(self: Pin<&mut Self>) {
        let this = self.project();
        let scene = Scene { around: &this.stack.around, place: Place::ALONE };
        let policy = &this.stack.policy;
        let mut leaf = LeafRef::new(this.leaf);
        if let Some(state) = this.state {
            leave(policy, state, scene, Lane::FIRST, &mut leaf);
        }
        if let Some(calls) = &this.stack.around.calls {
            calls.dropped(this.tally.unwrap_or_default().attempts);
        }
        leaf.resume_panic();
    }

    /// The same as a part of another attempt: it inherits the deadline, and its retries know how many stand
    /// above.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_resilience::timeout;
    /// use weirs_runtime::block_on;
    ///
    /// let (gateway, store) = (timeout(Duration::from_secs(1)), timeout(Duration::from_secs(9)));
    /// let left = block_on(gateway.call(async |at| {
    ///     store.call(async |inner| Ok::<_, ()>(inner.remaining())).under(at).await
    /// }));
    /// assert_eq!(left.unwrap(), Some(Duration::from_secs(1)));
    /// ```
    pub fn under(mut self, outer: Attempt) -> Self {
        self.at = outer.nested();
        self
    }

    /// The same with a deadline of its own: limits, queues and retries inside heed it, and a
    /// [`deadline`](crate::StackBuilder::deadline) in the stack enforces it.
    pub fn by(mut self, deadline: Instant) -> Self {
        self.at = self.at.by(deadline);
        self
    }

    /// What is counted of the call so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.unwrap_or_default()
    }

    pub(crate) fn clock(&self) -> &'p Clock {
        self.stack.clock()
    }

    /// The stack itself, outside its policies.
    pub(crate) fn scene(&self) -> Scene<'p> {
        Scene { around: &self.stack.around, place: Place::ALONE }
    }
}

impl<P, S, W, Fut, T, E> Future for Call<'_, P, S, W, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    W: Start<Fut>,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    // Always: a result that comes back from a function is written in parts and read as a whole, which stalls.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if *this.stage != Stage::Runs {
            assert!(*this.stage == Stage::New, "it is not polled after its end");
            if let Err(error) = this.stack.refuse_if_invalid() {
                *this.stage = Stage::Done;
                return Poll::Ready(Err(error));
            }
            *this.stage = Stage::Runs;
            if let Some(calls) = &this.stack.around.calls {
                calls.begun();
            }
        }
        let scene = Scene { around: &this.stack.around, place: Place::ALONE };
        let tally = this.tally.get_or_insert_default();
        let mut turn = Turn { cx, scene, tally };
        let mut leaf = LeafRef::new(this.leaf);
        let (policy, at) = (&this.stack.policy, *this.at);
        let polled = match this.state {
            Some(state) => policy.poll_call(state, &mut turn, at, &mut leaf),
            none => {
                let mut loose = Loose { state: Some(policy.begin()), kept: none };
                let Some(state) = &mut loose.state else { unreachable!("it was put in just now") };
                let polled = policy.poll_call(state, &mut turn, at, &mut leaf);
                if polled.is_ready() {
                    loose.state = None;
                }
                polled
            }
        };
        leaf.resume_panic();
        if let Poll::Ready(result) = &polled {
            *this.stage = Stage::Done;
            if let Some(calls) = &this.stack.around.calls {
                calls.ended(result.is_ok(), turn.tally.attempts);
            }
        }
        polled
    }
}

/// A state on the machine's stack. Whatever ends the poll before it is ready, a panic too, the state is kept
/// in the call.
struct Loose<'c, S> {
    state: Option<S>,
    kept: &'c mut Option<S>,
}

impl<S> Drop for Loose<'_, S> {
    #[inline(always)]
    fn drop(&mut self) {
        // Asked first: nothing is copied where nothing is there.
        if self.state.is_some() {
            *self.kept = self.state.take();
        }
    }
}

impl<P, S, W, Fut, T, E> fmt::Debug for Call<'_, P, S, W, Fut, T, E>
where
    P: Policy<T, E, State = S>,
    W: Start<Fut>,
    Fut: Future<Output = Result<T, E>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("stage", &self.stage).field("tally", &self.tally).finish_non_exhaustive()
    }
}
