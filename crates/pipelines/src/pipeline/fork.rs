//! [`Merged`], [`Broadcast`]: pipelines that join and part.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use pin_project_lite::pin_project;
use weirs_channels_utils::{StreamUtil, Tee};

use super::flow::{AsStream, Flow};
use super::plan::{Blueprint, Check};
use super::site::Site;
use super::unprocessed::Left;
use crate::panics::{contain, let_go};

pin_project! {
    /// One of two flows.
    #[project = EitherProjection]
    pub(super) enum Either<L, R> {
        Left {
            #[pin]
            flow: L,
        },
        Right {
            #[pin]
            flow: R,
        },
    }
}

impl<L: Flow, R: Flow<Item = L::Item>> Flow for Either<L, R> {
    type Item = L::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<L::Item>> {
        match self.project() {
            EitherProjection::Left { flow } => flow.poll_next(cx),
            EitherProjection::Right { flow } => flow.poll_next(cx),
        }
    }

    fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        match self.project() {
            EitherProjection::Left { flow } => flow.poll_progress(cx),
            EitherProjection::Right { flow } => flow.poll_progress(cx),
        }
    }
}

/// Two pipelines that join, before they are assembled.
#[derive(Debug)]
pub struct Merged<A, B>(A, B);

impl<A, B> Merged<A, B> {
    pub(super) fn new(one: A, other: B) -> Self {
        Self(one, other)
    }
}

impl<A: Blueprint, B: Blueprint<Item = A::Item>> Blueprint for Merged<A, B> {
    type Item = A::Item;

    fn check(&self, check: &mut Check) {
        self.0.check(check);
        self.1.check(check);
    }

    fn assemble(self, site: Site) -> impl Flow<Item = A::Item> {
        let one = Some(self.0.assemble(site.clone()));
        Both { one, other: Some(self.1.assemble(site)), turn: false }
    }
}

pin_project! {
    /// Takes from the two in turn.
    struct Both<A, B> {
        #[pin]
        one: Option<A>,
        #[pin]
        other: Option<B>,
        // Whether the other one comes first.
        turn: bool,
    }
}

impl<A: Flow, B: Flow<Item = A::Item>> Flow for Both<A, B> {
    type Item = A::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<A::Item>> {
        let mut this = self.project();
        *this.turn = !*this.turn;
        for other in [*this.turn, !*this.turn] {
            let polled = match other {
                true => this.other.as_mut().as_pin_mut().map(|flow| flow.poll_next(cx)),
                false => this.one.as_mut().as_pin_mut().map(|flow| flow.poll_next(cx)),
            };
            match polled {
                Some(Poll::Ready(Some(item))) => return Poll::Ready(Some(item)),
                Some(Poll::Ready(None)) if other => this.other.set(None),
                Some(Poll::Ready(None)) => this.one.set(None),
                Some(Poll::Pending) | None => {}
            }
        }
        if this.one.is_none() && this.other.is_none() { Poll::Ready(None) } else { Poll::Pending }
    }

    fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let this = self.project();
        if let Some(one) = this.one.as_pin_mut() {
            one.poll_progress(cx);
        }
        if let Some(other) = this.other.as_pin_mut() {
            other.poll_progress(cx);
        }
    }
}

type Whole<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// Where a branch begins. It gets what comes to the fork.
pub struct Branch<T: Clone>(Arc<Mutex<Option<Tee<Whole<T>>>>>);

impl<T: Clone> Branch<T> {
    /// The end that puts something in, and the branch.
    fn new() -> (Self, Self) {
        let slot = Arc::default();
        (Self(Arc::clone(&slot)), Self(slot))
    }

    fn put(&self, tee: Tee<Whole<T>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tee);
    }
}

impl<T: Clone> fmt::Debug for Branch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Branch")
    }
}

impl<T: Clone + Send + 'static> Blueprint for Branch<T> {
    type Item = T;

    fn check(&self, _: &mut Check) {}

    fn assemble(self, site: Site) -> impl Flow<Item = T> {
        let tee = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Twig { tee, taken: 0, site }
    }
}

struct Twig<T: Clone + Send + 'static> {
    tee: Option<Tee<Whole<T>>>,
    taken: u64,
    site: Site,
}

impl<T: Clone + Send + 'static> Flow for Twig<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let polled = self.tee.as_mut().map_or(Poll::Ready(None), |tee| Pin::new(tee).poll_next(cx));
        self.taken += u64::from(matches!(polled, Poll::Ready(Some(_))));
        polled
    }

    fn poll_progress(self: Pin<&mut Self>, _: &mut Context<'_>) {}
}

impl<T: Clone + Send + 'static> Unpin for Twig<T> {}

impl<T: Clone + Send + 'static> Drop for Twig<T> {
    fn drop(&mut self) {
        let Some(mut tee) = self.tee.take() else { return };
        let mut cx = Context::from_waker(Waker::noop());
        // What waits for this branch is given before the source is asked.
        while tee.queued() > 0 {
            match contain(|| Pin::new(&mut tee).poll_next(&mut cx)) {
                Ok(Poll::Ready(Some(item))) => {
                    self.site.hand_back("broadcast", Left::Waiting, self.taken, item);
                    self.taken += 1;
                }
                Ok(_) => break,
                Err(payload) => let_go(payload),
            }
        }
    }
}

/// A pipeline that parts into two branches, before it is assembled.
pub struct Broadcast<B: Blueprint<Item: Clone>, L, R> {
    upstream: B,
    bound: usize,
    ends: [Branch<B::Item>; 2],
    branches: Merged<L, R>,
}

impl<B: Blueprint<Item: Clone>, L, R> Broadcast<B, L, R> {
    pub(super) fn new(
        upstream: B,
        bound: usize,
        left: impl FnOnce(Branch<B::Item>) -> L,
        right: impl FnOnce(Branch<B::Item>) -> R,
    ) -> Self {
        let ((one, first), (other, second)) = (Branch::new(), Branch::new());
        Self { upstream, bound, ends: [one, other], branches: Merged(left(first), right(second)) }
    }
}

impl<B, L, R> Blueprint for Broadcast<B, L, R>
where
    B: Blueprint<Item: Clone>,
    L: Blueprint,
    R: Blueprint<Item = L::Item>,
{
    type Item = L::Item;

    fn check(&self, check: &mut Check) {
        self.upstream.check(check);
        check.at_least_one(self.bound, "broadcast");
        self.branches.check(check);
    }

    fn assemble(self, site: Site) -> impl Flow<Item = L::Item> {
        let whole: Whole<B::Item> = Box::pin(AsStream::new(self.upstream.assemble(site.clone())));
        let bound = NonZeroUsize::new(self.bound).unwrap_or(NonZeroUsize::MIN);
        let tees: [_; 2] = whole.tee(bound);
        for (end, tee) in self.ends.iter().zip(tees) {
            end.put(tee);
        }
        self.branches.assemble(site)
    }
}

impl<B: Blueprint<Item: Clone>, L, R> fmt::Debug for Broadcast<B, L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("bound", &self.bound).finish_non_exhaustive()
    }
}
