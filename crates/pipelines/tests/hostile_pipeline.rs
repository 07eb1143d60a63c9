//! Pipelines in bad company: executors that are gone, numbers without measure, sources without end, keys and
//! places that panic.

use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Sink;
use futures::task::{FutureObj, Spawn, SpawnError};
use futures_lite::future::{or, yield_now};
use futures_lite::{StreamExt, stream};
use weirs_pipelines::{
    Cause, DeadLetter, DeadLetterRing, Left, ParMap, Pipeline, Retry, WorkQueue, WorkerPool,
};
use weirs_runtime::Runtime;
use weirs_testing::sim::{Explore, Faults};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, yields};

async fn ready(n: u64) -> Result<u64, Infallible> {
    Ok(n)
}

/// Takes nothing.
struct Refuses;

impl Spawn for Refuses {
    fn spawn_obj(&self, _: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        Err(SpawnError::shutdown())
    }
}

#[apply(runtime_test)]
async fn a_runtime_that_is_gone_is_an_error_and_no_panic(_runtime: Runtime) {
    let gone = Runtime::new(Refuses);
    let source = || Pipeline::source(stream::iter(0_u64..9));
    let plans = [
        source().stage("one", 1, ready).collect().run(&gone),
        source().stage("two", 2, ready).collect().run(&gone),
        source().stage("two", 2, ready).unordered().buffer(2).collect().run(&gone),
        source().stage_by_key("keys", 2, |n| *n, ready).collect().run(&gone),
    ];
    for plan in plans {
        let error = plan.unwrap().await.unwrap_err();
        assert!(matches!(error.cause, Cause::Lost), "{error}");
    }
}

/// Tasks are refused, or cancelled by their executor, wherever that is.
#[test]
fn a_lost_worker_is_an_error_that_loses_no_job() {
    let faults = [
        Faults::new().refuse_spawns(0.3),
        Faults::new().cancel_task("worker 0", 3),
        Faults::new().cancel_task("worker 0", 3).cancel_task("worker 1", 2),
        Faults::new().cancel_task("pipeline: a job", 2),
        Faults::new().cancel_task("pipeline: before a buffer", 4),
    ];
    for (number, faults) in faults.into_iter().enumerate() {
        let refuses = number == 0;
        for by_key in [false, true] {
            let times_lost = Arc::new(AtomicU64::new(0));
            let count = Arc::clone(&times_lost);
            let body = move |runtime: Runtime, count: Arc<AtomicU64>| async move {
                let work = async |n: u64| {
                    yields(n as usize % 3).await;
                    Ok::<_, Infallible>(n)
                };
                let source = Pipeline::source(stream::iter(0_u64..40)).buffer(3);
                let running = if by_key {
                    source.stage_by_key("two", 2, |n| n % 5, work).keep().collect().run(&runtime)
                } else {
                    source.stage("two", 2, work).keep().collect().run(&runtime)
                };
                let (output, stats, mut left, lost) = match running.unwrap().await {
                    Ok(summary) => (Some(summary.output), summary.stats, summary.unprocessed, false),
                    Err(error) => (error.output, error.stats, error.unprocessed, true),
                };
                // Without a driver nobody is there to hand anything back.
                let Some(mut all) = output else { return };
                count.fetch_add(u64::from(lost), Ordering::Relaxed);
                assert!(lost || all.len() == 40, "{stats}");
                if refuses {
                    // What is left in the end is seen to by a task, too.
                    return;
                }
                for state in [Left::Waiting, Left::Interrupted, Left::Finished] {
                    all.extend(left.take::<u64>("two", state));
                    all.extend(left.take::<u64>("buffer", state));
                }
                all.sort_unstable();
                let taken = stats.stage("source").unwrap().taken;
                assert_eq!(all, (0..taken).collect::<Vec<_>>(), "{stats}");
            };
            let explore = Explore::new().faults(faults.clone()).seeds(0..60);
            explore.run(move |runtime| body(runtime, Arc::clone(&count)));
            // Those of keys have no workers, and others no tasks for each job.
            let is_met = refuses || number == 4 || by_key == (number == 3);
            assert_eq!(times_lost.load(Ordering::Relaxed) > 0, is_met, "{number}, {by_key}");
        }
    }
}

/// Never ready, or never done.
struct Stuck(bool);

impl Sink<u64> for Stuck {
    type Error = Infallible;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn start_send(self: Pin<&mut Self>, _: u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }
}

#[apply(runtime_test)]
async fn a_sink_that_is_stuck_is_drained_in_time_and_loses_nothing(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    for takes in [false, true] {
        let source = Pipeline::source(stream::iter(0_u64..50));
        let plan = source.stage("two", 2, ready).buffer(4).stage("one", 1, ready).into_sink(Stuck(takes));
        let running = plan.run(&watching).unwrap();
        yields(20).await;
        let mut summary = running.drain(Duration::from_micros(50)).await.unwrap();
        assert!(summary.aborted);
        let mut all: Vec<u64> = (0..summary.stats.stage("sink").unwrap().given).collect();
        for (stage, left) in [
            ("sink", Left::Waiting),
            ("one", Left::Finished),
            ("one", Left::Waiting),
            ("buffer", Left::Waiting),
            ("two", Left::Finished),
            ("two", Left::Waiting),
        ] {
            all.extend(summary.unprocessed.take::<u64>(stage, left));
        }
        all.sort_unstable();
        let taken = summary.stats.stage("source").unwrap().taken;
        assert_eq!(all, (0..taken).collect::<Vec<_>>());
        watched.idle().await;
    }
}

/// Looks at something when it is dropped, from wherever that is.
struct Nosy(u64, Arc<dyn Fn() + Send + Sync>);

impl Drop for Nosy {
    fn drop(&mut self) {
        (self.1)();
    }
}

impl Clone for Nosy {
    fn clone(&self) -> Self {
        (self.1)();
        Self(self.0, Arc::clone(&self.1))
    }
}

/// For the queue, which hashes under its lock.
impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Nosy {}

impl Hash for Nosy {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
    }
}

#[apply(runtime_test)]
async fn whatever_is_dropped_may_use_what_it_was_in(runtime: Runtime) {
    type End = Result<Nosy, Nosy>;
    // A pool.
    for ordered in [false, true] {
        let work = async |nosy: Nosy| -> End { if nosy.0 % 2 == 0 { Ok(nosy) } else { Err(nosy) } };
        let builder = WorkerPool::builder(work).workers(2).queue(4).unread(4).retries(1).by_key(|n| n.0 % 3);
        let builder = if ordered { builder.ordered() } else { builder };
        let pool = builder.build(&runtime).unwrap();
        let intake = pool.intake();
        let look: Arc<dyn Fn() + Send + Sync> = Arc::new(move || _ = intake.is_closed());
        let results = pool.results();
        for n in 0..8 {
            pool.submit(Nosy(n, Arc::clone(&look))).await.unwrap();
        }
        drop(results);
        for n in 0..8 {
            pool.submit(Nosy(n, Arc::clone(&look))).await.unwrap();
            let call = pool.call(Nosy(n, Arc::clone(&look)));
            drop(
                or(async { Some(call.await) }, async {
                    yields(n as usize).await;
                    None
                })
                .await,
            );
        }
        match ordered {
            true => drop(pool.abort().await),
            false => drop(pool),
        }
    }
    // A queue of keys.
    let queue = WorkQueue::new(runtime.clock());
    let look: Arc<dyn Fn() + Send + Sync> = {
        let queue = queue.clone();
        Arc::new(move || _ = queue.running())
    };
    for n in 0..6 {
        queue.add(Nosy(n % 3, Arc::clone(&look)));
        queue.add_after(Nosy(n % 4, Arc::clone(&look)), Duration::from_nanos(1));
        queue.add_rate_limited(Nosy(n % 5, Arc::clone(&look)));
    }
    drop(queue.shut_down());
    while let Some(taken) = queue.next().await {
        queue.forget(&taken);
    }
    // A ring of letters.
    let ring = DeadLetterRing::<Nosy, Nosy>::new(NonZeroUsize::new(2).unwrap());
    let look: Arc<dyn Fn() + Send + Sync> = {
        let ring = ring.clone();
        Arc::new(move || _ = ring.len())
    };
    let work = async |nosy: Nosy| -> Result<(), Nosy> { Err(nosy) };
    let jobs: Vec<_> = (0..6).map(|n| Nosy(n, Arc::clone(&look))).collect();
    let plan = Pipeline::source(stream::iter(jobs)).stage("store", 2, work).dead_letters_in(&ring).collect();
    // The errors of this one are no errors of the standard's.
    drop(plan.run(&runtime).unwrap().await);
    assert_eq!(ring.redrive(|_| ring.stats().put == 6), 2);
    drop(ring.take());
}

impl From<Nosy> for Box<dyn std::error::Error + Send + Sync> {
    fn from(nosy: Nosy) -> Self {
        nosy.0.to_string().into()
    }
}

#[test]
fn more_workers_than_can_be_are_a_panic_of_par_map() {
    let runtime = Runtime::new(Refuses);
    let start = || drop(stream::iter(0..3).par_map(NonZeroUsize::MAX, async |n: u64| n, &runtime));
    assert!(catch_unwind(AssertUnwindSafe(start)).is_err());
}

#[apply(runtime_test)]
async fn numbers_without_measure(runtime: Runtime) {
    let source = || Pipeline::source(stream::iter(0_u64..9));
    let endless = Duration::MAX;
    assert_eq!(source().stage("all", usize::MAX, ready).collect().run(&runtime).unwrap_err().field(), "all");
    let plan = || {
        source()
            .stage("one", 1, ready)
            .retry(Retry::times(u32::MAX).after(endless).doubling_to(endless))
            .buffer(usize::MAX)
            .stage("two", 2, ready)
            .unread(usize::MAX)
            .broadcast(usize::MAX, |one| one, |other| other)
            .stage_by_key("keys", 3, |n| *n, ready)
            .per_key(usize::MAX)
            .unread(usize::MAX)
            .stage_by_key("all keys", usize::MAX, |n| *n, ready)
            .batch(usize::MAX, endless)
            .collect()
            .clock(runtime.clock())
    };
    let summary = plan().run(&runtime).unwrap().drain(endless).await.unwrap();
    assert!(summary.output.len() <= 1);
    assert_eq!(plan().run(&runtime).unwrap().await.unwrap().output[0].len(), 18);
    assert_eq!(plan().drive().unwrap().await.unwrap().output[0].len(), 18);
}

#[apply(runtime_test)]
async fn a_batch_of_a_source_without_end_can_be_stopped(runtime: Runtime) {
    for within in [Duration::ZERO, Duration::MAX] {
        let source = Pipeline::source(stream::repeat(()));
        let plan = source.batch(usize::MAX, within).map(|batch| batch.len()).fold(0, |sum, len| *sum += len);
        let running = plan.run(&runtime).unwrap();
        while running.stats().stage("source").unwrap().taken < 1000 {
            yield_now().await;
        }
        running.stop();
        let summary = running.await.unwrap();
        assert_eq!(summary.output as u64, summary.stats.stage("source").unwrap().taken);
    }
}

#[apply(runtime_test)]
async fn a_stage_with_room_for_all_of_an_endless_source_can_be_stopped(runtime: Runtime) {
    for by_key in [false, true] {
        let source = Pipeline::source(stream::repeat(1_u64));
        let running = if by_key {
            let stage = source.stage_by_key("two", 2, |n| *n, ready).per_key(usize::MAX).unread(usize::MAX);
            stage.fold(0, |sum, one| *sum += one).run(&runtime).unwrap()
        } else {
            let stage = source.stage("two", 2, ready).unread(usize::MAX);
            stage.fold(0, |sum, one| *sum += one).run(&runtime).unwrap()
        };
        while running.stats().stage("source").unwrap().taken < 1000 {
            yield_now().await;
        }
        running.stop();
        let summary = running.await.unwrap();
        assert_eq!(summary.output, summary.stats.stage("source").unwrap().taken);
    }
}

#[apply(runtime_test)]
async fn one_that_is_tried_again_for_ever_lets_others_run(runtime: Runtime) {
    for workers in [1, 2] {
        let (tried, mended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let work = {
            let (tried, mended) = (Arc::clone(&tried), Arc::clone(&mended));
            move |n: u64| {
                tried.fetch_add(1, Ordering::Relaxed);
                let result = if mended.load(Ordering::Relaxed) { Ok(n) } else { Err("not yet") };
                async move { result }
            }
        };
        let source = Pipeline::source(stream::iter(0_u64..3));
        let plan = source.stage("store", workers, work).retry(Retry::times(u32::MAX)).collect();
        let running = plan.run(&runtime).unwrap();
        while tried.load(Ordering::Relaxed) < 10 {
            yield_now().await;
        }
        mended.store(true, Ordering::Relaxed);
        assert_eq!(running.await.unwrap().output, [0, 1, 2]);
    }
}

#[apply(runtime_test)]
async fn a_key_that_panics_stops_its_stage_and_loses_nothing(runtime: Runtime) {
    for drives in [false, true] {
        let key = |n: &u64| if *n == 5 { panic!("no key for five") } else { *n % 2 };
        let work = async |n: u64| {
            yields(n as usize % 3).await;
            Ok::<_, Infallible>(n)
        };
        let source = Pipeline::source(stream::iter(0_u64..20));
        let plan = source.stage_by_key("keys", 2, key, work).keep().collect().clock(runtime.clock());
        let ended = if drives { plan.drive().unwrap().await } else { plan.run(&runtime).unwrap().await };
        let mut error = ended.unwrap_err();
        assert_eq!(error.stage, "keys");
        assert!(matches!(&error.cause, Cause::Panicked(payload) if payload.message().contains("five")));
        let mut all = error.output.take().unwrap();
        for left in [Left::Waiting, Left::Interrupted, Left::Finished] {
            all.extend(error.unprocessed.take::<u64>("keys", left));
        }
        all.sort_unstable();
        let taken = error.stats.stage("keys").unwrap().taken;
        assert_eq!(all, (0..taken).collect::<Vec<_>>());
    }
}

/// A place for dead letters that panics where it is told to.
struct Panicky(&'static str, Vec<u64>);

impl Panicky {
    fn at(&self, here: &'static str) -> Poll<Result<(), std::fmt::Error>> {
        if self.0 == here {
            panic_any(here);
        }
        Poll::Ready(Ok(()))
    }
}

impl<E> Sink<DeadLetter<u64, E>> for Panicky {
    type Error = std::fmt::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.at("ready")
    }

    fn start_send(mut self: Pin<&mut Self>, letter: DeadLetter<u64, E>) -> Result<(), Self::Error> {
        self.1.push(letter.job);
        _ = self.at("send");
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.at("flush")
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.at("close")
    }
}

#[apply(runtime_test)]
async fn a_place_for_letters_that_panics_stops_the_pipeline_and_loses_nothing(runtime: Runtime) {
    for place in ["ready", "send", "flush", "close"] {
        for workers in [1, 2] {
            let work = async |n: u64| if n == 3 { Err("three") } else { Ok(n) };
            let source = Pipeline::source(stream::iter(0_u64..9));
            let plan =
                source.stage("store", workers, work).dead_letters(Panicky(place, Vec::new())).collect();
            let mut error = plan.run(&runtime).unwrap().await.unwrap_err();
            assert_eq!((error.stage, matches!(error.cause, Cause::Panicked(_))), ("store", true), "{place}");
            let mut all = error.output.take().unwrap();
            for left in [Left::Waiting, Left::Interrupted, Left::Finished] {
                all.extend(error.unprocessed.take::<u64>("store", left));
            }
            let letters = error.unprocessed.take::<u64>("store", Left::Failed);
            // What the place has taken is the place's.
            assert_eq!(letters.len(), usize::from(place == "ready"), "{place}");
            all.push(3);
            all.sort_unstable();
            let taken = error.stats.stage("store").unwrap().taken;
            assert_eq!(all, (0..taken).collect::<Vec<_>>(), "{place}");
        }
    }
}

/// Panics when it is dropped, and as a source at its third item.
struct Bomb(u64);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor");
    }
}

impl futures::Stream for Bomb {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u64>> {
        self.0 += 1;
        assert!(self.0 != 3, "a source");
        Poll::Ready(Some(self.0))
    }
}

#[apply(runtime_test)]
async fn a_source_that_panics_twice_is_one_error(runtime: Runtime) {
    let plan = || Pipeline::source(Bomb(0)).stage("one", 1, ready).buffer(1).stage("two", 2, ready).collect();
    for error in
        [plan().run(&runtime).unwrap().await.unwrap_err(), plan().drive().unwrap().await.unwrap_err()]
    {
        assert_eq!((error.stage, error.output), ("source", Some(vec![1, 2])));
    }
    let results = Bomb(0).par_map(NonZeroUsize::MIN, async |n| n, &runtime);
    let mut results = Box::pin(futures::FutureExt::catch_unwind(AssertUnwindSafe(
        results.map(Result::unwrap).collect::<Vec<_>>(),
    )));
    assert!(results.as_mut().await.is_err());
}

#[apply(runtime_test)]
async fn a_drain_or_an_abort_dropped_halfway_leaves_nothing(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let alive = Arc::new(());
    for aborts in [false, true] {
        let run = || {
            let alive = Arc::clone(&alive);
            let work = move |n: u64| {
                let alive = Arc::clone(&alive);
                async move {
                    if n % 4 == 3 {
                        std::future::pending::<()>().await;
                    }
                    yield_now().await;
                    drop(alive);
                    Ok::<_, Infallible>(n)
                }
            };
            let again = work.clone();
            let source = Pipeline::source(stream::iter(0_u64..).chain(stream::pending()));
            let plan = source.stage("one", 1, async |n| Ok::<_, Infallible>(n % 3)).buffer(2);
            let plan = plan.stage("two", 2, again).stage("three", 1, work).keep().collect();
            let running = plan.run(&watching).unwrap();
            async move {
                yields(2).await;
                let ended = match aborts {
                    true => running.abort().await,
                    false => running.drain(Duration::from_micros(5)).await,
                };
                drop(ended.unwrap());
            }
        };
        let check = async |_| {
            watched.idle().await;
            assert_eq!(Arc::strong_count(&alive), 1);
        };
        cancel_at_every_poll(run, check).await;
    }
}

#[apply(runtime_test)]
async fn a_work_queue_with_long_delays_and_many_hands(runtime: Runtime) {
    let clock = runtime.clock();
    let queue = WorkQueue::with_backoff(clock, Duration::from_nanos(1), Duration::MAX).unwrap();
    assert!(queue.add_after(0, Duration::MAX));
    for n in 1..200 {
        let delay = queue.add_rate_limited(n).unwrap();
        assert_eq!(delay, Duration::from_nanos(1));
    }
    let hands: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            runtime.spawn(async move {
                let mut seen = 0_u64;
                while let Some(taken) = queue.next().await {
                    seen += 1;
                    if seen % 3 == 0 {
                        // Again, while it is worked on.
                        queue.add(*taken);
                    }
                    yields(*taken as usize % 2).await;
                    if *taken == 199 {
                        queue.forget(&taken);
                        let late = queue.shut_down();
                        assert!(late.iter().all(|key| **key != *taken));
                    }
                }
                seen
            })
        })
        .collect();
    queue.drained().await;
    for hand in hands {
        hand.await.unwrap();
    }
    assert_eq!((queue.len(), queue.running(), queue.add(5)), (0, 0, false));
}
