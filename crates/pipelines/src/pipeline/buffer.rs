//! [`Buffered`]: a boundary: what is before it runs in a task of its own.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use weirs_channels_utils::{Batches, Overflow, Sender, channel};

use super::desk::{Edge, bump};
use super::flow::{Flow, TURN};
use super::plan::{Blueprint, Check};
use super::site::{Cause, Site};
use super::unprocessed::Left;
use crate::panics::contain;

/// The most items that are sent at once.
const MOST_AT_ONCE: usize = 64;

/// Whoever takes longer than this for an item sends each at once, so that none waits for the next.
const SLOW: Duration = Duration::from_micros(20);

/// A boundary, before it is assembled.
#[derive(Debug)]
pub struct Buffered<B> {
    upstream: B,
    capacity: usize,
    overflow: Overflow,
}

impl<B> Buffered<B> {
    pub(super) fn new(upstream: B, capacity: usize, overflow: Overflow) -> Self {
        Self { upstream, capacity, overflow }
    }
}

impl<B: Blueprint> Blueprint for Buffered<B> {
    type Item = B::Item;

    fn check(&self, check: &mut Check) {
        self.upstream.check(check);
        check.at_least_one(self.capacity, "buffer");
    }

    fn assemble(self, site: Site) -> impl Flow<Item = B::Item> {
        let flow = self.upstream.assemble(site.clone());
        let edge = site.edge();
        let capacity = NonZeroUsize::new(self.capacity).unwrap_or(NonZeroUsize::MIN);
        let builder = channel(capacity).overflow(self.overflow).clock(site.clock());
        let (sender, receiver) = builder.build();
        let at_once = (self.capacity / 2).clamp(1, MOST_AT_ONCE);
        let batch =
            NonZeroUsize::new((self.capacity / 2).clamp(1, MOST_AT_ONCE)).unwrap_or(NonZeroUsize::MIN);
        let may_drop = self.overflow != Overflow::Block;
        site.run(pump(flow, sender, at_once, may_drop, Arc::clone(&edge), site.clone()));
        AfterBuffer { batches: Some(receiver.batches(batch)), edge, site }
    }
}

/// What a boundary's task has in its hands.
struct Cork<T: Send + 'static> {
    items: VecDeque<T>,
    edge: Arc<Edge>,
    site: Site,
}

impl<T: Send + 'static> Drop for Cork<T> {
    fn drop(&mut self) {
        let sent = self.edge.sent.load(Ordering::Relaxed);
        for (number, item) in (sent..).zip(self.items.drain(..)) {
            self.site.hand_back("buffer", Left::Waiting, number, item);
        }
    }
}

/// The task of a boundary: sends what comes, several at once if several are ready.
async fn pump<W: Flow>(
    flow: W,
    sender: Sender<W::Item>,
    at_once: usize,
    may_drop: bool,
    edge: Arc<Edge>,
    site: Site,
) {
    let clock = site.clock().clone();
    let mut cork = Cork { items: VecDeque::new(), edge, site: site.clone() };
    let mut flow = pin!(Some(flow));
    let mut closed = pin!(sender.closed());
    let mut slow = false;
    let mut turn = 0;
    loop {
        turn += 1;
        if turn > TURN {
            turn = 0;
            yield_now().await;
        }
        let mut began = None;
        let most = if slow { 1 } else { at_once };
        let gathered = poll_fn(|cx| {
            began.get_or_insert_with(|| clock.now());
            let mut waits = false;
            if let Some(mut running) = flow.as_mut().as_pin_mut() {
                // What the user wrote is contained where it is called; this is for destructors.
                let contained = contain(|| {
                    while cork.items.len() < most {
                        match running.as_mut().poll_next(cx) {
                            Poll::Ready(Some(item)) => cork.items.push_back(item),
                            Poll::Ready(None) => return true,
                            Poll::Pending => {
                                waits = true;
                                break;
                            }
                        }
                    }
                    false
                });
                let ended = contained.unwrap_or_else(|payload| {
                    site.fail("source", Cause::Panicked(payload));
                    true
                });
                if ended {
                    flow.set(None);
                }
            }
            if waits && cork.items.is_empty() {
                began = None;
                return closed.as_mut().poll(cx).map(|()| false);
            }
            Poll::Ready(true)
        })
        .await;
        let number = cork.items.len() as u32;
        if !gathered || number == 0 {
            break;
        }
        if let Some(began) = began {
            slow = clock.now().saturating_since(began) > SLOW * number;
        }
        let sent = {
            let mut send = pin!(sender.send_all(&mut cork.items));
            poll_fn(|cx| {
                let polled = send.as_mut().poll(cx);
                if polled.is_pending() {
                    // Those before it do not have to wait.
                    if let Some(running) = flow.as_mut().as_pin_mut() {
                        if let Err(payload) = contain(|| running.poll_progress(cx)) {
                            site.fail("source", Cause::Panicked(payload));
                            flow.set(None);
                        }
                    }
                }
                polled
            })
            .await
        };
        let left = cork.items.len() as u64;
        cork.edge.sent.fetch_add(u64::from(number) - left, Ordering::Relaxed);
        if may_drop {
            cork.edge.dropped.store(sender.stats().dropped, Ordering::Relaxed);
        }
        match sent {
            Err(error) if error.is_closed() => break,
            Err(error) => {
                site.fail("buffer", Cause::Failed(Box::new(error)));
                break;
            }
            Ok(()) => {}
        }
    }
    if let Err(payload) = contain(|| flow.set(None)) {
        site.fail("source", Cause::Panicked(payload));
    }
}

/// Lets the executor's other tasks have their turn.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What comes out of a boundary.
struct AfterBuffer<T: Send + 'static> {
    batches: Option<Batches<T>>,
    edge: Arc<Edge>,
    site: Site,
}

impl<T: Send + 'static> Unpin for AfterBuffer<T> {}

impl<T: Send + 'static> Flow for AfterBuffer<T> {
    type Item = T;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        let Some(batches) = &mut this.batches else { return Poll::Ready(None) };
        let polled = Pin::new(batches).poll_next(cx);
        if let Poll::Ready(Some(_)) = &polled {
            bump(&this.edge.received);
        }
        polled
    }

    fn poll_progress(self: Pin<&mut Self>, _: &mut Context<'_>) {}
}

impl<T: Send + 'static> Drop for AfterBuffer<T> {
    fn drop(&mut self) {
        let Some(batches) = self.batches.take() else { return };
        let mut receiver = batches.into_receiver();
        receiver.close();
        let received = self.edge.received.load(Ordering::Relaxed);
        for (number, item) in (received..).zip(receiver.remaining()) {
            self.site.hand_back("buffer", Left::Waiting, number, item);
        }
    }
}
