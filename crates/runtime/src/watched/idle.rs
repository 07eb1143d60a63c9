//! [`Idle`]: waiting until a runtime has no live task.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::{Registry, State};
use crate::panic_hook::{contain, drop_quietly};
use crate::sync::lock;
use crate::watch::TaskId;

/// The future of [`Watched::idle`](super::Watched::idle): waits until no task is live.
///
/// Polled again after its end it says how it is then.
#[must_use = "it does nothing unless it is awaited"]
pub struct Idle {
    registry: Arc<Registry>,
    ticket: Option<u64>,
}

/// Who waits, by ticket: the waker, and the task that does not count.
#[derive(Default)]
pub(super) struct Waiting {
    wakers: BTreeMap<u64, (Option<TaskId>, Waker)>,
    tickets: u64,
}

impl State {
    /// Takes the wakers of all whose waiting is over.
    pub(super) fn take_woken(&mut self) -> Vec<Waker> {
        let tickets = self.waiting.wakers.iter().filter(|(_, waiting)| self.is_idle_but_for(waiting.0));
        let tickets: Vec<u64> = tickets.map(|(ticket, _)| *ticket).collect();
        let wakers = &mut self.waiting.wakers;
        tickets.iter().filter_map(|ticket| Some(wakers.remove(ticket)?.1)).collect()
    }
}

/// Wakes each of them, whether or not one before it panics; goes on with the first panic.
pub(super) fn wake_all(wakers: Vec<Waker>) {
    let mut first = None;
    for waker in wakers {
        match (contain(|| waker.wake()), &first) {
            (Ok(()), _) => {}
            (Err(payload), None) => first = Some(payload),
            (Err(payload), Some(_)) => drop_quietly(payload),
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload.into_inner());
    }
}

impl Idle {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, ticket: None }
    }
}

impl Future for Idle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let (task, waker) = (TaskId::current(), cx.waker().clone());
        let mut state = lock(&this.registry.state);
        let idle = state.is_idle_but_for(task);
        let before = if idle {
            let ticket = this.ticket.take();
            (ticket.and_then(|ticket| state.waiting.wakers.remove(&ticket)), Some(waker))
        } else {
            let waiting = &mut state.waiting;
            let ticket = *this.ticket.get_or_insert_with(|| {
                waiting.tickets += 1;
                waiting.tickets
            });
            (waiting.wakers.insert(ticket, (task, waker)), None)
        };
        drop(state);
        // A waker's destructor is foreign.
        drop(before);
        if idle { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let waiting = lock(&self.registry.state).waiting.wakers.remove(&ticket);
            drop(waiting);
        }
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("waiting", &self.ticket.is_some()).finish()
    }
}
