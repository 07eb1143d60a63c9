//! [`Time`]: a token's clock and deadline, and the timer that cancels it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use weirs_runtime::{Clock, Instant, Sleep};

use super::node::{Node, Rare};
use crate::Reason;

/// A clock and a deadline in it, shared by all tokens down to those with an earlier deadline.
///
/// It is also the waker of its timer. The clock's driver keeps that waker, so it holds its node weakly: a
/// timer keeps no token alive. The node keeps the timer, and takes it out of the driver when it is cancelled
/// or dropped.
pub(super) struct Time {
    pub(super) clock: Clock,
    /// The far future is none.
    pub(super) deadline: Instant,
    /// The node that is cancelled at the deadline. Those below it that share the time are cancelled with it.
    owner: Weak<Node>,
}

impl Time {
    pub(super) fn without_deadline(clock: Clock) -> Self {
        Self { clock, deadline: Instant::FAR_FUTURE, owner: Weak::new() }
    }

    pub(super) fn new(clock: Clock, deadline: Instant, owner: &Weak<Node>) -> Self {
        Self { clock, deadline, owner: Weak::clone(owner) }
    }

    /// Sets the timer of its owner, or cancels it if the deadline has come.
    pub(super) fn arm(self: &Arc<Self>, owner: &Node) {
        self.watch(owner, self.clock.sleep_until(self.deadline));
    }

    fn watch(self: &Arc<Self>, owner: &Node, mut timer: Sleep) {
        let waker = Waker::from(Arc::clone(self));
        match Pin::new(&mut timer).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(()) => {
                owner.cancel(Reason::Deadline);
            }
            // When it was cancelled meanwhile, the timer is given back, and dropped.
            Poll::Pending => drop(owner.keep(Rare::with_timer(timer))),
        }
    }
}

impl Wake for Time {
    fn wake(self: Arc<Self>) {
        let Some(owner) = self.owner.upgrade() else {
            return;
        };
        if self.clock.now() >= self.deadline {
            owner.cancel(Reason::Deadline);
        } else if let Some(timer) = owner.take_timer() {
            // A driver that wakes too early is asked again. One that does so at once finds no timer here the
            // second time, and that is the end.
            self.watch(&owner, timer);
        }
    }
}
