//! A queue without an actor, for the models.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use super::address::Addr;
use super::inbox::{Inbox, Taken};
use super::mailbox::Mailbox;
use crate::Exit;
use crate::supervise::Face;

/// The end of a queue at which an actor would be.
pub struct Queue<M> {
    inbox: Arc<Inbox<M>>,
    batch: VecDeque<M>,
    waits: bool,
}

impl<M: Send + 'static> Queue<M> {
    /// A queue, and its address.
    pub fn new(capacity: usize) -> (Addr<M>, Self) {
        let inbox = Inbox::new(Mailbox::bounded(capacity));
        (Addr(Arc::clone(&inbox)), Self { inbox, batch: VecDeque::new(), waits: false })
    }

    /// The next message; none when it is drained.
    pub async fn next(&mut self) -> Option<M> {
        poll_fn(|cx| {
            loop {
                if let Some(message) = self.inbox.urgent() {
                    return std::task::Poll::Ready(Some(message));
                }
                if let Some(message) = self.batch.pop_front() {
                    return std::task::Poll::Ready(Some(message));
                }
                match std::task::ready!(self.inbox.take(cx, &mut self.batch, &mut self.waits)) {
                    Taken::Some => {}
                    Taken::Drained => return std::task::Poll::Ready(None),
                }
            }
        })
        .await
    }

    /// One that was no urgent one is done.
    pub fn done(&self) {
        self.inbox.done();
    }

    /// A life ends.
    pub fn give_back(&mut self) {
        self.inbox.give_back(&mut self.batch, None);
    }

    /// No more messages are taken.
    pub fn drain(&self) {
        self.inbox.drain();
    }

    /// The actor is gone for good.
    pub fn close(&self) {
        self.inbox.close(&Exit::Shutdown);
    }
}
