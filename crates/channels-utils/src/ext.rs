//! [`StreamUtil`]: the operators, as methods of every stream.
// tidy: allow(size): each operator is a method of this one trait, and most of it is their docs.

use std::future::{Future, IntoFuture};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures_core::Stream;
use weirs_runtime::{Clock, ZeroPeriod};

use crate::concurrent::{AsReady, ByKey, Concurrent, Each, InOrder, RunConcurrent, TryRunConcurrent};
use crate::time::{
    ByNumber, ByWeight, ChunksOrTimeout, Debounce, Edges, Heartbeat, IdleTimeout, SampleEvery,
    SessionWindows, SlidingWindows, Throttle, TimeoutEach, TumblingWindows, WindowsByCount,
};
use crate::{Bridge, BridgeUnordered, Conflate, EveryNth, OrDone, Part, Shared, TakeLast, Tee, TeeHub};

/// Operators over any [`Stream`]; what comes out is a stream again.
pub trait StreamUtil: Stream {
    // Where items go, and until when.

    /// The items until a signal is there: a cancelled token, a deadline, a closed channel, any future.
    ///
    /// When both are ready the signal is first. It ends the stream at once; items that were not given out are
    /// untouched in the source, which [`into_inner`](OrDone::into_inner) gives back.
    ///
    /// In Go this is `orDone`: a goroutine that selects on the channel and on `ctx.Done()`, twice for each
    /// value. Here it is a look at the signal, and no task.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::StreamExt;
    /// use weirs_channels_utils::{OrDoneEnd, StreamUtil, bounded};
    /// use weirs_runtime::block_on;
    ///
    /// let (sender, receiver) = bounded(NonZeroUsize::new(4).unwrap());
    /// let (stop, mut stopped) = bounded::<&str>(NonZeroUsize::MIN);
    /// block_on(async {
    ///     let mut items = receiver.or_done(Box::pin(async move { stopped.recv().await }));
    ///     sender.send(1).await.unwrap();
    ///     assert_eq!(items.next().await, Some(1));
    ///
    ///     sender.send(2).await.unwrap();
    ///     stop.send("enough").await.unwrap();
    ///     assert_eq!(items.next().await, None);
    ///     assert_eq!(items.end(), Some(OrDoneEnd::Stopped));
    ///     assert_eq!(items.stopped_by(), Some(&Some("enough")));
    /// });
    /// ```
    fn or_done<F: IntoFuture>(self, signal: F) -> OrDone<Self, F::IntoFuture>
    where
        Self: Sized,
    {
        OrDone::new(self, signal.into_future())
    }

    /// The items of a stream of streams, one stream after the other, in order.
    ///
    /// One stream is at hand at a time; the next is asked for when it has ended. Items may be results: an
    /// error is an item, and nothing stops for it.
    ///
    /// In Go this is the bridge: a goroutine that reads a channel of channels and forwards each to its end.
    ///
    /// # Examples
    /// ```
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let pages = stream::iter([stream::iter(vec![1, 2]), stream::iter(vec![]), stream::iter(vec![3])]);
    /// assert_eq!(block_on(pages.bridge().collect::<Vec<_>>()), [1, 2, 3]);
    /// ```
    fn bridge(self) -> Bridge<Self>
    where
        Self: Sized,
        Self::Item: Stream,
    {
        Bridge::new(self)
    }

    /// The items of a stream of streams, up to `most` streams at a time, in the order in which they come.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let feeds = stream::iter([stream::iter(vec![1, 2]), stream::iter(vec![3])]);
    /// let mut items = block_on(feeds.bridge_unordered(NonZeroUsize::new(2).unwrap()).collect::<Vec<_>>());
    /// items.sort();
    /// assert_eq!(items, [1, 2, 3]);
    /// ```
    fn bridge_unordered(self, most: NonZeroUsize) -> BridgeUnordered<Self>
    where
        Self: Sized,
        Self::Item: Stream,
    {
        BridgeUnordered::new(self, most)
    }

    /// `N` consumers, each of which gets every item; for a policy for slow ones, or a number that changes,
    /// see [`tee_hub`](Self::tee_hub).
    ///
    /// The slowest is never more than `bound` items behind: the others wait for it.
    ///
    /// In Go this is `tee`: a goroutine that sends each value to two channels, in whichever order they are
    /// ready, with a bound of one.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, future, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let [numbers, others] = stream::iter(1..=9).tee(NonZeroUsize::new(4).unwrap());
    /// let sum = numbers.fold(0, |sum, n| sum + n);
    /// let largest = others.fold(0, |max, n| n.max(max));
    /// assert_eq!(block_on(future::zip(sum, largest)), (45, 9));
    /// ```
    fn tee<const N: usize>(self, bound: NonZeroUsize) -> [Tee<Self>; N]
    where
        Self: Sized,
        Self::Item: Clone,
    {
        let hub = self.tee_hub(bound);
        std::array::from_fn(|_| hub.subscribe())
    }

    /// As [`tee`](Self::tee), with items in an `Arc`: for what cannot be cloned, or is large.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use std::sync::Arc;
    /// use futures_lite::{StreamExt, future, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let documents = stream::iter([String::from("a long one")]);
    /// let [mut log, mut index] = documents.tee_arc(NonZeroUsize::MIN);
    /// let (one, other) = block_on(future::zip(log.next(), index.next()));
    /// assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
    /// ```
    fn tee_arc<const N: usize>(self, bound: NonZeroUsize) -> [Tee<Shared<Self>>; N]
    where
        Self: Sized,
    {
        Shared::new(self).tee(bound)
    }

    /// A source for consumers that come and go, each with its own policy for when it is slow. Each may be
    /// `bound` items behind.
    fn tee_hub(self, bound: NonZeroUsize) -> TeeHub<Self>
    where
        Self: Sized,
        Self::Item: Clone,
    {
        TeeHub::new(self, bound)
    }

    /// Two streams: the items for which `question` says yes, and the others.
    ///
    /// Whichever needs an item polls the source; up to `bound` items wait for the other one.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let (even, odd) = stream::iter(1..=6).divide(|n| n % 2 == 0, NonZeroUsize::new(4).unwrap());
    /// assert_eq!(block_on(even.collect::<Vec<_>>()), [2, 4, 6]);
    /// assert_eq!(block_on(odd.collect::<Vec<_>>()), [1, 3, 5]);
    /// ```
    fn divide<P>(self, question: P, bound: NonZeroUsize) -> (Part<Self, P>, Part<Self, P>)
    where
        Self: Sized,
        P: FnMut(&Self::Item) -> bool,
    {
        crate::tee::divide(self, question, bound)
    }

    /// All that is ready, folded into one: `init` makes it of the first item, `fold` adds each further one.
    ///
    /// Nobody polls while the consumer is busy: what came meanwhile waits in the source, and is folded when
    /// the consumer asks. So a source that is a channel has to have room for it, or a policy. A source that
    /// is always ready gives one for each 1024 items.
    ///
    /// # Cancel safety
    /// What is folded and not given out is kept for the next poll.
    ///
    /// # Panics
    /// A panic of `init` or `fold` goes to whoever polls. What `fold` was changing stays as it left it; the
    /// item is gone.
    ///
    /// # Examples
    /// ```
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let mut sums = stream::iter([1, 2, 3]).conflate(|n| n, |sum, n| *sum += n);
    /// assert_eq!(block_on(sums.next()), Some(6));
    /// ```
    fn conflate<B, I, F>(self, init: I, fold: F) -> Conflate<Self, B, I, F>
    where
        Self: Sized,
        I: FnMut(Self::Item) -> B,
        F: FnMut(&mut B, Self::Item),
    {
        Conflate::new(self, init, fold)
    }

    /// One of `every` items, the first of them.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let items = stream::iter(0..7).every_nth(NonZeroUsize::new(3).unwrap());
    /// assert_eq!(block_on(items.collect::<Vec<_>>()), [0, 3, 6]);
    /// ```
    fn every_nth(self, every: NonZeroUsize) -> EveryNth<Self>
    where
        Self: Sized,
    {
        EveryNth::new(self, every)
    }

    /// The last `number` items, when the stream has ended. No more than so many are kept.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let last = stream::iter(0..7).take_last(NonZeroUsize::new(2).unwrap());
    /// assert_eq!(block_on(last.collect::<Vec<_>>()), [5, 6]);
    /// ```
    fn take_last(self, number: NonZeroUsize) -> TakeLast<Self>
    where
        Self: Sized,
    {
        TakeLast::new(self, number)
    }

    // Time.

    /// Items in batches of `n`; a batch that is not full goes when its first item has waited for `within`.
    ///
    /// When the source ends, the batch goes at once. What a batch holds is not lost when the stream is
    /// dropped before: [`ChunksOrTimeout::into_remainder`] has it.
    ///
    /// # Waiting
    /// The timer starts when a batch has an item and the source has no more for now: a source that fills
    /// batches without a pause costs no timer and no look at the clock. Whoever does not poll gets no batch
    /// meanwhile, and the next poll gives the one that is late.
    ///
    /// # Cancel safety
    /// Waiting for the next batch may be given up at any time.
    ///
    /// # Errors
    /// When `within` is zero: whether an item has to wait would be chance. `futures` has `ready_chunks`.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use std::time::Duration;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::{Clock, block_on};
    ///
    /// # fn main() -> Result<(), weirs_runtime::ZeroPeriod> {
    /// let (n, within) = (NonZeroUsize::new(2).unwrap(), Duration::from_millis(20));
    /// let batches = stream::iter(1..=5).chunks_or_timeout(n, within, &Clock::default())?;
    /// assert_eq!(block_on(batches.collect::<Vec<_>>()), [vec![1, 2], vec![3, 4], vec![5]]);
    /// # Ok(())
    /// # }
    /// ```
    fn chunks_or_timeout(
        self,
        n: NonZeroUsize,
        within: Duration,
        clock: &Clock,
    ) -> Result<ChunksOrTimeout<Self>, ZeroPeriod>
    where
        Self: Sized,
    {
        ChunksOrTimeout::new(self, n, within, ByNumber, clock)
    }

    /// As [`chunks_or_timeout`](Self::chunks_or_timeout), with a limit on what the items of a batch weigh
    /// together.
    ///
    /// An item that would make a batch too heavy begins the next one. One that alone is too heavy is a batch
    /// of its own. Items that weigh nothing are bounded by the time alone.
    ///
    /// # Panics
    /// A panic in `weigh` goes to whoever polls; the item that it was to weigh is gone, and no other.
    ///
    /// # Errors
    /// When `within` is zero.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use std::time::Duration;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::{Clock, block_on};
    ///
    /// # fn main() -> Result<(), weirs_runtime::ZeroPeriod> {
    /// let (most, within) = (NonZeroUsize::new(5).unwrap(), Duration::from_millis(20));
    /// let words = stream::iter(["or", "tee", "merge", "a"]);
    /// let batches = words.chunks_by_weight_or_timeout(most, within, |word| word.len(), &Clock::default())?;
    /// assert_eq!(block_on(batches.collect::<Vec<_>>()), [vec!["or", "tee"], vec!["merge"], vec!["a"]]);
    /// # Ok(())
    /// # }
    /// ```
    fn chunks_by_weight_or_timeout<W>(
        self,
        most: NonZeroUsize,
        within: Duration,
        weigh: W,
        clock: &Clock,
    ) -> Result<ChunksOrTimeout<Self, ByWeight<W>>, ZeroPeriod>
    where
        Self: Sized,
        W: FnMut(&Self::Item) -> usize,
    {
        ChunksOrTimeout::new(self, most, within, ByWeight(weigh), clock)
    }

    /// Items no faster than `n` a period, evenly spread; after a quiet time, `burst` of them at once.
    ///
    /// None is dropped: the source waits. `StreamExt` of tokio-stream has a method of the same name: where
    /// both are in scope, write `StreamUtil::throttle(stream, ..)`.
    ///
    /// # Waiting
    /// One item is taken out of the source and waits for its time. There is no timer while there is none.
    ///
    /// # Cancel safety
    /// Waiting for the next item may be given up at any time. The item that waits is in
    /// [`Throttle::into_parts`].
    ///
    /// # Errors
    /// When `period` is zero.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use std::time::Duration;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::{Clock, block_on};
    ///
    /// # fn main() -> Result<(), weirs_runtime::ZeroPeriod> {
    /// let (ten, burst) = (NonZeroUsize::new(10).unwrap(), NonZeroUsize::new(3).unwrap());
    /// let period = Duration::from_secs(1);
    /// let slow = stream::iter(1..=3).throttle(ten, period, burst, &Clock::default())?;
    /// // Three are a burst; a fourth would have waited for a tenth of a second.
    /// assert_eq!(block_on(slow.collect::<Vec<_>>()), [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    fn throttle(
        self,
        n: NonZeroUsize,
        period: Duration,
        burst: NonZeroUsize,
        clock: &Clock,
    ) -> Result<Throttle<Self>, ZeroPeriod>
    where
        Self: Sized,
    {
        Throttle::new(self, n, period, burst, clock)
    }

    /// Of each burst the first item, the last, or both: a burst is over when nothing has come for `quiet`.
    ///
    /// A burst of one is given once. The others are dropped. When the source ends, the last item goes at
    /// once. A source that is never quiet has its last item given at its end;
    /// [`sample_every`](Self::sample_every) gives some on the way.
    ///
    /// # Waiting
    /// There is no timer between bursts.
    ///
    /// # Cancel safety
    /// Waiting for the next item may be given up at any time.
    ///
    /// # Errors
    /// When `quiet` is zero.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use std::time::Duration;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::{Clock, block_on};
    ///
    /// # fn main() -> Result<(), weirs_runtime::ZeroPeriod> {
    /// use weirs_channels_utils::Edges;
    ///
    /// let keys = || stream::iter(["w", "we", "weir"]);
    /// let (quiet, clock) = (Duration::from_millis(20), Clock::default());
    /// let typed = keys().debounce(quiet, Edges::Trailing, &clock)?;
    /// assert_eq!(block_on(typed.collect::<Vec<_>>()), ["weir"]);
    /// let typed = keys().debounce(quiet, Edges::Both, &clock)?;
    /// assert_eq!(block_on(typed.collect::<Vec<_>>()), ["w", "weir"]);
    /// # Ok(())
    /// # }
    /// ```
    fn debounce(self, quiet: Duration, edges: Edges, clock: &Clock) -> Result<Debounce<Self>, ZeroPeriod>
    where
        Self: Sized,
    {
        Debounce::new(self, quiet, edges, clock)
    }

    /// The last item of each period, at its end; periods without an item give none. The others are dropped.
    ///
    /// Periods are counted from the first item. When the source ends, the last item goes at once.
    ///
    /// # Waiting
    /// There is no timer while no item waits.
    ///
    /// # Cancel safety
    /// Waiting for the next item may be given up at any time.
    ///
    /// # Errors
    /// When `period` is zero.
    fn sample_every(self, period: Duration, clock: &Clock) -> Result<SampleEvery<Self>, ZeroPeriod>
    where
        Self: Sized,
    {
        SampleEvery::new(self, period, clock)
    }

    /// Items by the period in which they came, a [`TimeWindow`](crate::TimeWindow) for each that has any.
    ///
    /// Periods are counted from the first item. A window that has `most` items is given before its end, and
    /// the rest of its period makes another. When the source ends, the window goes at once.
    ///
    /// # Waiting
    /// There is no timer while there is no item.
    ///
    /// # Cancel safety
    /// Waiting for the next window may be given up at any time.
    ///
    /// # Errors
    /// When `period` is zero.
    fn tumbling_windows(
        self,
        period: Duration,
        most: NonZeroUsize,
        clock: &Clock,
    ) -> Result<TumblingWindows<Self>, ZeroPeriod>
    where
        Self: Sized,
    {
        TumblingWindows::new(self, period, most, clock)
    }

    /// What came in the last `length`, after each `step`; nothing if nothing came.
    ///
    /// Steps are counted from the first item. When a window would have more than `most` items, the oldest
    /// are dropped, and [`is_full`](crate::TimeWindow::is_full) says so. When the source ends, items that
    /// were in no window yet are given in a last one. With a `length` shorter than the `step`, what comes
    /// between two windows is dropped.
    ///
    /// # Waiting
    /// There is no timer while there is no item.
    ///
    /// # Cancel safety
    /// Waiting for the next window may be given up at any time.
    ///
    /// # Panics
    /// When an item's `clone` panics, that window is not given; the items are in the next.
    ///
    /// # Errors
    /// When `length` or `step` is zero.
    fn sliding_windows(
        self,
        length: Duration,
        step: Duration,
        most: NonZeroUsize,
        clock: &Clock,
    ) -> Result<SlidingWindows<Self>, ZeroPeriod>
    where
        Self: Sized,
        Self::Item: Clone,
    {
        SlidingWindows::new(self, length, step, most, clock)
    }

    /// Items that came close together: a window is over when nothing has come for `gap`, or when it has
    /// `most` items.
    ///
    /// When the source ends, the window goes at once.
    ///
    /// # Waiting
    /// There is no timer between windows.
    ///
    /// # Cancel safety
    /// Waiting for the next window may be given up at any time.
    ///
    /// # Errors
    /// When `gap` is zero.
    fn session_windows(
        self,
        gap: Duration,
        most: NonZeroUsize,
        clock: &Clock,
    ) -> Result<SessionWindows<Self>, ZeroPeriod>
    where
        Self: Sized,
    {
        SessionWindows::new(self, gap, most, clock)
    }

    /// Windows of `size` items, a new one every `step` items.
    ///
    /// With a step of the size they tumble, with a smaller one they slide and share items, with a larger one
    /// items between them are dropped. When the source ends, items that were in no window yet come in a
    /// shorter last one.
    ///
    /// # Panics
    /// When an item's `clone` panics, nothing is lost: polled again, the window is tried again.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use std::time::Duration;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::{Clock, block_on};
    ///
    /// # fn main() -> Result<(), weirs_runtime::ZeroPeriod> {
    /// let (three, one) = (NonZeroUsize::new(3).unwrap(), NonZeroUsize::MIN);
    /// let windows = stream::iter([1, 2, 3, 4, 5]).windows_by_count(three, one);
    /// let sums = windows.map(|window| window.into_iter().sum::<i32>());
    /// assert_eq!(block_on(sums.collect::<Vec<_>>()), [6, 9, 12]);
    /// # Ok(())
    /// # }
    /// ```
    fn windows_by_count(self, size: NonZeroUsize, step: NonZeroUsize) -> WindowsByCount<Self>
    where
        Self: Sized,
        Self::Item: Clone,
    {
        WindowsByCount::new(self, size, step)
    }

    /// Items, and [`Elapsed`](weirs_runtime::Elapsed) whenever one is waited for longer than `limit`; the
    /// stream goes on after it.
    ///
    /// # Waiting
    /// Time runs from the first poll that has to wait for an item, and anew after each `Elapsed`. An item
    /// that is there at the limit still counts.
    ///
    /// # Cancel safety
    /// Waiting for the next item may be given up at any time.
    ///
    /// # Errors
    /// When `limit` is zero.
    fn timeout_each(self, limit: Duration, clock: &Clock) -> Result<TimeoutEach<Self>, ZeroPeriod>
    where
        Self: Sized,
    {
        TimeoutEach::new(self, limit, clock)
    }

    /// Items, until one is waited for longer than `limit`: then [`Elapsed`](weirs_runtime::Elapsed), and the
    /// end.
    ///
    /// # Waiting
    /// As [`timeout_each`](Self::timeout_each).
    ///
    /// # Cancel safety
    /// Waiting for the next item may be given up at any time.
    ///
    /// # Errors
    /// When `limit` is zero.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use std::time::Duration;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::{Clock, block_on};
    ///
    /// # fn main() -> Result<(), weirs_runtime::ZeroPeriod> {
    /// let silent = stream::once(1).chain(stream::pending());
    /// let mut limited = silent.idle_timeout(Duration::from_millis(1), &Clock::default())?;
    /// assert_eq!(block_on(limited.next()), Some(Ok(1)));
    /// assert_eq!(block_on(limited.next()), Some(Err(weirs_runtime::Elapsed)));
    /// assert_eq!(block_on(limited.next()), None);
    /// # Ok(())
    /// # }
    /// ```
    fn idle_timeout(self, limit: Duration, clock: &Clock) -> Result<IdleTimeout<Self>, ZeroPeriod>
    where
        Self: Sized,
    {
        IdleTimeout::new(self, limit, clock)
    }

    /// Items, and one of `make` whenever nothing has come for `quiet`.
    ///
    /// # Waiting
    /// Time runs from the first poll that has to wait, and anew after each item of either kind.
    ///
    /// # Cancel safety
    /// Waiting for the next item may be given up at any time.
    ///
    /// # Errors
    /// When `quiet` is zero.
    fn heartbeat<F>(self, quiet: Duration, make: F, clock: &Clock) -> Result<Heartbeat<Self, F>, ZeroPeriod>
    where
        Self: Sized,
        F: FnMut() -> Self::Item,
    {
        Heartbeat::new(self, quiet, make, clock)
    }

    // Several at once.

    /// Makes a future of each item and runs up to `n` of them at once; the results come in the order of the
    /// items.
    ///
    /// A result that is finished before an earlier one waits for it; [`Concurrent::unread`] bounds how many.
    /// The futures run while the stream is polled, and only then: see [`Concurrent`] for who polls them,
    /// when they are dropped, and what a panic does.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let three = NonZeroUsize::new(3).unwrap();
    /// let doubled = stream::iter(1..=5).map_concurrent(three, async |n| n * 2);
    /// assert_eq!(block_on(doubled.collect::<Vec<_>>()), [2, 4, 6, 8, 10]);
    /// ```
    #[doc(alias = "buffered")]
    fn map_concurrent<F, U>(self, n: NonZeroUsize, f: F) -> Concurrent<Each<Self, F, U, InOrder<U::Output>>>
    where
        Self: Sized,
        F: FnMut(Self::Item) -> U,
        U: Future,
    {
        Concurrent::new(Each::new(self, n, f, |_| false))
    }

    /// Makes a future of each item and runs up to `n` of them at once; the results come as they are ready.
    ///
    /// The futures run while the stream is polled, and only then: see [`Concurrent`].
    #[doc(alias = "buffer_unordered")]
    fn map_concurrent_unordered<F, U>(
        self,
        n: NonZeroUsize,
        f: F,
    ) -> Concurrent<Each<Self, F, U, AsReady<U::Output>>>
    where
        Self: Sized,
        F: FnMut(Self::Item) -> U,
        U: Future,
    {
        Concurrent::new(Each::new(self, n, f, |_| false))
    }

    /// As [`map_concurrent`](Self::map_concurrent), until a future fails.
    ///
    /// # Errors
    /// The first error, in the order of time, is the last result. When it happens the other futures are
    /// dropped at once, and so is the source. The results that come before it in order and are finished by
    /// then are given first.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let two = NonZeroUsize::new(2).unwrap();
    /// let parsed = stream::iter(["1", "2", "three", "4"])
    ///     .try_map_concurrent(two, async |text| text.parse::<u8>());
    /// let parsed: Vec<_> = block_on(parsed.collect());
    /// assert!(matches!(parsed[..], [Ok(1), Ok(2), Err(_)]));
    /// ```
    fn try_map_concurrent<F, U, T, E>(
        self,
        n: NonZeroUsize,
        f: F,
    ) -> Concurrent<Each<Self, F, U, InOrder<U::Output>>>
    where
        Self: Sized,
        F: FnMut(Self::Item) -> U,
        U: Future<Output = Result<T, E>>,
    {
        Concurrent::new(Each::new(self, n, f, Result::is_err))
    }

    /// As [`map_concurrent_unordered`](Self::map_concurrent_unordered), until a future fails.
    ///
    /// # Errors
    /// As [`try_map_concurrent`](Self::try_map_concurrent): all results that are finished come first.
    fn try_map_concurrent_unordered<F, U, T, E>(
        self,
        n: NonZeroUsize,
        f: F,
    ) -> Concurrent<Each<Self, F, U, AsReady<U::Output>>>
    where
        Self: Sized,
        F: FnMut(Self::Item) -> U,
        U: Future<Output = Result<T, E>>,
    {
        Concurrent::new(Each::new(self, n, f, Result::is_err))
    }

    /// Makes a future of each item, runs up to `n` of them at once, and waits for all.
    ///
    /// It is the `for_each_concurrent` of other crates, under a name that does not collide with theirs.
    ///
    /// # Waiting
    /// It waits until the source has ended and all futures are done. Source and futures are polled together,
    /// so nothing stands still while something else is awaited.
    ///
    /// # Cancel safety
    /// Dropped, it drops the futures that run and the source.
    ///
    /// # Panics
    /// A panic in the source, in `f` or in a future goes to whoever polls. What panicked is gone, with its
    /// item. Polled again, it goes on with all others.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use futures_lite::stream;
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let sum = AtomicU32::new(0);
    /// let four = NonZeroUsize::new(4).unwrap();
    /// block_on(stream::iter(1..=100).run_concurrent(four, async |n| {
    ///     sum.fetch_add(n, Ordering::Relaxed);
    /// }));
    /// assert_eq!(sum.into_inner(), 5050);
    /// ```
    #[doc(alias = "for_each_concurrent")]
    fn run_concurrent<F, U>(self, n: NonZeroUsize, f: F) -> RunConcurrent<Each<Self, F, U, AsReady<()>>>
    where
        Self: Sized,
        F: FnMut(Self::Item) -> U,
        U: Future<Output = ()>,
    {
        RunConcurrent::new(Each::new(self, n, f, |()| false))
    }

    /// As [`run_concurrent`](Self::run_concurrent), until a future fails.
    ///
    /// # Errors
    /// The first error. By then the other futures were dropped, and the source.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::stream;
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let four = NonZeroUsize::new(4).unwrap();
    /// let checked = stream::iter(1..).try_run_concurrent(four, async |n: u32| {
    ///     if n % 10 == 0 { Err(n) } else { Ok(()) }
    /// });
    /// assert_eq!(block_on(checked), Err(10));
    /// ```
    #[doc(alias = "try_for_each_concurrent")]
    fn try_run_concurrent<F, U, E>(
        self,
        n: NonZeroUsize,
        f: F,
    ) -> TryRunConcurrent<Each<Self, F, U, AsReady<U::Output>>>
    where
        Self: Sized,
        F: FnMut(Self::Item) -> U,
        U: Future<Output = Result<(), E>>,
    {
        TryRunConcurrent::new(Each::new(self, n, f, Result::is_err))
    }

    /// Makes a future of each item; those of one key run one after another, in the order of the items, and up
    /// to `keys` keys run at once.
    ///
    /// A key has a place while it has something to do, and no longer: keys may be any number, and none has to
    /// wait for another that shares a worker with it. The results come as they are ready; those of one key in
    /// order.
    ///
    /// The futures run while the stream is polled, and only then: see [`Concurrent`].
    ///
    /// # Waiting
    /// At most `per_key` items of a key are inside, the one that runs among them. The source waits while its
    /// next item has no room: because its key has that many, or because it is a new key and all places are
    /// taken. Meanwhile the keys that are inside go on.
    ///
    /// # Memory
    /// At most `keys * per_key` items and one more, and [`Concurrent::unread`] results.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_channels_utils::StreamUtil;
    /// use weirs_runtime::block_on;
    ///
    /// let events = [("ann", 1), ("bob", 1), ("ann", 2), ("bob", 2), ("ann", 3)];
    /// let (keys, per_key) = (NonZeroUsize::new(8).unwrap(), NonZeroUsize::new(2).unwrap());
    /// let applied = stream::iter(events).map_by_key(|event| event.0, keys, per_key, async |event| event);
    /// let applied: Vec<_> = block_on(applied.collect());
    /// let of_ann: Vec<_> = applied.iter().filter(|event| event.0 == "ann").map(|event| event.1).collect();
    /// assert_eq!(of_ann, [1, 2, 3]);
    /// ```
    fn map_by_key<N, K, F, U>(
        self,
        key_of: N,
        keys: NonZeroUsize,
        per_key: NonZeroUsize,
        f: F,
    ) -> Concurrent<ByKey<Self, K, N, F, U>>
    where
        Self: Sized,
        N: FnMut(&Self::Item) -> K,
        K: Hash + Eq + Clone,
        F: FnMut(Self::Item) -> U,
        U: Future,
    {
        Concurrent::new(ByKey::new(self, key_of, keys, per_key, f))
    }
}

impl<S: Stream + ?Sized> StreamUtil for S {}
