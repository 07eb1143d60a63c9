//! [`Results`]: what became of the jobs, as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use weirs_runtime::waiting::Ticket;

use super::completion::Completion;
use super::state::Shared;

/// The ends of a pool's jobs, as a stream; made by [`WorkerPool::results`](crate::WorkerPool::results).
///
/// It ends when the pool takes no more jobs and every end was read.
///
/// # Cancel safety
/// A poll that is not ready took nothing. Dropped, its part of the results is discarded, and counted.
pub struct Results<J: Send + 'static, T: Send + 'static, E: Send + 'static> {
    shared: Arc<Shared<J, T, E>>,
    hand: VecDeque<Completion<J, T, E>>,
    ticket: Option<Ticket>,
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Results<J, T, E> {
    pub(super) fn new(shared: &Arc<Shared<J, T, E>>) -> Self {
        shared.add_reader();
        Self { shared: Arc::clone(shared), hand: VecDeque::new(), ticket: None }
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Unpin for Results<J, T, E> {}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Stream for Results<J, T, E> {
    type Item = Completion<J, T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.hand.is_empty()
            && ready!(this.shared.poll_read(&mut this.hand, &mut this.ticket, cx)).is_none()
        {
            return Poll::Ready(None);
        }
        Poll::Ready(this.hand.pop_front())
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> Drop for Results<J, T, E> {
    fn drop(&mut self) {
        self.shared.drop_reader(self.ticket.take(), &mut self.hand);
    }
}

impl<J: Send + 'static, T: Send + 'static, E: Send + 'static> fmt::Debug for Results<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("in_hand", &self.hand.len()).finish_non_exhaustive()
    }
}
