//! [`Results`]: what became of the jobs, as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use weirs_runtime::block_on;
use weirs_runtime::waiting::Ticket;

use super::Owner;
use super::completion::Completion;
use super::state::Shared;

/// The ends of a pool's jobs, as a stream; made by [`WorkerPool::results`](crate::WorkerPool::results).
///
/// It ends when the pool takes no more jobs and every end was read. Several compete for the ends: each goes
/// to one. The only one takes up to 32 at once, and with them their places; one of several takes one.
///
/// # Cancel safety
/// A poll that is not ready took nothing. Dropped, what it has taken and not given goes to the others; with
/// the last one, everything that was not read is discarded, and counted.
pub struct Results<J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    shared: Arc<Shared<J, T, E>>,
    hand: VecDeque<Completion<J, T, E>>,
    ticket: Option<Ticket>,
    /// The pool, if it goes with this.
    owner: Option<Owner<J, T, E>>,
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Results<J, T, E> {
    pub(super) fn new(shared: &Arc<Shared<J, T, E>>, owner: Option<Owner<J, T, E>>) -> Self {
        shared.add_reader();
        Self { shared: Arc::clone(shared), hand: VecDeque::new(), ticket: None, owner }
    }

    /// Takes what can be read; nothing at the end.
    #[inline(never)]
    fn poll_read(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.shared.poll_read(&mut self.hand, &mut self.ticket, cx).map(drop)
    }

    /// One that it has in hand already.
    #[inline]
    pub(crate) fn in_hand(&mut self) -> Option<Completion<J, T, E>> {
        self.hand.pop_front()
    }

    /// The same for synchronous code: an iterator that blocks the thread while there is none.
    ///
    /// # Waiting
    /// Like the stream. It must not be used in an async function: it holds up the executor's thread.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use weirs_pipelines::WorkerPool;
    /// use weirs_runtime::{Runtime, Smol};
    ///
    /// let runtime = Runtime::from(Smol::global());
    /// let double = async |n: u64| Ok::<_, Infallible>(2 * n);
    /// let pool = WorkerPool::builder(double).workers(2).ordered().build(&runtime).unwrap();
    /// for n in 1..=3 {
    ///     pool.submit_blocking(n).unwrap();
    /// }
    /// let doubled: Vec<_> = pool.into_results().blocking_iter().map(|end| end.result.unwrap()).collect();
    /// assert_eq!(doubled, [2, 4, 6]);
    /// ```
    pub fn blocking_iter(self) -> BlockingResults<J, T, E> {
        BlockingResults(self)
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Unpin for Results<J, T, E> {}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Stream for Results<J, T, E> {
    type Item = Completion<J, T, E>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.hand.is_empty() {
            ready!(self.poll_read(cx));
        }
        Poll::Ready(self.hand.pop_front())
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Drop for Results<J, T, E> {
    fn drop(&mut self) {
        self.shared.drop_reader(self.ticket.take(), &mut self.hand);
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for Results<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results")
            .field("in_hand", &self.hand.len())
            .field("owns_the_pool", &self.owner.is_some())
            .finish_non_exhaustive()
    }
}

/// [`Results`] for synchronous code; made by [`Results::blocking_iter`].
pub struct BlockingResults<J: Send + 'static, T: Send + 'static, E: Send + 'static>(Results<J, T, E>);

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Iterator for BlockingResults<J, T, E> {
    type Item = Completion<J, T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        block_on(poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)))
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for BlockingResults<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
