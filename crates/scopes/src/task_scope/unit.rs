//! [`Unit`]: what a child's task runs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use weirs_runtime::Ticketed;

use super::core::{Cause, Ticket};
use crate::Ended;
use crate::panics::{contain, forget_panic};
use crate::scope::rule::OnEnd;

pin_project! {
    /// The child's future, and its place in the scope. It lies in the task's own memory: a child costs no
    /// other.
    pub(super) struct Unit<F, R, V>
    where
        F: Future,
    {
        // None when it is over.
        #[pin]
        future: Option<F>,
        ticket: Option<Ticket<R>>,
        ended: OnEnd<R, F::Output, V>,
    }
}

impl<F: Future, R, V> Unit<F, R, V> {
    pub(super) fn new(future: F, ended: OnEnd<R, F::Output, V>) -> Self {
        Self { future: Some(future), ticket: None, ended }
    }

    /// The scope has taken it.
    pub(super) fn admit(&mut self, ticket: Ticket<R>) {
        self.ticket = Some(ticket);
    }

    /// The future, if the scope has not taken it.
    pub(super) fn into_inner(self) -> Option<F> {
        self.future
    }
}

impl<F: Future, R, V> Future for Unit<F, R, V> {
    type Output = Result<V, Ended>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(future), Some(ticket)) = (this.future.as_mut().as_pin_mut(), &*this.ticket) else {
            return Poll::Ready(Err(Ended::Taken));
        };
        let shared = &*ticket.shared;
        let polled = contain(|| match future.poll(cx) {
            Poll::Ready(output) => Some((this.ended)(&shared.rule, ticket.key.id(), Ok(output))),
            Poll::Pending => None,
        });
        if matches!(polled, Ok(None)) {
            return Poll::Pending;
        }
        let dropped = contain(|| this.future.set(None));
        let payload = match (polled, dropped) {
            (Ok(Some(settled)), Ok(())) => {
                if settled.failed {
                    shared.core.stop(Cause::Failed);
                }
                return Poll::Ready(settled.value.ok_or(Ended::Failed));
            }
            (Ok(settled), Err(payload)) => {
                forget_panic(contain(|| drop(settled)));
                payload
            }
            (Err(payload), echo) => {
                // Its first panic is the one that counts.
                forget_panic(echo);
                let tell = || (this.ended)(&shared.rule, ticket.key.id(), Err(Ended::Panicked));
                forget_panic(contain(|| drop(tell())));
                payload
            }
            (Ok(None), Ok(())) => unreachable!("a child that waits is not dropped here"),
        };
        shared.core.panicked(payload);
        Poll::Ready(Err(Ended::Panicked))
    }
}

impl<F: Future, R, V> Ticketed for Unit<F, R, V> {
    type Ticket = Option<Ticket<R>>;

    fn ticket(self: Pin<&mut Self>) -> Self::Ticket {
        let mut this = self.project();
        // A panic in its destructor is the scope's to tell, not the task's.
        let waits = this.future.is_some();
        let dropped = if waits { contain(|| this.future.set(None)) } else { Ok(()) };
        let ticket = this.ticket.take();
        if let Some(ticket) = &ticket {
            if let Err(payload) = dropped {
                ticket.shared.core.panicked(payload);
            }
            if waits {
                let tell = || (this.ended)(&ticket.shared.rule, ticket.key.id(), Err(Ended::Cancelled));
                if let Err(payload) = contain(|| drop(tell())) {
                    ticket.shared.core.panicked(payload);
                }
            }
            ticket.shared.core.vacate(ticket.kind);
        }
        ticket
    }
}
