//! [`Receiver`]: the end of a broadcast that things are taken from.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc as Value;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::ring::Ring;
use super::state::{Shared, State};
use super::{BroadcastStats, Missed, Slow};
use crate::TryRecvError;
use crate::sync::Arc;
use weirs_runtime::waiting::{Look, Turn};

/// The end of a broadcast that things are taken from; a [`Stream`]. Each receiver gets every item.
///
/// What it is given is `Ok(item)`, or [`Missed`] in the place of items that a policy dropped. With
/// [`Slow::Wait`] nothing is ever missed. Dropped, it holds nobody back any more.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    place: usize,
    /// What was sent before it came.
    replay: VecDeque<Value<T>>,
}

/// What there is to get.
enum Got<R> {
    Some(R),
    Missed(Missed),
    End,
}

impl<R> Got<R> {
    fn into_option(self) -> Option<Result<R, Missed>> {
        match self {
            Self::Some(got) => Some(Ok(got)),
            Self::Missed(missed) => Some(Err(missed)),
            Self::End => None,
        }
    }
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, slow: Slow) -> Self {
        let (place, replay) = shared.state.change(|state| state.subscribe(slow));
        Self { shared, place, replay }
    }

    /// A new receiver with the policy of the broadcast, which gets what is sent from now on.
    pub fn subscribe(&self) -> Self {
        Self::new(Arc::clone(&self.shared), self.shared.slow)
    }

    /// How many items wait for this receiver.
    pub fn len(&self) -> usize {
        self.replay.len() + self.shared.state.change(|state| state.ring(self.place).used())
    }

    /// Whether no item waits for it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing can be sent any more; there may be items left.
    pub fn is_closed(&self) -> bool {
        self.shared.state.peek(|state| state.closed)
    }

    /// A look at the broadcast.
    pub fn stats(&self) -> BroadcastStats {
        self.shared.stats()
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next item, or hears what it missed; `None` when the broadcast is closed and all was
    /// received.
    ///
    /// # Waiting
    /// It waits until something is sent.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was received.
    ///
    /// # Panics
    /// In whatever way an item's `clone` does while items are [replayed](super::Builder::replay): that
    /// item is skipped.
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self }
    }

    /// Receives the next item if there is one, or hears what it missed.
    ///
    /// # Errors
    /// [`TryRecvError`] says whether there may be one later.
    pub fn try_recv(&mut self) -> Result<Result<T, Missed>, TryRecvError> {
        if let Some(item) = self.replayed() {
            return Ok(Ok(item));
        }
        let got = self
            .shared
            .state
            .change(|state| got(state, self.place, |state, place| state.change_ring(place, Ring::take_one)));
        match got {
            None => Err(TryRecvError::Empty),
            Some(got) => got.into_option().ok_or(TryRecvError::Closed),
        }
    }

    /// Receives up to `most` items at once, at the end of `into`, and says how many; zero at the end, or
    /// when `most` is zero. A batch ends where something was missed.
    ///
    /// # Waiting
    /// It waits for the first item only.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was received.
    ///
    /// # Errors
    /// [`Missed`] if that comes next.
    pub fn recv_many<'a>(&'a mut self, into: &'a mut Vec<T>, most: usize) -> RecvMany<'a, T> {
        RecvMany { receiver: self, into, most }
    }

    /// A stream of the items that takes up to `most` at a time, for the price of one lock.
    ///
    /// What it has in hand counts against the capacity until it is used up.
    pub fn batches(self, most: NonZeroUsize) -> Batches<T> {
        Batches { receiver: self, most: most.get(), hand: VecDeque::new(), taken: 0 }
    }

    fn replayed(&mut self) -> Option<T> {
        self.replay.pop_front().map(Value::unwrap_or_clone)
    }

    fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<Option<Result<T, Missed>>> {
        if let Some(item) = self.replayed() {
            return Poll::Ready(Some(Ok(item)));
        }
        self.poll_got(cx, |state, place| state.change_ring(place, Ring::take_one)).map(Got::into_option)
    }

    fn poll_got<R>(
        &mut self,
        cx: &Context<'_>,
        mut take: impl FnMut(&mut State<T>, usize) -> Option<R>,
    ) -> Poll<Got<R>> {
        let place = self.place;
        self.shared.state.poll(cx, |state: &mut State<T>, look: &mut Look<'_, '_>| {
            match got(state, place, &mut take) {
                Some(got) => {
                    look.drop_later(state.ring(place).waker.take());
                    Turn::Ready(got)
                }
                None => look.wait_alone(&mut state.ring(place).waker),
            }
        })
    }
}

/// What is next in a ring, if it is there.
fn got<T, R>(
    state: &mut State<T>,
    place: usize,
    take: impl FnOnce(&mut State<T>, usize) -> Option<R>,
) -> Option<Got<R>> {
    if let Some(missed) = state.ring(place).take_gap() {
        return Some(Got::Missed(Missed::Lagged(missed)));
    }
    if let Some(taken) = take(state, place) {
        return Some(Got::Some(taken));
    }
    let closed = state.closed;
    let ring = state.ring(place);
    if ring.is_let_go && !ring.has_heard {
        ring.has_heard = true;
        return Some(Got::Missed(Missed::Disconnected));
    }
    (ring.is_let_go || closed).then_some(Got::End)
}

impl<T: Clone> Stream for Receiver<T> {
    type Item = Result<T, Missed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let ring = self.shared.state.change(|state| state.unsubscribe(self.place));
        let Some(mut ring) = ring else { return };
        weirs_runtime::waiting::let_go(ring.waker.take());
        drop(ring);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Receives an item; made by [`Receiver::recv`].
#[derive(Debug)]
#[must_use = "nothing is received before it is awaited"]
pub struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T: Clone> Future for Recv<'_, T> {
    type Output = Option<Result<T, Missed>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_recv(cx)
    }
}

/// Receives several items; made by [`Receiver::recv_many`].
#[derive(Debug)]
#[must_use = "nothing is received before it is awaited"]
pub struct RecvMany<'a, T> {
    receiver: &'a mut Receiver<T>,
    into: &'a mut Vec<T>,
    most: usize,
}

impl<T: Clone> Future for RecvMany<'_, T> {
    type Output = Result<usize, Missed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver, into, most } = &mut *self;
        let before = into.len();
        while into.len() - before < *most {
            let Some(item) = receiver.replayed() else { break };
            into.push(item);
        }
        if into.len() > before || *most == 0 {
            return Poll::Ready(Ok(into.len() - before));
        }
        let got = receiver.poll_got(cx, |state, place| {
            let number = state.ring(place).ready(*most);
            state.change_ring(place, |ring| ring.take_into_vec(number, into));
            (number > 0).then_some(number)
        });
        got.map(|got| got.into_option().unwrap_or(Ok(0)))
    }
}

/// A stream of a broadcast's items that takes several at a time; made by [`Receiver::batches`].
///
/// # Examples
/// ```
/// use std::collections::VecDeque;
/// use std::num::NonZeroUsize;
/// use futures_lite::StreamExt;
/// use weirs_channels_utils::broadcast;
/// use weirs_runtime::block_on;
///
/// let (sender, receiver) = broadcast::channel(NonZeroUsize::new(8).unwrap());
/// let batches = receiver.batches(NonZeroUsize::new(4).unwrap());
/// block_on(sender.send_all(&mut VecDeque::from([1, 2, 3]))).unwrap();
/// drop(sender);
/// assert_eq!(block_on(batches.collect::<Vec<_>>()), [Ok(1), Ok(2), Ok(3)]);
/// ```
pub struct Batches<T> {
    receiver: Receiver<T>,
    most: usize,
    hand: VecDeque<T>,
    taken: usize,
}

impl<T> Unpin for Batches<T> {}

impl<T: Clone> Stream for Batches<T> {
    type Item = Result<T, Missed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { receiver, most, hand, taken } = &mut *self;
        if let Some(item) = hand.pop_front().or_else(|| receiver.replayed()) {
            return Poll::Ready(Some(Ok(item)));
        }
        let got = receiver.poll_got(cx, |state, place| {
            state.change_ring(place, |ring| {
                ring.in_hand -= std::mem::take(taken);
                let number = ring.ready(*most);
                ring.take_into(number, hand);
                ring.in_hand += number;
                *taken = number;
                (number > 0).then_some(number)
            })
        });
        match got {
            Poll::Ready(got) => match got.into_option() {
                Some(Ok(_)) => Poll::Ready(hand.pop_front().map(Ok)),
                Some(Err(missed)) => Poll::Ready(Some(Err(missed))),
                None => Poll::Ready(None),
            },
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Batches<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Batches");
        debug.field("in_hand", &self.hand.len()).field("most", &self.most).finish_non_exhaustive()
    }
}
