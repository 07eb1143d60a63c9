//! [`Select`]: a race that is run again and again, and remembers whose turn it is.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use crate::Branches;
use crate::many::BUDGET;
use crate::race::{Contest, Order};

/// Chooses among several futures again and again: what `for { select { .. } }` is in Go.
///
/// Each call of [`next`](Select::next) is a [`race`](crate::race()) whose branches are made anew: a `recv()`,
/// a `stream.next()`, a `token.cancelled()`. What has to live on from one round to the next is made before
/// the loop and passed as `&mut future`. The choice rotates: a round begins to ask behind the branch that
/// won the last. So it needs no clock, and goes the same way each time.
///
/// There is no macro to it: the branches stand in a tuple, the arms in a `match`, and both are plain Rust.
///
/// # Fairness
/// Of branches that are always ready each wins in turn, however many others stand between them; one that is
/// ready waits for less than as many rounds as there are branches. A selector that is made anew for each
/// round has no memory, and always prefers the first branch.
///
/// # Examples
/// A worker that takes from two queues until it is told to stop:
/// ```
/// use weirs_runtime::block_on;
/// use weirs_scopes::{OneOf3, Select};
///
/// let (urgent_in, urgent) = async_channel::bounded(8);
/// let (normal_in, normal) = async_channel::bounded(8);
/// let (stop, stopped) = async_channel::bounded::<()>(1);
/// # for number in 0..3 { urgent_in.try_send(number).unwrap(); normal_in.try_send(10 + number).unwrap(); }
/// let worker = async {
///     let mut taken = Vec::new();
///     let mut select = Select::new();
///     loop {
///         match select.next((urgent.recv(), normal.recv(), stopped.recv())).await {
///             OneOf3::First(Ok(job)) | OneOf3::Second(Ok(job)) => taken.push(job),
///             OneOf3::First(Err(_)) | OneOf3::Second(Err(_)) | OneOf3::Third(_) => return taken,
///         }
/// #       if taken.len() == 6 { stop.close(); }
///     }
/// };
/// assert_eq!(block_on(worker), [0, 10, 1, 11, 2, 12]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// The branch to be asked first.
    first: usize,
}

impl Select {
    /// A selector that begins with the first branch.
    pub const fn new() -> Self {
        Self { first: 0 }
    }

    /// Waits for the first of the branches, and drops the others before it gives the value.
    ///
    /// It takes and gives what [`race`](crate::race()) does; rounds may differ in what they take.
    ///
    /// # Cancel safety
    /// Dropping it drops the branches; whose turn it is stays as it was. The losers of a round are dropped
    /// like that too, so a branch should be cancel-safe itself, or be passed as `&mut future`.
    ///
    /// # Fairness
    /// See [`Select`].
    ///
    /// # Panics
    /// As [`race`](crate::race()).
    ///
    /// # Examples
    /// A future that lives on over the rounds, here a deadline for all of them:
    /// ```
    /// use std::time::Duration;
    /// use weirs_runtime::{Clock, block_on};
    /// use weirs_scopes::{OneOf2, Select};
    ///
    /// let clock = Clock::default();
    /// let (_open, numbers) = async_channel::bounded::<u32>(1);
    /// block_on(async {
    ///     let mut deadline = clock.sleep(Duration::from_millis(2));
    ///     let mut select = Select::new();
    ///     let mut sum = 0;
    ///     loop {
    ///         match select.next((numbers.recv(), &mut deadline)).await {
    ///             OneOf2::First(number) => sum += number.unwrap_or(0),
    ///             OneOf2::Second(()) => break,
    ///         }
    ///     }
    ///     assert_eq!(sum, 0);
    /// });
    /// ```
    pub fn next<B: Branches>(&mut self, branches: B) -> SelectNext<'_, B> {
        let contest = branches.into_contest(Order::From(self.first));
        SelectNext { contest, select: self, over: false }
    }

    /// The first of the branches that is ready now, if one is: Go's `select` with a `default`.
    ///
    /// It never waits: each branch is polled at most once, and all are dropped. A loop that only asks, and
    /// never waits for anything, keeps its thread from the other tasks; under tokio it is told after a while
    /// that nothing is ready.
    ///
    /// # Fairness
    /// The same as [`next`](Select::next); a round without a winner changes nothing.
    ///
    /// # Panics
    /// As [`race`](crate::race()).
    ///
    /// # Examples
    /// ```
    /// use weirs_scopes::{OneOf2, Select};
    ///
    /// let (sender, numbers) = async_channel::bounded::<u32>(1);
    /// let (_open, words) = async_channel::bounded::<String>(1);
    /// let mut select = Select::new();
    /// assert_eq!(select.try_next((numbers.recv(), words.recv())), None);
    /// sender.try_send(7).unwrap();
    /// assert_eq!(select.try_next((numbers.recv(), words.recv())), Some(OneOf2::First(Ok(7))));
    /// ```
    pub fn try_next<B: Branches>(&mut self, branches: B) -> Option<B::Output> {
        let contest = pin!(branches.into_contest(Order::From(self.first)));
        // Nobody waits, so nobody is woken; and as nobody comes again, all have to be asked now.
        match contest.poll_contest(&mut Context::from_waker(Waker::noop()), usize::MAX) {
            Poll::Ready((winner, output)) => {
                self.first = winner + 1;
                Some(output)
            }
            Poll::Pending => None,
        }
    }
}

pin_project! {
    /// The future of [`Select::next`].
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct SelectNext<'a, B>
    where
        B: Branches,
    {
        #[pin]
        contest: B::Contest,
        select: &'a mut Select,
        over: bool,
    }
}

impl<B: Branches> Future for SelectNext<'_, B> {
    type Output = B::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        assert!(!*this.over, "a round of a selector was polled after it was over");
        let poll = this.contest.poll_contest(cx, BUDGET);
        poll.map(|(winner, output)| {
            *this.over = true;
            this.select.first = winner + 1;
            output
        })
    }
}

impl<B: Branches> fmt::Debug for SelectNext<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectNext").field("select", &self.select).finish_non_exhaustive()
    }
}
