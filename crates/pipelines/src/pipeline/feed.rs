//! [`Feed`]: what comes into a stage: from before, and what comes back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use weirs_runtime::waiting::Ticket;
use weirs_runtime::{Clock, Instant};

use super::attempt::Entry;
use super::desk::{Desk, bump};
use super::flow::Flow;
use crate::dead_letter::DeadLetterRing;

pin_project! {
    /// What comes into a stage: from before, and what comes back.
    pub(super) struct Feed<W: Flow, E> {
        #[pin]
        flow: Option<W>,
        ring: Option<DeadLetterRing<W::Item, E>>,
        ticket: Option<Ticket>,
        number: u64,
        desk: Arc<Desk>,
        // If somebody wants to know when items came.
        clock: Option<Clock>,
    }

    impl<W: Flow, E> PinnedDrop for Feed<W, E> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(ring) = this.ring {
                ring.forget(this.ticket);
            }
        }
    }
}

impl<W: Flow, E> Feed<W, E> {
    pub(super) fn new(
        flow: W,
        ring: Option<DeadLetterRing<W::Item, E>>,
        desk: Arc<Desk>,
        clock: Option<Clock>,
    ) -> Self {
        Self { flow: Some(flow), ring, ticket: None, number: 0, desk, clock }
    }

    #[inline]
    pub(super) fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Entry<W::Item>>> {
        let mut this = self.project();
        if let Some(ring) = this.ring {
            // Once nothing new can come, it does not wait for what may come back.
            let again = match this.flow.is_some() {
                true => match ring.poll_again(this.ticket, cx) {
                    Poll::Ready(again) => Some(again),
                    Poll::Pending => None,
                },
                false => ring.try_again(),
            };
            if let Some((item, redrives)) = again {
                return Poll::Ready(Some(entry(this.number, this.desk, this.clock, item, redrives)));
            }
        }
        let Some(flow) = this.flow.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        match flow.poll_next(cx) {
            Poll::Ready(Some(item)) => Poll::Ready(Some(entry(this.number, this.desk, this.clock, item, 0))),
            Poll::Ready(None) => {
                this.flow.set(None);
                let again = this.ring.as_ref().and_then(DeadLetterRing::try_again);
                Poll::Ready(
                    again.map(|(item, redrives)| entry(this.number, this.desk, this.clock, item, redrives)),
                )
            }
            Poll::Pending => Poll::Pending,
        }
    }

    pub(super) fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        if let Some(flow) = self.project().flow.as_pin_mut() {
            flow.poll_progress(cx);
        }
    }
}

#[inline]
fn entry<T>(number: &mut u64, desk: &Desk, clock: &Option<Clock>, item: T, redrives: u32) -> Entry<T> {
    bump(&desk.taken);
    let since = clock.as_ref().map_or(Instant::FAR_FUTURE, Clock::now);
    let entry = Entry { number: *number, item, redrives, since };
    *number += 1;
    entry
}
