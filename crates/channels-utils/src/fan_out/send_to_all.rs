//! [`send_to_all`]: each item into every channel.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use pin_project_lite::pin_project;

use super::TURN;
use crate::{Closed, Sender, SenderSink};

/// Sends a clone of each item of a stream into every channel.
///
/// The next item is taken when the one before is in all of them; a channel that shall not hold the others up
/// has an [overflow policy](crate::Overflow). For streams out and no future to drive see
/// [`tee`](crate::StreamUtil::tee). An output whose receivers are gone is left out from then on.
///
/// # Waiting
/// It waits for the stream, and for room in every channel.
///
/// # Cancel safety
/// Dropped, an item that some channels have already is dropped for the others.
///
/// # Panics
/// A panic of the stream or of an item's `clone` goes to whoever polls. The output that the clone was for is
/// left out; polled again it goes on with the others.
///
/// # Errors
/// [`Closed`], with the item in hand if there is one, when every output is gone; that is noticed even if the
/// stream is silent. When the stream has ended it gives how many
/// items there were.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use futures_lite::stream;
/// use weirs_channels_utils::{bounded, send_to_all};
/// use weirs_runtime::block_on;
///
/// let (senders, mut receivers): (Vec<_>, Vec<_>) =
///     (0..2).map(|_| bounded(NonZeroUsize::new(4).unwrap())).unzip();
/// assert_eq!(block_on(send_to_all(stream::iter(["news"]), senders)), Ok(1));
/// for receiver in &mut receivers {
///     assert_eq!(receiver.try_recv(), Ok("news"));
/// }
/// ```
pub fn send_to_all<S: Stream<Item: Clone>>(
    source: S,
    outputs: impl IntoIterator<Item = Sender<S::Item>>,
) -> SendToAll<S> {
    let output = |sender: Sender<S::Item>| Output { sink: sender.into_sink(), has_it: false, cloning: false };
    SendToAll { source, outputs: outputs.into_iter().map(output).collect(), item: None, sent: 0 }
}

pin_project! {
    /// Sends items into every channel; made by [`send_to_all`].
    #[must_use = "nothing is sent before it is awaited"]
    pub struct SendToAll<S: Stream> {
        #[pin]
        source: S,
        outputs: Vec<Output<S::Item>>,
        item: Option<S::Item>,
        sent: u64,
    }
}

struct Output<T> {
    sink: SenderSink<T>,
    has_it: bool,
    /// In a clone; after it only when that panicked.
    cloning: bool,
}

impl<S: Stream> SendToAll<S> {
    /// How many outputs are left.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }
}

impl<S: Stream<Item: Clone>> Future for SendToAll<S> {
    type Output = Result<u64, Closed<Option<S::Item>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        this.outputs.retain(|output| !output.cloning);
        for _ in 0..TURN {
            if this.item.is_none() {
                let item = match this.source.as_mut().poll_next(cx) {
                    Poll::Ready(Some(item)) => item,
                    Poll::Ready(None) => {
                        this.outputs.clear();
                        return Poll::Ready(Ok(*this.sent));
                    }
                    // It may be silent for ever. One output at a time is watched.
                    Poll::Pending => {
                        while let Some(last) = this.outputs.last_mut() {
                            ready!(last.sink.poll_closed(cx));
                            this.outputs.pop();
                        }
                        return Poll::Ready(Err(Closed(None)));
                    }
                };
                *this.item = Some(item);
                this.outputs.iter_mut().for_each(|output| output.has_it = false);
            }
            let (mut waits, mut at) = (false, 0);
            while let (Some(output), Some(item)) = (this.outputs.get_mut(at), this.item.as_ref()) {
                at += 1;
                if output.has_it {
                    continue;
                }
                if Pin::new(&mut output.sink).poll_ready(cx).is_pending() {
                    waits = true;
                    continue;
                }
                output.cloning = true;
                let item = item.clone();
                output.cloning = false;
                match Pin::new(&mut output.sink).start_send(item) {
                    Err(error) if error.is_closed() => {
                        at -= 1;
                        this.outputs.remove(at);
                    }
                    // Refused by the policy, or sent.
                    _ => output.has_it = true,
                }
            }
            if waits {
                return Poll::Pending;
            }
            let item = this.item.take();
            if this.outputs.is_empty() {
                return Poll::Ready(Err(Closed(item)));
            }
            drop(item);
            *this.sent += 1;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Stream> fmt::Debug for SendToAll<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SendToAll");
        debug.field("outputs", &self.outputs.len()).field("sent", &self.sent).finish_non_exhaustive()
    }
}
