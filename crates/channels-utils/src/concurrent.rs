//! [`Concurrent`]: work on the items of a stream, several at once, and who polls it.

mod by_key;
mod children;
mod drive;
mod each;
mod hub;
mod panics;
mod run;
mod shelf;
mod together;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

pub use by_key::ByKey;
pub use drive::{Drive, RecvResult, Results};
pub use each::Each;
pub use run::{RunConcurrent, TryRunConcurrent};
pub use shelf::{AsReady, InOrder};
pub use together::{ForEachWith, TryForEachWith};

/// What the work's traits name, for the compiler's sake.
pub(crate) mod plumbing {
    pub use super::Work;
    pub use super::hub::Hub;
    pub use super::panics::FirstPanic;
    pub use super::shelf::Shelf;
}

use hub::Hub;
use panics::FirstPanic;

/// Several things at once; it is polled in turns.
pub trait Work {
    /// A result.
    type Item;

    /// Starts what there is room for and polls who was woken. So many results are held outside.
    fn turn(self: Pin<&mut Self>, hub: &mut Hub, outside: usize);

    /// The next result.
    fn take(self: Pin<&mut Self>) -> Option<Self::Item>;

    /// Whether nothing runs and nothing will, once no result is left to take.
    fn is_over(&self) -> bool;

    /// Drops all that runs, and the source.
    fn stop(self: Pin<&mut Self>, panics: &mut FirstPanic);

    /// So many results may be finished and not taken, besides those who run.
    fn set_unread(&mut self, most: usize);
}

pin_project! {
    /// Futures made of the items of a stream, several at once; a stream of their results.
    ///
    /// Made by [`map_concurrent`](crate::StreamUtil::map_concurrent),
    /// [`map_concurrent_unordered`](crate::StreamUtil::map_concurrent_unordered),
    /// [`try_map_concurrent`](crate::StreamUtil::try_map_concurrent),
    /// [`try_map_concurrent_unordered`](crate::StreamUtil::try_map_concurrent_unordered) and
    /// [`map_by_key`](crate::StreamUtil::map_by_key).
    ///
    /// # Who polls the futures
    /// Nothing is spawned: the futures run while somebody polls this, and only then. As a stream it is polled
    /// while its consumer waits for the next result. **While the consumer awaits something else, everything
    /// in here stands still**: connections time out, and a consumer that waits for a lock or a permit which
    /// one of the futures holds waits for ever. That is so of every stream that runs futures, `buffered` and
    /// `FuturesUnordered` too. So there are three ways to consume the results:
    ///
    /// | | the futures run while | for |
    /// |---|---|---|
    /// | as a stream | the consumer waits for a result | a body that awaits nothing else |
    /// | [`for_each_with`](Self::for_each_with) | the consumer's body awaits, too | a body for each result |
    /// | [`drive`](Self::drive) | the consumer awaits anything | a loop, with `break` and `?` |
    ///
    /// To have them run on other threads too, let the futures be tasks: spawn in the function, await the
    /// task in the future that it returns.
    ///
    /// # Waiting
    /// A turn starts what there is room for, then polls those futures that were woken, in the order of their
    /// wakes, and at most 64 of them; the rest is for the next turn. A future that was just started is polled
    /// before a result is given, so that its request is on its way. The cost is that of the futures that were
    /// woken, however many wait.
    ///
    /// # Memory
    /// At most `n` futures run, and at most [`unread`](Self::unread) results wait besides; items are taken
    /// out of the source when there is room for them and not before. The box of a future is used again for
    /// the next: a long stream allocates no more than a short one.
    ///
    /// # Cancel safety
    /// Waiting for the next result may be given up at any time. Dropped, it drops the futures that run and
    /// the results that nobody took.
    ///
    /// # Panics
    /// A panic in the source, in the function or in a future goes to whoever polls. What panicked is gone,
    /// with its item. Polled again, it goes on with all others.
    ///
    /// # Examples
    /// The body of a loop holds what the futures need; together with them it gets done:
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::stream;
    /// use smol::lock::Semaphore;
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let connections = Semaphore::new(1);
    /// let fetch = async |page: u32| {
    ///     let _connection = connections.acquire().await;
    ///     futures_lite::future::yield_now().await;
    ///     page * 10
    /// };
    /// let mut stored = Vec::new();
    /// let two = NonZeroUsize::new(2).unwrap();
    /// block_on(stream::iter(1..=4).map_concurrent(two, fetch).drive(async |mut pages| {
    ///     while let Some(page) = pages.recv().await {
    ///         // In a plain loop over the stream this waits for ever: the next fetch has the connection.
    ///         let _connection = connections.acquire().await;
    ///         stored.push(page);
    ///     }
    /// }));
    /// assert_eq!(stored, [10, 20, 30, 40]);
    /// ```
    #[must_use = "nothing runs before it is polled"]
    pub struct Concurrent<W> {
        // Before the work: what is dropped with it wakes nobody any more.
        hub: Hub,
        #[pin]
        work: W,
    }
}

impl<W: Work> Concurrent<W> {
    pub(crate) fn new(work: W) -> Self {
        Self { hub: Hub::new(), work }
    }

    /// How many results may be finished and not yet taken, besides the futures that run; `n` if nothing else
    /// is said.
    ///
    /// With zero, a result that was not taken holds the place of a future; in order, so does one that waits
    /// for an earlier one.
    pub fn unread(mut self, most: usize) -> Self {
        self.work.set_unread(most);
        self
    }

    /// Calls `body` with each result and awaits it, while the futures go on.
    ///
    /// # Waiting
    /// The bodies run one after another, together with the futures, until the last is done.
    ///
    /// # Cancel safety
    /// Dropped, it drops the body and the futures that run, and the results that nobody took.
    ///
    /// # Panics
    /// A panic in the body goes to whoever polls; that body is gone, and polled again it goes on with the
    /// next.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::stream;
    /// use weirs_channels_utils::{StreamUtil, bounded};
    /// use weirs_runtime::block_on;
    ///
    /// let two = NonZeroUsize::new(2).unwrap();
    /// let (sender, mut receiver) = bounded(NonZeroUsize::new(8).unwrap());
    /// let squares = stream::iter(1..=4).map_concurrent(two, async |n| n * n);
    /// block_on(squares.for_each_with(async |square| {
    ///     // While this waits for room, the next squares are made.
    ///     sender.send(square).await.unwrap();
    /// }));
    /// assert_eq!(receiver.remaining().collect::<Vec<_>>(), [1, 4, 9, 16]);
    /// ```
    pub fn for_each_with<B, C>(self, body: B) -> ForEachWith<W, B, C>
    where
        B: FnMut(W::Item) -> C,
        C: Future<Output = ()>,
    {
        ForEachWith::new(self, body)
    }

    /// As [`for_each_with`](Self::for_each_with), until a body fails.
    ///
    /// # Errors
    /// The first error of a body. By then the futures that ran were dropped, and the source.
    ///
    /// # Examples
    /// Over work that may fail too, one `?` joins both errors:
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::stream;
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let two = NonZeroUsize::new(2).unwrap();
    /// let parsed = stream::iter(["1", "2", "x", "4"])
    ///     .try_map_concurrent(two, async |text| text.parse::<u32>());
    /// let mut sum = 0;
    /// let result = block_on(parsed.try_for_each_with(|number| {
    ///     let added = number.map(|number| sum += number);
    ///     async move { added }
    /// }));
    /// assert!(result.is_err());
    /// assert_eq!(sum, 3);
    /// ```
    pub fn try_for_each_with<B, C, E>(self, body: B) -> TryForEachWith<W, B, C>
    where
        B: FnMut(W::Item) -> C,
        C: Future<Output = Result<(), E>>,
    {
        TryForEachWith::new(self, body)
    }

    /// Runs `consumer` together with the futures: whatever it awaits, they go on.
    ///
    /// The consumer gets the results as a stream of its own, [`Results`]. It may end early; then the futures
    /// that still run are dropped, before its output is given.
    ///
    /// # Waiting
    /// It waits for the consumer. When the consumer drops the results, the futures go on until there is no
    /// room for more results.
    ///
    /// # Cancel safety
    /// Dropped, it drops the consumer, the futures that run, and the results that nobody took.
    ///
    /// # Panics
    /// A panic in the consumer goes to whoever polls, and ends it: it is not to be polled again. After a
    /// panic in a future it goes on with all others.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::stream;
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let two = NonZeroUsize::new(2).unwrap();
    /// let squares = stream::iter(1..).map_concurrent(two, async |n: u32| n * n);
    /// let first_large = block_on(squares.drive(async |mut squares| {
    ///     while let Some(square) = squares.recv().await {
    ///         if square > 50 {
    ///             return Some(square);
    ///         }
    ///     }
    ///     None
    /// }));
    /// assert_eq!(first_large, Some(64));
    /// ```
    pub fn drive<C: Future>(self, consumer: impl FnOnce(Results<W::Item>) -> C) -> Drive<W, C> {
        Drive::new(self, consumer)
    }
}

impl<W: Work> Stream for Concurrent<W> {
    type Item = W::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<W::Item>> {
        let this = self.project();
        let mut work = this.work;
        work.as_mut().turn(this.hub, 0);
        if let Some(item) = work.as_mut().take() {
            return Poll::Ready(Some(item));
        }
        if work.is_over() {
            return Poll::Ready(None);
        }
        this.hub.rest(cx.waker());
        Poll::Pending
    }
}

impl<W: fmt::Debug> fmt::Debug for Concurrent<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrent").field("work", &self.work).finish()
    }
}
