//! [`fan_out`] and [`send_to_all`]: a stream's items into several channels, each into one or into all.

mod hash;
mod route;
mod send_to_all;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use pin_project_lite::pin_project;

use crate::{Closed, SendError, Sender, SenderSink};

pub use hash::{StableHasher, stable_hash};
pub use route::Route;
pub use send_to_all::{SendToAll, send_to_all};

use route::Choice;

/// So many items in a row before others of the executor get their turn.
const TURN: u32 = 64;

/// Sends each item of a stream into one of several channels; who gets it is the [route](Route)'s to say.
///
/// Nothing is spawned: it is a future, to be awaited or spawned by the caller. For workers that take what
/// they can, none of this is needed: clones of one [`Receiver`](crate::Receiver) compete for its items.
///
/// An output whose receivers are all gone leaves the ring, and the items that it would get go to others; that
/// is noticed with an item for it. When all are gone, that is noticed at once, even if the stream is silent.
/// An output with a policy that drops or refuses does so, and what it refuses is dropped.
///
/// # Waiting
/// It waits for the stream, and for room as the route says.
///
/// # Cancel safety
/// Dropped, the one item that it may have in hand is dropped, and the stream too. To keep both, await it by
/// reference, and take them with [`FanOut::into_parts`].
///
/// # Panics
/// A panic of the stream, or of the route's question, goes to whoever polls. The item in hand is kept.
///
/// # Errors
/// [`Closed`], with the item in hand if there is one, when every output is gone. When the stream has ended it
/// gives how many items were sent; what had been sent is still received, and then the channels are closed.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use futures_lite::stream;
/// use weirs_channels_utils::{Route, bounded, fan_out};
/// use weirs_runtime::block_on;
///
/// let (senders, mut workers): (Vec<_>, Vec<_>) =
///     (0..2).map(|_| bounded(NonZeroUsize::new(4).unwrap())).unzip();
/// let sent = block_on(fan_out(stream::iter(1..=6), senders, Route::round_robin()));
/// assert_eq!(sent, Ok(6));
/// assert_eq!(workers[0].remaining().collect::<Vec<_>>(), [1, 3, 5]);
/// assert_eq!(workers[1].remaining().collect::<Vec<_>>(), [2, 4, 6]);
/// ```
pub fn fan_out<S: Stream>(
    source: S,
    outputs: impl IntoIterator<Item = Sender<S::Item>>,
    route: Route<S::Item>,
) -> FanOut<S> {
    FanOut { source, ring: Ring::new(outputs, route), item: None, sent: 0 }
}

pin_project! {
    /// Sends items into one of several channels each; made by [`fan_out`].
    #[must_use = "nothing is sent before it is awaited"]
    pub struct FanOut<S: Stream> {
        #[pin]
        source: S,
        ring: Ring<S::Item>,
        item: Option<S::Item>,
        sent: u64,
    }
}

impl<S: Stream> FanOut<S> {
    /// Adds an output, last in the ring.
    pub fn add(self: Pin<&mut Self>, output: Sender<S::Item>) {
        self.project().ring.add(output);
    }

    /// How many outputs are left.
    pub fn outputs(&self) -> usize {
        self.ring.outputs.len()
    }

    /// How many items were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The stream, and the item that was not sent yet.
    pub fn into_parts(self) -> (S, Option<S::Item>) {
        (self.source, self.item)
    }
}

impl<S: Stream> Future for FanOut<S> {
    type Output = Result<u64, Closed<Option<S::Item>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        for _ in 0..TURN {
            if this.item.is_none() {
                match this.source.as_mut().poll_next(cx) {
                    Poll::Ready(Some(item)) => *this.item = Some(item),
                    Poll::Ready(None) => {
                        this.ring.outputs.clear();
                        return Poll::Ready(Ok(*this.sent));
                    }
                    // It may be silent for ever.
                    Poll::Pending => return this.ring.poll_gone(cx).map(|()| Err(Closed(None))),
                }
            }
            match ready!(this.ring.poll_send(this.item, cx)) {
                true => *this.sent += 1,
                false => {
                    return Poll::Ready(Err(Closed(this.item.take())));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Stream> fmt::Debug for FanOut<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FanOut");
        debug.field("outputs", &self.outputs()).field("sent", &self.sent).finish_non_exhaustive()
    }
}

struct Ring<T> {
    outputs: Vec<Output<T>>,
    route: Route<T>,
    /// Whose turn it is.
    next: usize,
    /// The output that the item in hand waits for.
    chosen: Option<usize>,
    /// It waits for any.
    any: bool,
    last_id: u64,
}

struct Output<T> {
    /// Stays the same when others leave.
    id: u64,
    sink: SenderSink<T>,
}

impl<T> Ring<T> {
    fn new(outputs: impl IntoIterator<Item = Sender<T>>, route: Route<T>) -> Self {
        let mut ring = Self { outputs: Vec::new(), route, next: 0, chosen: None, any: false, last_id: 0 };
        outputs.into_iter().for_each(|output| ring.add(output));
        ring
    }

    fn add(&mut self, output: Sender<T>) {
        self.outputs.push(Output { id: self.last_id, sink: output.into_sink() });
        self.last_id += 1;
    }

    /// Sends the item to whom the route says. False when there is nobody left; then the item is still there.
    fn poll_send(&mut self, item: &mut Option<T>, cx: &mut Context<'_>) -> Poll<bool> {
        while let Some(held) = item.as_ref() {
            if self.outputs.is_empty() {
                return Poll::Ready(false);
            }
            if self.any {
                ready!(self.poll_any(item, cx));
                continue;
            }
            let at = match self.chosen {
                Some(at) => at,
                None => match self.route.choose(held, self.next, &self.outputs) {
                    Choice::WaitFor(at) => at,
                    Choice::Try(first) => {
                        self.try_each(first, item);
                        continue;
                    }
                },
            };
            self.chosen = Some(at);
            // An error comes again with the item.
            let _ = ready!(Pin::new(&mut self.outputs[at].sink).poll_ready(cx));
            self.send(at, item);
        }
        Poll::Ready(true)
    }

    /// Waits until all are gone. One of them at a time is watched.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(last) = self.outputs.last_mut() {
            ready!(last.sink.poll_closed(cx));
            self.remove(self.outputs.len() - 1);
        }
        Poll::Ready(())
    }

    /// Sends to the first that has room.
    fn try_each(&mut self, first: usize, item: &mut Option<T>) {
        let mut at = first;
        for _ in 0..self.outputs.len() {
            at %= self.outputs.len().max(1);
            let (Some(held), Some(output)) = (item.take(), self.outputs.get(at)) else { return };
            let sent = output.sink.sender().map(|sender| sender.try_send(held));
            match sent {
                Some(Ok(_)) => {
                    self.next = at + 1;
                    return;
                }
                Some(Err(SendError::Full(held))) => {
                    *item = Some(held);
                    at += 1;
                }
                Some(Err(SendError::Closed(held))) => {
                    *item = Some(held);
                    self.remove(at);
                }
                None => return,
            }
        }
        self.any = true;
    }

    /// Sends to whoever has room first.
    fn poll_any(&mut self, item: &mut Option<T>, cx: &mut Context<'_>) -> Poll<()> {
        let number = self.outputs.len();
        let mut turns = (0..number).map(|turn| (self.next + turn) % number);
        let outputs = &mut self.outputs;
        let Some(at) = turns.find(|at| Pin::new(&mut outputs[*at].sink).poll_ready(cx).is_ready()) else {
            return Poll::Pending;
        };
        self.any = false;
        self.send(at, item);
        // The places in the other queues are for others.
        self.outputs.iter_mut().for_each(|output| output.sink.let_go());
        Poll::Ready(())
    }

    /// Sends to one that is ready, or finds out that it is gone.
    fn send(&mut self, at: usize, item: &mut Option<T>) {
        self.chosen = None;
        let Some(held) = item.take() else { return };
        match Pin::new(&mut self.outputs[at].sink).start_send(held) {
            Ok(()) => self.next = at + 1,
            // Refused by the policy.
            Err(SendError::Full(_)) => self.next = at + 1,
            Err(SendError::Closed(held)) => {
                *item = Some(held);
                self.remove(at);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        self.outputs.remove(at);
        if self.next > at {
            self.next -= 1;
        }
    }
}
