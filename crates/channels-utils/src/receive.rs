//! [`ReceiveAny`]: from whichever of several channels has something.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::{Receiver, TryRecvError};

/// Receives from whichever of several channels has something.
///
/// In Go this is a `select` over several receives; [`try_recv`](Self::try_recv) is the one with a `default`.
/// It looks at every channel in turn: for hundreds see [`merge`](crate::merge()), for channels of different
/// types [`merge_tuple`](crate::merge_tuple).
///
/// # Fairness
/// It begins its look after the channel that gave the last item: of `n` channels one that has something waits
/// for at most `n - 1` items of others. With [`biased`](Self::biased) it begins with the first each time.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{ReceiveAny, TryRecvError, bounded};
/// use weirs_runtime::block_on;
///
/// let (orders, for_orders) = bounded(NonZeroUsize::new(4).unwrap());
/// let (refunds, for_refunds) = bounded(NonZeroUsize::new(4).unwrap());
/// let mut any = ReceiveAny::new([for_orders, for_refunds]);
/// orders.try_send("one").unwrap();
/// orders.try_send("two").unwrap();
/// refunds.try_send("three").unwrap();
/// block_on(async {
///     assert_eq!(any.recv().await, Some((0, "one")));
///     assert_eq!(any.recv().await, Some((1, "three")));
///     assert_eq!(any.try_recv(), Ok((0, "two")));
///     assert_eq!(any.try_recv(), Err(TryRecvError::Empty));
///     drop((orders, refunds));
///     assert_eq!(any.recv().await, None);
/// });
/// ```
#[derive(Debug)]
pub struct ReceiveAny<T> {
    receivers: Vec<Receiver<T>>,
    next: usize,
    biased: bool,
}

impl<T> ReceiveAny<T> {
    /// From these; an item comes with its channel's place in the list.
    pub fn new(receivers: impl IntoIterator<Item = Receiver<T>>) -> Self {
        Self { receivers: receivers.into_iter().collect(), next: 0, biased: false }
    }

    /// Begins with the first channel each time. As long as it has something, the others get no turn.
    #[must_use]
    pub fn biased(mut self) -> Self {
        self.biased = true;
        self
    }

    /// Receives an item, and says from which channel; `None` when all are closed and empty.
    ///
    /// # Waiting
    /// It waits while all channels are empty and one may still get items.
    ///
    /// # Cancel safety
    /// Dropped before it completes, nothing was received, and other receivers are called in its place.
    pub fn recv(&mut self) -> RecvAny<'_, T> {
        RecvAny { any: self }
    }

    /// Receives an item if there is one.
    ///
    /// # Errors
    /// [`TryRecvError`] says whether there may be one later.
    pub fn try_recv(&mut self) -> Result<(usize, T), TryRecvError> {
        let number = self.receivers.len();
        let first = if self.biased { 0 } else { self.next };
        let mut error = TryRecvError::Closed;
        for turn in 0..number {
            let at = (first + turn) % number;
            match self.receivers[at].try_recv() {
                Ok(item) => {
                    self.next = at + 1;
                    return Ok((at, item));
                }
                Err(TryRecvError::Empty) => error = TryRecvError::Empty,
                Err(TryRecvError::Closed) => {}
            }
        }
        Err(error)
    }

    /// The channels, in their order.
    pub fn receivers(&mut self) -> &mut [Receiver<T>] {
        &mut self.receivers
    }

    /// The channels, as they were.
    pub fn into_inner(self) -> Vec<Receiver<T>> {
        self.receivers
    }

    fn give_up(&mut self) {
        // A call that is not answered would be one that another receiver does not get.
        self.receivers.iter_mut().for_each(Receiver::give_up);
    }
}

/// Receives an item from any of several channels; made by [`ReceiveAny::recv`].
#[derive(Debug)]
#[must_use = "nothing is received before it is awaited"]
pub struct RecvAny<'a, T> {
    any: &'a mut ReceiveAny<T>,
}

impl<T> Future for RecvAny<'_, T> {
    type Output = Option<(usize, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let any = &mut *self.any;
        match any.try_recv() {
            Ok(received) => return Poll::Ready(Some(received)),
            Err(TryRecvError::Closed) => return Poll::Ready(None),
            Err(TryRecvError::Empty) => {}
        }
        let mut left = false;
        let number = any.receivers.len();
        let first = if any.biased { 0 } else { any.next };
        for at in (0..number).map(|turn| (first + turn) % number) {
            match Pin::new(&mut any.receivers[at]).poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    any.next = at + 1;
                    return Poll::Ready(Some((at, item)));
                }
                Poll::Ready(None) => {}
                Poll::Pending => left = true,
            }
        }
        if left { Poll::Pending } else { Poll::Ready(None) }
    }
}

impl<T> Drop for RecvAny<'_, T> {
    fn drop(&mut self) {
        self.any.give_up();
    }
}
