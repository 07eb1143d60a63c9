//! Joins of arrays and `Vec`s.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{JoinBranches, TryJoinBranches};
use crate::many::{BUDGET, Many};
use crate::panics::FirstPanic;

impl<F: IntoFuture> JoinBranches for Vec<F> {
    type Output = Vec<F::Output>;
    type Joining = JoinVec<F::IntoFuture, F::Output>;

    fn into_joining(self) -> Self::Joining {
        JoinVec(Outputs::of(self))
    }
}

impl<F: IntoFuture, const N: usize> JoinBranches for [F; N] {
    type Output = [F::Output; N];
    type Joining = JoinArray<F::IntoFuture, F::Output, N>;

    fn into_joining(self) -> Self::Joining {
        JoinArray(Outputs::of(self))
    }
}

impl<F: IntoFuture<Output = Result<T, E>>, T, E> TryJoinBranches for Vec<F> {
    type Ok = Vec<T>;
    type Error = E;
    type Joining = TryJoinVec<F::IntoFuture, T>;

    fn into_joining(self) -> Self::Joining {
        TryJoinVec(Outputs::of(self))
    }
}

impl<F: IntoFuture<Output = Result<T, E>>, T, E, const N: usize> TryJoinBranches for [F; N] {
    type Ok = [T; N];
    type Error = E;
    type Joining = TryJoinArray<F::IntoFuture, T, N>;

    fn into_joining(self) -> Self::Joining {
        TryJoinArray(Outputs::of(self))
    }
}

/// A join of a `Vec`.
pub struct JoinVec<F, T>(Outputs<F, T>);

/// A join of an array.
pub struct JoinArray<F, T, const N: usize>(Outputs<F, T>);

/// A join of a `Vec` that ends with the first error.
pub struct TryJoinVec<F, T>(Outputs<F, T>);

/// A join of an array that ends with the first error.
pub struct TryJoinArray<F, T, const N: usize>(Outputs<F, T>);

impl<F: Future<Output = T>, T> Future for JoinVec<F, T> {
    type Output = Vec<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<T>> {
        self.0.poll_all(cx)
    }
}

impl<F: Future<Output = T>, T, const N: usize> Future for JoinArray<F, T, N> {
    type Output = [T; N];

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<[T; N]> {
        self.0.poll_all(cx).map(into_array)
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for TryJoinVec<F, T> {
    type Output = Result<Vec<T>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Vec<T>, E>> {
        self.0.poll_until_error(cx)
    }
}

impl<F: Future<Output = Result<T, E>>, T, E, const N: usize> Future for TryJoinArray<F, T, N> {
    type Output = Result<[T; N], E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<[T; N], E>> {
        self.0.poll_until_error(cx).map_ok(into_array)
    }
}

fn into_array<T, const N: usize>(outputs: Vec<T>) -> [T; N] {
    match outputs.try_into() {
        Ok(array) => array,
        Err(outputs) => unreachable!("{} outputs of {N} futures", outputs.len()),
    }
}

/// Futures, and the outputs of those that are ready.
struct Outputs<F, T> {
    many: Many<F>,
    outputs: Vec<Option<T>>,
    over: bool,
}

// The futures are pinned in boxes of their own, the outputs not at all.
impl<F, T> Unpin for Outputs<F, T> {}

impl<F: Future, T> Outputs<F, T> {
    fn of<I: IntoFuture<IntoFuture = F>>(futures: impl IntoIterator<Item = I>) -> Self {
        let many = Many::new(futures.into_iter().map(IntoFuture::into_future), |_| ());
        let outputs = (0..many.live()).map(|_| None).collect();
        Self { many, outputs, over: false }
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<Vec<T>>
    where
        F: Future<Output = T>,
    {
        let keep = |output| ControlFlow::<Infallible, T>::Continue(output);
        self.poll(cx, keep).map(|flow| match flow {
            ControlFlow::Continue(outputs) => outputs,
            ControlFlow::Break(never) => match never {},
        })
    }

    fn poll_until_error<E>(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<T>, E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let keep = |output| match output {
            Ok(output) => ControlFlow::Continue(output),
            Err(error) => ControlFlow::Break(error),
        };
        match ready!(self.poll(cx, keep)) {
            ControlFlow::Continue(outputs) => Poll::Ready(Ok(outputs)),
            ControlFlow::Break(error) => {
                let mut panics = FirstPanic::default();
                self.many.clear(&mut panics);
                let outputs = std::mem::take(&mut self.outputs);
                panics.run(|| drop(outputs));
                Poll::Ready(Err(panics.resume_or(error)))
            }
        }
    }

    /// Polls those that were woken, and gives all outputs when the last is there, or what broke it off.
    fn poll<B>(
        &mut self,
        cx: &mut Context<'_>,
        keep: impl Fn(F::Output) -> ControlFlow<B, T>,
    ) -> Poll<ControlFlow<B, Vec<T>>> {
        assert!(!self.over, "a join was polled after it was over");
        let Self { many, outputs, over } = self;
        let flow = many.poll_turn(cx, BUDGET, |number, output| {
            outputs[number] = Some(keep(output)?);
            ControlFlow::Continue(())
        });
        if let ControlFlow::Break(value) = flow {
            *over = true;
            return Poll::Ready(ControlFlow::Break(value));
        }
        if many.live() > 0 {
            return Poll::Pending;
        }
        *over = true;
        Poll::Ready(ControlFlow::Continue(std::mem::take(outputs).into_iter().flatten().collect()))
    }
}

impl<F, T> fmt::Debug for JoinVec<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinVec")
    }
}

impl<F, T, const N: usize> fmt::Debug for JoinArray<F, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinArray")
    }
}

impl<F, T> fmt::Debug for TryJoinVec<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TryJoinVec")
    }
}

impl<F, T, const N: usize> fmt::Debug for TryJoinArray<F, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TryJoinArray")
    }
}
