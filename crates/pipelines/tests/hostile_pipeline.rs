//! Pipelines in bad company: executors that are gone, numbers without measure, sources without end, keys and
//! places that panic.

use std::convert::Infallible;
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Sink;
use futures::task::{FutureObj, Spawn, SpawnError};
use futures_lite::future::yield_now;
use futures_lite::{StreamExt, stream};
use weirs_pipelines::{
    Cause, DeadLetter, Delivery, Left, ParMap, Pipeline, Receipt, Retry, WorkQueue, WorkerPool, ack_each,
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
    for faults in faults {
        for by_key in [false, true] {
            Explore::new().faults(faults.clone()).seeds(0..60).run(move |runtime| async move {
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
                assert_eq!(lost, all.len() < 40, "{stats}");
                for state in [Left::Waiting, Left::Interrupted, Left::Finished] {
                    all.extend(left.take::<u64>("two", state));
                    all.extend(left.take::<u64>("buffer", state));
                }
                all.sort_unstable();
                let taken = stats.stage("source").unwrap().taken;
                assert_eq!(all, (0..taken).collect::<Vec<_>>(), "{stats}");
            });
        }
    }
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
    let results = Bomb(0).par_map(std::num::NonZeroUsize::MIN, async |n| n, &runtime);
    let mut results = Box::pin(futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(
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

/// A connection that is gone.
struct Gone(Arc<AtomicU64>);

impl Receipt for Gone {
    fn ack(self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("nobody hears of it");
    }

    fn nack(self) {
        self.ack();
    }
}

#[apply(runtime_test)]
async fn a_receipt_that_panics_while_its_job_does(runtime: Runtime) {
    let told = Arc::new(AtomicU64::new(0));
    let work = async |delivery: Delivery<u64, Gone>| {
        delivery
            .with(async |n| match n {
                0 => panic!("a job"),
                1 => Err("an error"),
                _ => Ok(n),
            })
            .await
    };
    let pool = WorkerPool::builder(work).workers(1).discard_results().build(&runtime).unwrap();
    for n in 0..4 {
        pool.submit(Delivery::new(n, Gone(Arc::clone(&told)))).await.unwrap();
    }
    let settled = pool.shutdown(Duration::MAX).await.settled;
    assert_eq!((settled.ended(), settled.panicked), (4, 2));
    assert_eq!(told.load(Ordering::Relaxed), 4);
}

/// A receipt that counts how many are out.
struct Out(Arc<AtomicU64>);

impl Receipt for Out {
    fn ack(self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn nack(self) {
        self.ack();
    }
}

#[apply(runtime_test)]
async fn no_more_messages_are_out_than_is_said(runtime: Runtime) {
    let out = Arc::new(AtomicU64::new(0));
    let most = Arc::new(AtomicU64::new(0));
    let source = {
        let (out, most) = (Arc::clone(&out), Arc::clone(&most));
        stream::iter(0..300_u64).map(move |n| {
            most.fetch_max(out.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            Delivery::new(n, Out(Arc::clone(&out)))
        })
    };
    let (sender, receiver) = futures::channel::mpsc::channel::<u64>(0);
    let work = ack_each(&runtime, source, 3, async |n| Ok::<_, Infallible>(n), sender);
    let reads = async {
        let mut receiver = receiver;
        let mut number = 0;
        while receiver.next().await.is_some() {
            yields(5).await;
            number += 1;
        }
        number
    };
    let (counts, number) = futures::join!(work, reads);
    assert_eq!((counts.unwrap().acked, number), (300, 300));
    let most = most.load(Ordering::Relaxed);
    // Six that are on their way, and those that wait to be flushed.
    assert!(most <= 6 + 64, "{most} are out");
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
