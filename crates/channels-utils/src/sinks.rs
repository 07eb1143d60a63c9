//! Sinks made of sinks: [`SinkToAll`], [`SinkToAny`], [`BatchSink`], [`OverflowSink`].

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

/// A sink that gives a clone of each item to every one of some sinks.
///
/// It is ready when all are. A sink that fails is taken out, and its error is given once; the others go on.
/// So an error of `poll_ready` or `poll_flush` does not mean that an item is lost for them: ask again.
///
/// # Panics
/// A panic of `clone` goes to the caller; the sinks that come after do not get that item.
///
/// # Examples
/// ```
/// use futures::SinkExt;
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{SinkToAll, bounded};
/// use weirs_runtime::block_on;
///
/// let (one, mut first) = bounded(NonZeroUsize::MIN);
/// let (two, mut second) = bounded(NonZeroUsize::MIN);
/// let mut both = SinkToAll::new([one.into_sink(), two.into_sink()]);
/// block_on(both.send("news")).unwrap();
/// assert_eq!((first.try_recv(), second.try_recv()), (Ok("news"), Ok("news")));
/// ```
pub struct SinkToAll<Si> {
    sinks: Vec<Pin<Box<Si>>>,
}

impl<Si> SinkToAll<Si> {
    /// To all of these.
    pub fn new(sinks: impl IntoIterator<Item = Si>) -> Self {
        Self { sinks: sinks.into_iter().map(Box::pin).collect() }
    }

    /// How many sinks are left.
    pub fn len(&self) -> usize {
        self.sinks.len()
    }

    /// Whether no sink is left: items are dropped.
    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    fn poll_all<E>(
        &mut self,
        mut poll: impl FnMut(Pin<&mut Si>) -> Poll<Result<(), E>>,
    ) -> Poll<Result<(), E>> {
        let mut all = Poll::Ready(Ok(()));
        let mut at = 0;
        while let Some(sink) = self.sinks.get_mut(at) {
            match poll(sink.as_mut()) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    drop(self.sinks.remove(at));
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => all = Poll::Pending,
            }
            at += 1;
        }
        all
    }
}

impl<T: Clone, Si: Sink<T>> Sink<T> for SinkToAll<Si> {
    type Error = Si::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        self.poll_all(|sink| sink.poll_ready(cx))
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), Si::Error> {
        let (mut error, mut at, mut left) = (None, 0, Some(item));
        // In place: a clone that panics takes no sink along.
        while at < self.sinks.len() {
            let item = if at + 1 == self.sinks.len() { left.take() } else { left.clone() };
            match item.map_or(Ok(()), |item| self.sinks[at].as_mut().start_send(item)) {
                Ok(()) => at += 1,
                Err(failed) => {
                    drop(self.sinks.remove(at));
                    error = error.or(Some(failed));
                }
            }
        }
        error.map_or(Ok(()), Err)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        self.poll_all(|sink| sink.poll_flush(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        self.poll_all(|sink| sink.poll_close(cx))
    }
}

impl<Si> fmt::Debug for SinkToAll<Si> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkToAll").field("sinks", &self.sinks.len()).finish()
    }
}

/// A sink that gives each item to one of some sinks: the next in turn that is ready.
///
/// A sink that fails is taken out, and its error is given once. Without sinks it is never ready.
///
/// # Examples
/// ```
/// use futures::SinkExt;
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{SinkToAny, bounded};
/// use weirs_runtime::block_on;
///
/// let (one, mut first) = bounded(NonZeroUsize::MIN);
/// let (two, mut second) = bounded(NonZeroUsize::MIN);
/// let mut any = SinkToAny::new([one.into_sink(), two.into_sink()]);
/// block_on(async {
///     any.send(1).await.unwrap();
///     any.send(2).await.unwrap();
/// });
/// assert_eq!((first.try_recv(), second.try_recv()), (Ok(1), Ok(2)));
/// ```
pub struct SinkToAny<Si> {
    sinks: Vec<Pin<Box<Si>>>,
    next: usize,
    /// The one that said that it is ready.
    ready: Option<usize>,
}

impl<Si> SinkToAny<Si> {
    /// To one of these.
    pub fn new(sinks: impl IntoIterator<Item = Si>) -> Self {
        Self { sinks: sinks.into_iter().map(Box::pin).collect(), next: 0, ready: None }
    }

    /// How many sinks are left.
    pub fn len(&self) -> usize {
        self.sinks.len()
    }

    /// Whether no sink is left.
    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    fn remove(&mut self, at: usize) {
        self.ready = None;
        drop(self.sinks.remove(at));
    }

    fn poll_all<E>(
        &mut self,
        mut poll: impl FnMut(Pin<&mut Si>) -> Poll<Result<(), E>>,
    ) -> Poll<Result<(), E>> {
        let mut all = Poll::Ready(Ok(()));
        for at in 0..self.sinks.len() {
            match poll(self.sinks[at].as_mut()) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.remove(at);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => all = Poll::Pending,
            }
        }
        all
    }
}

impl<T, Si: Sink<T>> Sink<T> for SinkToAny<Si> {
    type Error = Si::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        let this = &mut *self;
        let number = this.sinks.len();
        // One that is ready keeps room: asked again, it is still the one.
        let first = this.ready.take().unwrap_or(this.next);
        for at in (0..number).map(|turn| (first + turn) % number) {
            match this.sinks[at].as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    this.ready = Some(at);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => {
                    this.remove(at);
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// # Panics
    /// When no sink said that it is ready.
    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), Si::Error> {
        let at = self.ready.take().expect("poll_ready comes before start_send");
        self.next = at + 1;
        let sent = self.sinks[at].as_mut().start_send(item);
        if sent.is_err() {
            self.remove(at);
        }
        sent
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        self.poll_all(|sink| sink.poll_flush(cx))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        self.poll_all(|sink| sink.poll_close(cx))
    }
}

impl<Si> fmt::Debug for SinkToAny<Si> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkToAny").field("sinks", &self.sinks.len()).finish_non_exhaustive()
    }
}

/// A sink of single items that gives them on in batches of so many. A flush gives on what there is.
///
/// # Examples
/// ```
/// use futures::{SinkExt, stream};
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{BatchSink, bounded};
/// use weirs_runtime::block_on;
///
/// let (sender, mut batches) = bounded(NonZeroUsize::new(4).unwrap());
/// let mut sink = BatchSink::new(sender.into_sink(), NonZeroUsize::new(2).unwrap());
/// block_on(sink.send_all(&mut stream::iter([1, 2, 3].map(Ok)))).unwrap();
/// assert_eq!(batches.remaining().collect::<Vec<_>>(), [vec![1, 2], vec![3]]);
/// ```
pub struct BatchSink<Si, T> {
    sink: Pin<Box<Si>>,
    batch: Vec<T>,
    most: usize,
}

impl<Si, T> BatchSink<Si, T> {
    /// Batches of at most so many.
    pub fn new(sink: Si, most: NonZeroUsize) -> Self {
        Self { sink: Box::pin(sink), batch: Vec::new(), most: most.get() }
    }

    /// What was not given on yet.
    pub fn pending(&self) -> &[T] {
        &self.batch
    }
}

impl<Si: Sink<Vec<T>>, T> BatchSink<Si, T> {
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        if !self.batch.is_empty() {
            ready!(self.sink.as_mut().poll_ready(cx))?;
            let batch = std::mem::take(&mut self.batch);
            self.sink.as_mut().start_send(batch)?;
        }
        Poll::Ready(Ok(()))
    }
}

// Items are moved, never pinned.
impl<Si, T> Unpin for BatchSink<Si, T> {}

impl<Si: Sink<Vec<T>>, T> Sink<T> for BatchSink<Si, T> {
    type Error = Si::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        if self.batch.len() < self.most {
            return Poll::Ready(Ok(()));
        }
        self.poll_empty(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), Si::Error> {
        self.batch.push(item);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        ready!(self.poll_empty(cx))?;
        self.sink.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        ready!(self.poll_empty(cx))?;
        self.sink.as_mut().poll_close(cx)
    }
}

impl<Si, T> fmt::Debug for BatchSink<Si, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BatchSink");
        debug.field("pending", &self.batch.len()).field("most", &self.most).finish_non_exhaustive()
    }
}

/// A sink that never waits: while the sink behind it is not ready, up to so many items are kept, and what is
/// more is dropped and counted.
///
/// What is kept goes on whenever this sink is polled; a flush waits until all of it has.
///
/// # Examples
/// ```
/// use futures::{SinkExt, StreamExt, stream};
/// use std::num::NonZeroUsize;
/// use weirs_channels_utils::{OverflowSink, bounded};
/// use weirs_runtime::block_on;
///
/// let (sender, mut receiver) = bounded(NonZeroUsize::MIN);
/// let mut sink = OverflowSink::drop_oldest(sender.into_sink(), NonZeroUsize::new(2).unwrap());
/// block_on(async {
///     for number in 0..9 {
///         sink.feed(number).await.unwrap();
///     }
///     assert_eq!(receiver.next().await, Some(0));
///     assert_eq!(sink.dropped(), 6);
///     sink.feed(9).await.unwrap();
///     assert_eq!(receiver.next().await, Some(7));
/// });
/// ```
pub struct OverflowSink<Si, T> {
    sink: Pin<Box<Si>>,
    kept: VecDeque<T>,
    capacity: usize,
    drops_oldest: bool,
    dropped: u64,
}

impl<Si, T> OverflowSink<Si, T> {
    /// In front of a sink, with room for so many items. When there is none the oldest goes, as with
    /// [`Overflow::DropOldest`](crate::Overflow::DropOldest).
    pub fn drop_oldest(sink: Si, capacity: NonZeroUsize) -> Self {
        let capacity = capacity.get();
        Self { sink: Box::pin(sink), kept: VecDeque::new(), capacity, drops_oldest: true, dropped: 0 }
    }

    /// In front of a sink, with room for so many items. When there is none the new one goes, as with
    /// [`Overflow::DropNewest`](crate::Overflow::DropNewest).
    pub fn drop_newest(sink: Si, capacity: NonZeroUsize) -> Self {
        Self { drops_oldest: false, ..Self::drop_oldest(sink, capacity) }
    }

    /// How many items were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many items wait for the sink.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }
}

impl<Si: Sink<T>, T> OverflowSink<Si, T> {
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        while !self.kept.is_empty() {
            ready!(self.sink.as_mut().poll_ready(cx))?;
            if let Some(item) = self.kept.pop_front() {
                self.sink.as_mut().start_send(item)?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

// Items are moved, never pinned.
impl<Si, T> Unpin for OverflowSink<Si, T> {}

impl<Si: Sink<T>, T> Sink<T> for OverflowSink<Si, T> {
    type Error = Si::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        match self.poll_empty(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), Si::Error> {
        let this = &mut *self;
        let mut dropped = None;
        if this.kept.len() == this.capacity {
            this.dropped += 1;
            if !this.drops_oldest {
                return Ok(());
            }
            dropped = this.kept.pop_front();
        }
        this.kept.push_back(item);
        drop(dropped);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        ready!(self.poll_empty(cx))?;
        self.sink.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Si::Error>> {
        ready!(self.poll_empty(cx))?;
        self.sink.as_mut().poll_close(cx)
    }
}

impl<Si, T> fmt::Debug for OverflowSink<Si, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("OverflowSink");
        debug.field("kept", &self.kept.len()).field("dropped", &self.dropped).finish_non_exhaustive()
    }
}
