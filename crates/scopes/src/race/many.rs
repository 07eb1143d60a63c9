//! Races over arrays and `Vec`s.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Branches, Contest, Order};
use crate::many::Many;
use crate::panics::FirstPanic;

impl<F: IntoFuture, const N: usize> Branches for [F; N] {
    type Output = (usize, F::Output);
    type Contest = OfArray<F::IntoFuture>;

    fn into_contest(self, order: Order) -> Self::Contest {
        const { assert!(N > 0, "a race of nobody has no winner") };
        OfArray(contest(self, order))
    }
}

impl<F: IntoFuture> Branches for Vec<F> {
    type Output = Option<(usize, F::Output)>;
    type Contest = OfVec<F::IntoFuture>;

    fn into_contest(self, order: Order) -> Self::Contest {
        OfVec(contest(self, order))
    }
}

fn contest<F: IntoFuture>(futures: impl IntoIterator<Item = F>, order: Order) -> Many<F::IntoFuture> {
    let futures = futures.into_iter().map(IntoFuture::into_future);
    Many::new(futures, |slots| order.arrange(slots))
}

/// A race over an array.
pub struct OfArray<F>(Many<F>);

/// A race over a `Vec`.
pub struct OfVec<F>(Many<F>);

impl<F: Future> Contest for OfArray<F> {
    type Output = (usize, F::Output);

    fn poll_contest(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        budget: usize,
    ) -> Poll<(usize, Self::Output)> {
        poll_many(&mut self.0, cx, budget).map(|(number, output)| (number, (number, output)))
    }
}

impl<F: Future> Contest for OfVec<F> {
    type Output = Option<(usize, F::Output)>;

    fn poll_contest(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        budget: usize,
    ) -> Poll<(usize, Self::Output)> {
        if self.0.live() == 0 {
            return Poll::Ready((0, None));
        }
        poll_many(&mut self.0, cx, budget).map(|(number, output)| (number, Some((number, output))))
    }
}

fn poll_many<F: Future>(many: &mut Many<F>, cx: &mut Context<'_>, budget: usize) -> Poll<(usize, F::Output)> {
    let first = |number, output| ControlFlow::Break((number, output));
    let ControlFlow::Break(winner) = many.poll_turn(cx, budget, first) else { return Poll::Pending };
    let mut panics = FirstPanic::default();
    many.clear(&mut panics);
    Poll::Ready(panics.resume_or(winner))
}

impl<F> fmt::Debug for OfArray<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfArray")
    }
}

impl<F> fmt::Debug for OfVec<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfVec")
    }
}
