//! [`ParMap`]: a function of each item of a stream, on several tasks of a runtime.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use weirs_channels_utils::{Batches, bounded};
use weirs_runtime::{PanicPayload, Runtime};

use crate::Invalid;
use crate::pipeline::plumbing::{Blueprint, FromStream};
use crate::pipeline::{Cause, Order, Pipeline, PipelineError, Running, each_outcome};

/// The results of a pipeline, as a stream; made by [`Pipeline::into_stream`], and by [`ParMap`].
///
/// The pipeline goes on while nobody asks, until as many results are unread as may be.
///
/// # Cancel safety
/// A poll that is not ready took nothing. Dropped, the pipeline is dropped.
pub struct PipelineStream<T> {
    batches: Batches<T>,
    running: Option<Running<()>>,
}

impl<T: Send + 'static> PipelineStream<T> {
    fn start<B>(pipeline: Pipeline<B>, unread: NonZeroUsize, runtime: &Runtime) -> Result<Self, Invalid>
    where
        B: Blueprint<Item = T>,
    {
        let (sender, receiver) = bounded(unread);
        let at_once = NonZeroUsize::new(unread.get().div_ceil(2).min(32)).unwrap_or(NonZeroUsize::MIN);
        let running = pipeline.into_channel(sender, at_once.get()).run(runtime)?;
        Ok(Self { batches: receiver.batches(at_once), running: Some(running) })
    }

    /// The next result; at the end, how the pipeline ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, PipelineError>>> {
        if let Some(item) = ready!(Pin::new(&mut self.batches).poll_next(cx)) {
            return Poll::Ready(Some(Ok(item)));
        }
        let Some(running) = &mut self.running else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(running).poll(cx));
        self.running = None;
        Poll::Ready(ended.err().map(Err))
    }
}

impl<T: Send + 'static> Stream for PipelineStream<T> {
    type Item = Result<T, PipelineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl<T> fmt::Debug for PipelineStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineStream").field("running", &self.running).finish_non_exhaustive()
    }
}

impl<B: Blueprint> Pipeline<B> {
    /// Starts it on a runtime, and gives its results as a stream, of which so many may be unread, besides
    /// half as many that are on their way. If the pipeline fails, the error is the last item.
    ///
    /// # Errors
    /// A setting that makes no sense, or two stages of one name.
    ///
    /// # Examples
    /// ```
    /// use std::num::NonZeroUsize;
    /// use futures_lite::{StreamExt, stream};
    /// use weirs_pipelines::Pipeline;
    /// use weirs_testing::sim::Sim;
    ///
    /// Sim::new(1).run(|runtime| async move {
    ///     let parse = async |text: &'static str| text.parse::<u32>();
    ///     let pipeline = Pipeline::source(stream::iter(["1", "2", "x", "4"])).stage("parse", 2, parse);
    ///     let mut numbers = pipeline.into_stream(NonZeroUsize::MIN, &runtime).unwrap();
    ///     assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
    ///     assert_eq!(numbers.next().await.unwrap().unwrap(), 2);
    ///     assert_eq!(numbers.next().await.unwrap().unwrap_err().stage, "parse");
    ///     assert!(numbers.next().await.is_none());
    /// }).unwrap();
    /// ```
    pub fn into_stream(
        self,
        unread: NonZeroUsize,
        runtime: &Runtime,
    ) -> Result<PipelineStream<B::Item>, Invalid> {
        PipelineStream::start(self, unread, runtime)
    }
}

/// A function of each item of a stream, on several tasks of a runtime: `par_map`, for every stream.
///
/// It is a [`Pipeline`] of one stage. The work goes on while the consumer is busy, until a few times as many
/// results as there are workers are unread; then it waits, and so does the source. A job that panics costs
/// itself only: its result says so. Dropped, all of it is dropped.
///
/// For work that only waits, [`map_concurrent`](weirs_channels_utils::StreamUtil::map_concurrent) does the
/// same without tasks, and may borrow. Very short jobs are done faster by a plain `map`.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use futures_lite::{StreamExt, stream};
/// use weirs_pipelines::ParMap;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let two = NonZeroUsize::new(2).unwrap();
///     let squares = stream::iter(1..=4).par_map(two, async |n: u32| n * n, &runtime);
///     let squares: Vec<u32> = squares.map(Result::unwrap).collect().await;
///     assert_eq!(squares, [1, 4, 9, 16]);
/// }).unwrap();
/// ```
pub trait ParMap: Stream<Item: Send + 'static> + Sized + Send + 'static {
    /// So many at once; results in the order of the items.
    ///
    /// # Panics
    /// With more than 2^24 workers.
    #[track_caller]
    fn par_map<U, F, Fut>(self, workers: NonZeroUsize, f: F, runtime: &Runtime) -> ParMapped<U>
    where
        F: Fn(Self::Item) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = U> + Send + 'static,
        U: Send + 'static,
    {
        ParMapped::start(self, workers, f, Order::Ordered, runtime)
    }

    /// So many at once; results as they come.
    ///
    /// # Panics
    /// With more than 2^24 workers.
    #[track_caller]
    fn par_map_unordered<U, F, Fut>(self, workers: NonZeroUsize, f: F, runtime: &Runtime) -> ParMapped<U>
    where
        F: Fn(Self::Item) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = U> + Send + 'static,
        U: Send + 'static,
    {
        ParMapped::start(self, workers, f, Order::Unordered, runtime)
    }

    /// One at a time for each key, and so many keys at once; results as they come, those of one key in order.
    fn par_map_by_key<U, K, N, F, Fut>(
        self,
        keys: NonZeroUsize,
        key_of: N,
        f: F,
        runtime: &Runtime,
    ) -> ParMapped<U>
    where
        K: Hash,
        N: Fn(&Self::Item) -> K + Send + Sync + 'static,
        F: Fn(Self::Item) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = U> + Send + 'static,
        U: Send + 'static,
    {
        ParMapped::start(self, keys, f, Order::by_key(key_of), runtime)
    }
}

impl<S: Stream<Item: Send + 'static> + Send + 'static> ParMap for S {}

/// The results of [`ParMap`]: for each item what came of it, or its panic.
pub struct ParMapped<U>(PipelineStream<Result<U, PanicPayload>>);

impl<U: Send + 'static> ParMapped<U> {
    #[track_caller]
    fn start<S, F, Fut>(
        stream: S,
        workers: NonZeroUsize,
        f: F,
        order: Order<S::Item>,
        runtime: &Runtime,
    ) -> Self
    where
        S: Stream<Item: Send + 'static> + Send + 'static,
        F: Fn(S::Item) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = U> + Send + 'static,
    {
        let work = move |item| {
            let result = f(item);
            async move { Ok::<_, Infallible>(result.await) }
        };
        let source: Pipeline<FromStream<S>> = Pipeline::source(stream);
        let pipeline = each_outcome(source, "par_map", workers.get(), work, order);
        match PipelineStream::start(pipeline, workers, runtime) {
            Ok(results) => Self(results),
            Err(invalid) => panic!("{invalid}"),
        }
    }
}

impl<U: Send + 'static> Stream for ParMapped<U> {
    type Item = Result<U, PanicPayload>;

    /// # Panics
    /// A panic of the source goes to whoever polls, and ends it.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.0.poll(cx)) {
            None => Poll::Ready(None),
            Some(Ok(result)) => Poll::Ready(Some(result)),
            // Only the source can stop it; or the runtime is gone.
            Some(Err(error)) => match error.cause {
                Cause::Panicked(payload) => resume_unwind(payload.into_inner()),
                cause => panic!("par_map: {cause}"),
            },
        }
    }
}

impl<U> fmt::Debug for ParMapped<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParMapped").field(&self.0).finish()
    }
}
