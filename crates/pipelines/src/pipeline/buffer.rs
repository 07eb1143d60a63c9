//! [`Buffered`]: a boundary: what is before it runs in a task of its own.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_core::Stream;
use weirs_channels_utils::{Batches, Overflow, Receiver, Sender, channel};
use weirs_runtime::{Clock, Instant};

use super::desk::{Edge, bump};
use super::flow::{Flow, TURN};
use super::fork::Either;
use super::plan::{Blueprint, Check};
use super::site::{Cause, PipelineEvent, Site};
use super::tempo::Tempo;
use super::unprocessed::Left;
use crate::panics::contain;
use crate::turn::yield_now;

/// The most items that are sent at once.
const MOST_AT_ONCE: usize = 64;

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
        let Self { upstream, capacity, overflow } = self;
        let flow = upstream.assemble(site.clone());
        match site.is_measured() {
            false => Either::Left { flow: boundary::<_, Bare<_>>(flow, capacity, overflow, site) },
            true => Either::Right { flow: boundary::<_, Stamped<_>>(flow, capacity, overflow, site) },
        }
    }
}

/// Has what is before it run in a task of its own, and gives what comes out of that.
fn boundary<W, P>(flow: W, capacity: usize, overflow: Overflow, site: Site) -> AfterBuffer<P>
where
    W: Flow,
    P: Parcel<Item = W::Item>,
{
    let at_least_one = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
    let edge = site.edge();
    let (sender, receiver) = channel(at_least_one(capacity)).overflow(overflow).clock(site.clock()).build();
    let at_once = (capacity / 2).clamp(1, MOST_AT_ONCE);
    let may_drop = overflow != Overflow::Block;
    site.run(pump::<W, P>(flow, sender, at_once, may_drop, Arc::clone(&edge), site.clone()));
    let outflow = match may_drop {
        // What is taken out in advance would keep its place, and others would be dropped for it.
        true => Outflow::Single { receiver },
        false => Outflow::Several {
            batches: receiver.batches(at_least_one((capacity / 2).clamp(1, MOST_AT_ONCE))),
        },
    };
    AfterBuffer { outflow: Some(outflow), capacity, edge, site }
}

/// An item in a buffer: with the time since when it is there, or without.
trait Parcel: Send + 'static {
    type Item: Send + 'static;

    fn pack(item: Self::Item, clock: &Clock) -> Self;

    /// It is taken out.
    fn unpack(self, edge: &Edge, clock: &Clock) -> Self::Item;

    fn into_item(self) -> Self::Item;
}

/// An item of which nobody wants to know how long it waits.
struct Bare<T>(T);

struct Stamped<T> {
    item: T,
    since: Instant,
}

impl<T: Send + 'static> Parcel for Bare<T> {
    type Item = T;

    fn pack(item: T, _: &Clock) -> Self {
        Self(item)
    }

    fn unpack(self, _: &Edge, _: &Clock) -> T {
        self.0
    }

    fn into_item(self) -> T {
        self.0
    }
}

impl<T: Send + 'static> Parcel for Stamped<T> {
    type Item = T;

    fn pack(item: T, clock: &Clock) -> Self {
        Self { item, since: clock.now() }
    }

    fn unpack(self, edge: &Edge, clock: &Clock) -> T {
        if let Some(waits) = &edge.waits {
            waits.add(self.since, clock.now());
        }
        self.item
    }

    fn into_item(self) -> T {
        self.item
    }
}

/// What a boundary's task has in its hands.
struct Cork<P: Parcel> {
    items: VecDeque<P>,
    edge: Arc<Edge>,
    site: Site,
}

impl<P: Parcel> Drop for Cork<P> {
    fn drop(&mut self) {
        let sent = self.edge.sent.load(Ordering::Relaxed);
        for (number, parcel) in (sent..).zip(self.items.drain(..)) {
            self.site.hand_back("buffer", Left::Waiting, number, parcel.into_item());
        }
    }
}

/// The task of a boundary: sends what comes, several at once if several are ready.
async fn pump<W, P>(flow: W, sender: Sender<P>, at_once: usize, may_drop: bool, edge: Arc<Edge>, site: Site)
where
    W: Flow,
    P: Parcel<Item = W::Item>,
{
    let clock = site.clock().clone();
    let mut cork: Cork<P> = Cork { items: VecDeque::new(), edge, site: site.clone() };
    let mut flow = pin!(Some(flow));
    let mut closed = pin!(sender.closed());
    let mut tempo = Tempo::default();
    let mut turn = 0;
    loop {
        turn += 1;
        if turn > TURN {
            turn = 0;
            yield_now().await;
        }
        let most = tempo.at_once(at_once);
        let gathered = poll_fn(|cx| {
            tempo.begins(&clock);
            let mut waits = false;
            if let Some(mut running) = flow.as_mut().as_pin_mut() {
                // What the user wrote is contained where it is called; this is for destructors.
                let contained = contain(|| {
                    while cork.items.len() < most {
                        match running.as_mut().poll_next(cx) {
                            Poll::Ready(Some(item)) => {
                                cork.items.push_back(P::pack(item, &clock));
                                tempo.came(cork.items.len(), &clock);
                            }
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
                return closed.as_mut().poll(cx).map(|()| false);
            }
            Poll::Ready(true)
        })
        .await;
        let number = cork.items.len();
        if !gathered || number == 0 {
            break;
        }
        tempo.hands_on(number, &clock);
        let sent = {
            let mut send = pin!(sender.send_all(&mut cork.items));
            poll_fn(|cx| {
                let polled = send.as_mut().poll(cx);
                if polled.is_pending() {
                    is_full(&site, &cork.edge);
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
        let sent_now = number - cork.items.len();
        cork.edge.sent.fetch_add(sent_now as u64, Ordering::Relaxed);
        if may_drop {
            let dropped = sender.stats().dropped;
            if cork.edge.dropped.swap(dropped, Ordering::Relaxed) < dropped {
                is_full(&site, &cork.edge);
            }
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

/// There is no room in the buffer: whoever wants to know is told once.
fn is_full(site: &Site, edge: &Edge) {
    if let (true, Some(stage)) = (site.is_observed(), edge.before.get()) {
        if !edge.full.swap(true, Ordering::Relaxed) {
            site.tell(&PipelineEvent::Full { stage });
        }
    }
}

/// How items are taken out of a buffer.
enum Outflow<P> {
    Single { receiver: Receiver<P> },
    Several { batches: Batches<P> },
}

/// What comes out of a boundary.
struct AfterBuffer<P: Parcel> {
    outflow: Option<Outflow<P>>,
    capacity: usize,
    edge: Arc<Edge>,
    site: Site,
}

impl<P: Parcel> Unpin for AfterBuffer<P> {}

impl<P: Parcel> AfterBuffer<P> {
    /// Tells when a buffer that was full is half free.
    fn is_free(&self) {
        if self.edge.queued() <= self.capacity as u64 / 2 && self.edge.full.swap(false, Ordering::Relaxed) {
            if let Some(stage) = self.edge.before.get() {
                self.site.tell(&PipelineEvent::Free { stage });
            }
        }
    }
}

impl<P: Parcel> Flow for AfterBuffer<P> {
    type Item = P::Item;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<P::Item>> {
        let this = &mut *self;
        let polled = match &mut this.outflow {
            Some(Outflow::Several { batches }) => Pin::new(batches).poll_next(cx),
            Some(Outflow::Single { receiver }) => Pin::new(receiver).poll_next(cx),
            None => return Poll::Ready(None),
        };
        if let Poll::Ready(Some(_)) = &polled {
            bump(&this.edge.received);
            if this.edge.full.load(Ordering::Relaxed) {
                this.is_free();
            }
        }
        polled.map(|parcel| parcel.map(|parcel| parcel.unpack(&this.edge, this.site.clock())))
    }

    fn poll_progress(self: Pin<&mut Self>, _: &mut Context<'_>) {}
}

impl<P: Parcel> Drop for AfterBuffer<P> {
    fn drop(&mut self) {
        let mut receiver = match self.outflow.take() {
            Some(Outflow::Several { batches }) => batches.into_receiver(),
            Some(Outflow::Single { receiver }) => receiver,
            None => return,
        };
        receiver.close();
        let received = self.edge.received.load(Ordering::Relaxed);
        for (number, parcel) in (received..).zip(receiver.remaining()) {
            self.site.hand_back("buffer", Left::Waiting, number, parcel.into_item());
        }
    }
}
