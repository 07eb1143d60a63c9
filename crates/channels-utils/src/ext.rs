//! [`StreamUtil`]: the operators, as methods of every stream.
// tidy: allow(size): each operator is a method of this one trait, and most of it is their docs.

use std::future::Future;
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

/// Operators over any [`Stream`]; what comes out is a stream again.
pub trait StreamUtil: Stream {
    // Where items go, and until when.

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
    /// of its own.
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
    /// None is dropped: the source waits.
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
    /// were in no window yet are given in a last one.
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
