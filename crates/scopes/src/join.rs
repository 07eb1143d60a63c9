//! [`join`] and [`try_join`]: all of several futures.

pub(crate) mod many;
pub(crate) mod tuples;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::race::sealed;

/// Waits for all of several futures, and gives their outputs in the order given.
///
/// It takes a tuple of two to eight futures of any types, an array of one type, or a `Vec`; it gives a tuple,
/// an array or a `Vec`. None of them starts before the first poll, and all of them run in this one task: for
/// work in parallel, join the handles of tasks.
///
/// Use [`try_join`] when the first error shall end it.
///
/// # Cancel safety
/// Dropping it drops the futures that are not ready and the outputs of those that are.
///
/// # Fairness
/// In a tuple, and up to 32 of one type, all that are not ready are polled each time. Of more than 32
/// only those are polled that were woken, at most 64 in a turn of the executor, and nobody twice before all
/// of them once. So 100,000 handles of tasks are joined in time that grows with their number and no faster,
/// under tokio's cooperative budget as well.
///
/// # Panics
/// With the panic of a future; the others are dropped together with the join.
///
/// # Examples
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::join;
///
/// block_on(async {
///     assert_eq!(join((async { 1 }, async { "two" })).await, (1, "two"));
///     assert_eq!(join([1, 2, 3].map(|n| async move { n * n })).await, [1, 4, 9]);
///
///     let pages: Vec<_> = ["a", "b"].into_iter().map(|name| async move { name.len() }).collect();
///     assert_eq!(join(pages).await, vec![1, 1]);
/// });
/// ```
pub fn join<B: JoinBranches>(branches: B) -> Join<B> {
    Join { joining: branches.into_joining() }
}

/// Waits until all of several futures are ready with `Ok`, or one with an error.
///
/// It takes what [`join`] does. The futures give `Result`s of one error type; their values may differ in a
/// tuple.
///
/// # Cancel safety
/// As [`join`].
///
/// # Fairness
/// As [`join`]. Of two errors in the same turn that of the earlier future is given.
///
/// # Panics
/// As [`join`]. If destructors panic when an error ends it, all the others are dropped first, then the first
/// of the panics goes on and the error is lost.
///
/// # Errors
/// The first error. The other futures and all outputs are dropped before it is returned.
///
/// # Examples
/// ```
/// use std::num::ParseIntError;
/// use weirs_runtime::block_on;
/// use weirs_scopes::try_join;
///
/// async fn parse(text: &str) -> Result<u32, ParseIntError> {
///     text.parse()
/// }
///
/// block_on(async {
///     assert_eq!(try_join((parse("1"), parse("2"))).await, Ok((1, 2)));
///     assert!(try_join(vec![parse("1"), parse("two")]).await.is_err());
/// });
/// ```
pub fn try_join<B: TryJoinBranches>(branches: B) -> TryJoin<B> {
    TryJoin { joining: branches.into_joining() }
}

/// What [`join`] takes: tuples of two to eight futures, and arrays and `Vec`s of one type.
///
/// Whatever can be turned into a future will do. The trait is sealed.
pub trait JoinBranches: sealed::Sealed {
    /// What all of them give.
    type Output;

    #[doc(hidden)]
    type Joining: Future<Output = Self::Output>;

    #[doc(hidden)]
    fn into_joining(self) -> Self::Joining;
}

/// What [`try_join`] takes: what [`join`] does, of futures that give a `Result`.
///
/// The trait is sealed.
pub trait TryJoinBranches: sealed::Sealed {
    /// What all of them give when none fails.
    type Ok;

    /// What one of them fails with.
    type Error;

    #[doc(hidden)]
    type Joining: Future<Output = Result<Self::Ok, Self::Error>>;

    #[doc(hidden)]
    fn into_joining(self) -> Self::Joining;
}

pin_project! {
    /// The future of [`join`].
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Join<B>
    where
        B: JoinBranches,
    {
        #[pin]
        joining: B::Joining,
    }
}

pin_project! {
    /// The future of [`try_join`].
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct TryJoin<B>
    where
        B: TryJoinBranches,
    {
        #[pin]
        joining: B::Joining,
    }
}

impl<B: JoinBranches> Future for Join<B> {
    type Output = B::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().joining.poll(cx)
    }
}

impl<B: TryJoinBranches> Future for TryJoin<B> {
    type Output = Result<B::Ok, B::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().joining.poll(cx)
    }
}

impl<B: JoinBranches> fmt::Debug for Join<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Join")
    }
}

impl<B: TryJoinBranches> fmt::Debug for TryJoin<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TryJoin")
    }
}
