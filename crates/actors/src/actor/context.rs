//! [`Context`]: what an actor that runs has around it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use weirs_runtime::Runtime;
use weirs_scopes::CancelToken;

use super::Actor;
use super::address::Addr;
use super::inbox::{BUDGET, Inbox, Taken};
use crate::supervise::{Incarnation, LAST, STOP};
use crate::{DeadReason, Exit, Id};

/// What an actor that runs has around it: its own address, its name, and what it is asked to do.
pub struct Context<A: Actor> {
    pub(super) inbox: Arc<Inbox<A::Message>>,
    pub(super) life: Incarnation,
    batch: VecDeque<A::Message>,
    /// How many since others had their turn.
    in_one_go: usize,
    /// A message is being handled.
    busy: bool,
    /// It is an urgent one.
    urgent: bool,
    ends: bool,
}

/// What comes next.
pub(super) enum Next<M> {
    Message(M),
    Stop,
}

impl<A: Actor> Context<A> {
    pub(super) fn new(inbox: Arc<Inbox<A::Message>>, life: Incarnation) -> Self {
        Self { inbox, life, batch: VecDeque::new(), in_one_go: 0, busy: false, urgent: false, ends: false }
    }

    /// The actor's own address.
    pub fn address(&self) -> Addr<A::Message> {
        Addr(Arc::clone(&self.inbox))
    }

    /// What the supervisor calls the actor.
    pub fn id(&self) -> &Id {
        self.life.id()
    }

    /// Where it stands in the tree.
    pub fn path(&self) -> String {
        self.life.path()
    }

    /// The how-manieth life this is, from 1.
    pub fn number(&self) -> u64 {
        self.life.number()
    }

    /// How the life before ended, if there was one.
    pub fn last_exit(&self) -> Option<Exit> {
        self.life.last_exit()
    }

    /// Ends this life after the message that is being handled, as if all were done: a permanent actor is
    /// started again, any other is not.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Whether it was asked to stop: for handlers that take long.
    pub fn is_stopping(&self) -> bool {
        self.life.is_stopping()
    }

    /// A token that is cancelled when the actor is asked to stop, and when this life ends.
    pub fn token(&self) -> CancelToken {
        self.life.token()
    }

    /// The runtime that the tree runs on, and its clock.
    pub fn runtime(&self) -> &Runtime {
        self.life.runtime()
    }

    pub(super) fn ready(&self) {
        self.life.ready();
    }

    /// It is done with the message that it was handed.
    #[inline]
    pub(super) fn done(&mut self) {
        self.in_one_go += 1;
        self.over();
        self.inbox.settle_orphans(None);
    }

    #[inline]
    fn over(&mut self) {
        self.busy = false;
        if std::mem::take(&mut self.urgent) {
            self.inbox.done_urgent();
        } else {
            self.inbox.done();
        }
    }

    /// The next message, if it is in the actor's hands and nothing comes before it.
    #[inline]
    pub(super) fn next_in_hand(&mut self) -> Option<A::Message> {
        if self.in_one_go >= BUDGET
            || self.ends
            || self.life.node.flags() & STOP != 0
            || self.inbox.has_urgent()
        {
            return None;
        }
        let message = self.batch.pop_front();
        self.busy = message.is_some();
        message
    }

    /// Waits for the next message, and hands it out.
    pub(super) async fn next(&mut self) -> Next<A::Message> {
        std::future::poll_fn(|cx| {
            if self.in_one_go >= BUDGET {
                self.in_one_go = 0;
                self.inbox.others_turn();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            loop {
                if self.ends {
                    return Poll::Ready(Next::Stop);
                }
                let stops = self.life.node.flags() & STOP != 0;
                if stops && !self.inbox.is_draining() {
                    return Poll::Ready(Next::Stop);
                }
                if let Some(message) = self.inbox.urgent() {
                    (self.busy, self.urgent) = (true, true);
                    return Poll::Ready(Next::Message(message));
                }
                if let Some(message) = self.batch.pop_front() {
                    self.busy = true;
                    return Poll::Ready(Next::Message(message));
                }
                match self.inbox.take(cx, &mut self.batch) {
                    Poll::Ready(Taken::Some) => {}
                    Poll::Ready(Taken::Drained) if stops => return Poll::Ready(Next::Stop),
                    // Somebody drains it, and is about to stop it.
                    Poll::Ready(Taken::Drained) | Poll::Pending => {
                        self.in_one_go = 0;
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    /// Whether this end is for good.
    pub(super) fn is_last(&self) -> bool {
        self.life.node.flags() & LAST != 0
    }

    /// What is not handled any more.
    pub(super) fn leftovers(&mut self) -> impl Iterator<Item = A::Message> + use<A> {
        let batch = std::mem::take(&mut self.batch);
        let (urgent, queue) = self.inbox.leftovers();
        urgent.into_iter().chain(batch).chain(queue)
    }
}

impl<A: Actor> Drop for Context<A> {
    fn drop(&mut self) {
        let crashed = self.busy;
        if crashed {
            self.over();
        }
        self.inbox.give_back(&mut self.batch);
        if crashed {
            self.inbox.dead(1, DeadReason::Crashed);
        }
    }
}

impl<A: Actor> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("life", &self.life).finish_non_exhaustive()
    }
}
