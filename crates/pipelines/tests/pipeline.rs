//! The promises of a pipeline: order, overlap, bounds, and how it ends.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::{StreamExt, future::yield_now, stream};
use weirs_channels_utils::Overflow;
use weirs_pipelines::{Cause, Left, Pipeline};
use weirs_runtime::{Clock, Runtime};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A job that takes so long.
fn takes<T: Send + 'static>(
    clock: &Clock,
    time: impl Fn(&T) -> u64 + Send + Sync + 'static,
) -> impl Fn(T) -> futures::future::BoxFuture<'static, Result<T, Infallible>> + Send + Sync + 'static {
    let clock = clock.clone();
    move |item| {
        let sleep = clock.sleep(ms(time(&item)));
        Box::pin(async move {
            sleep.await;
            Ok(item)
        })
    }
}

async fn yielding(n: u64) -> Result<u64, Infallible> {
    for _ in 0..(n * 7) % 4 {
        yield_now().await;
    }
    Ok(n + 1)
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let plan = || {
        Pipeline::source(stream::iter(0..200_u64))
            .filter(|n| n % 2 == 0)
            .map(|n| n / 2)
            .stage("serial", 1, yielding)
            .stage("parallel", 3, yielding)
            .buffer(4)
            .stage_by_key("by key", 3, |n| n % 5, yielding)
            .batch(7, Duration::from_secs(3600))
            .fold(Vec::new(), |all: &mut Vec<u64>, batch| all.extend(batch))
            .clock(runtime.clock())
    };
    let expected: Vec<u64> = (0..100).map(|n| n + 3).collect();
    for summary in [plan().run(&runtime).unwrap().await, plan().drive().unwrap().await] {
        let mut summary = summary.unwrap();
        for key in 0..5 {
            let of_key =
                |all: &[u64]| -> Vec<u64> { all.iter().copied().filter(|n| (n - 1) % 5 == key).collect() };
            assert_eq!(of_key(&summary.output), of_key(&expected));
        }
        summary.output.sort_unstable();
        assert_eq!(summary.output, expected);
        assert!(summary.unprocessed.is_empty());
        for stage in ["serial", "parallel", "by key"] {
            let stats = summary.stats.stage(stage).unwrap();
            assert_eq!((stats.taken, stats.given, stats.in_flight), (100, 100, 0));
        }
    }
    watched.idle().await;
}

#[apply(sim_test)]
async fn stages_of_one_island_work_at_the_same_time(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for on_runtime in [true, false] {
        let plan = Pipeline::source(stream::iter(0..10))
            .stage("a", 1, takes(&clock, |_| 10))
            .stage("b", 1, takes(&clock, |_| 10))
            .stage("c", 1, takes(&clock, |_| 10))
            .collect()
            .clock(&clock);
        let start = clock.now();
        match on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        // Ten of the first, and one each of the others.
        assert_eq!(clock.now() - start, ms(10 * 10 + 2 * 10));
    }
}

#[apply(sim_test)]
async fn workers_work_at_the_same_time_and_results_keep_their_order(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for on_runtime in [true, false] {
        // The first of each three is slow.
        let plan = Pipeline::source(stream::iter(0..9))
            .stage("work", 3, takes(&clock, |n| if n % 3 == 0 { 30 } else { 10 }))
            .unread(0)
            .collect()
            .clock(&clock);
        let start = clock.now();
        let summary = match on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        assert_eq!(summary.output, (0..9).collect::<Vec<_>>());
        assert_eq!(clock.now() - start, ms(90));
    }
}

#[apply(sim_test)]
async fn without_order_nobody_waits_for_a_slow_one(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for on_runtime in [true, false] {
        let plan = Pipeline::source(stream::iter(0..5))
            .stage("work", 2, takes(&clock, |n| if *n == 0 { 100 } else { 10 }))
            .unordered()
            .collect()
            .clock(&clock);
        let start = clock.now();
        let summary = match on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        assert_eq!(summary.output, [1, 2, 3, 4, 0]);
        assert_eq!(clock.now() - start, ms(100));
    }
}

#[apply(sim_test)]
async fn a_batch_waits_for_its_time_and_no_longer(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let times = [0_u64, 1, 2, 30, 31, 32, 33, 34];
    let start = clock.now();
    let source = stream::iter(times).then({
        let clock = clock.clone();
        move |at| {
            let sleep = clock.sleep_until(start + ms(at));
            async move {
                sleep.await;
                at
            }
        }
    });
    let at = clock.clone();
    let plan = Pipeline::source(source)
        .batch(4, ms(10))
        .fold(Vec::new(), move |all, batch| all.push((at.now().saturating_since(start), batch)));
    let expected = vec![(ms(10), vec![0, 1, 2]), (ms(33), vec![30, 31, 32, 33]), (ms(34), vec![34])];
    assert_eq!(plan.run(&runtime).unwrap().await.unwrap().output, expected);
}

#[apply(sim_test)]
async fn a_full_pipeline_takes_nothing_more(runtime: Runtime) {
    let inside = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&inside);
    let source = stream::iter(0..1000).inspect(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let stuck = async |_: usize| pending::<Result<usize, Infallible>>().await;
    let plan = Pipeline::source(source)
        .stage("fast", 4, async |n: usize| Ok::<_, Infallible>(n))
        .unread(3)
        .buffer(8)
        .stage("stuck", 2, stuck)
        .unread(1)
        .collect();
    let running = plan.run(&runtime).unwrap();
    runtime.clock().sleep(ms(1)).await;
    let stats = running.stats();
    assert_eq!(stats.stage("stuck").unwrap().in_flight, 3);
    assert!(stats.stage("stuck").unwrap().queued <= 8);
    let mut back = running.abort().await.unwrap().unprocessed;
    assert_eq!(back.take::<usize>("stuck", Left::Waiting), [2]);
    let mut all = back.take::<usize>("buffer", Left::Waiting);
    // In the buffer, and on their way into it.
    assert!(all.len() <= 8 + 2);
    let finished = back.take::<usize>("fast", Left::Finished);
    assert!(finished.len() <= 4 + 3);
    all.extend(finished);
    assert_eq!(all, (3..inside.load(Ordering::Relaxed)).collect::<Vec<_>>());
    assert!(all.len() > 10 && back.is_empty(), "{back:?}");
}

#[apply(runtime_test)]
async fn a_panic_anywhere_is_an_error_that_names_the_stage(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    for (number, place) in ["source", "parse", "serial", "parallel", "by key", "sink"].into_iter().enumerate()
    {
        let number = number as u64;
        let check = move |at: u64, n: u64| assert!(at != number || n != 20, "as told");
        let work = move |at: u64| {
            move |n: u64| async move {
                yield_now().await;
                check(at, n);
                Ok::<_, Infallible>(n)
            }
        };
        let source = stream::iter(0_u64..).inspect(move |n| check(0, *n));
        let plan = || {
            Pipeline::source(source.clone())
                .stage("parse", 1, async |n: u64| Ok::<_, Infallible>(n))
                .map(move |n| {
                    check(1, n);
                    n
                })
                .buffer(3)
                .stage("serial", 1, work(2))
                .stage("parallel", 2, work(3))
                .stage_by_key("by key", 2, |n| *n, work(4))
                .fold(0, move |count, n| {
                    check(5, n);
                    *count += 1;
                })
        };
        for ended in [plan().run(&runtime).unwrap().await, plan().drive().unwrap().await] {
            let error = ended.unwrap_err();
            assert_eq!(error.stage, place);
            assert!(matches!(&error.cause, Cause::Panicked(payload) if payload.message() == "as told"));
            // All that came before came through. By key, others may overtake it, while it panics.
            let (output, by_key) = (error.output.unwrap(), ["by key", "sink"].contains(&place));
            assert!(output == 20 || by_key && output >= 12, "{place}: {output}");
        }
        watched.idle().await;
    }
}

#[apply(runtime_test)]
async fn a_dropped_pipeline_drops_all(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let alive = Arc::new(());
    let plan = || {
        let (of_source, of_job) = (Arc::clone(&alive), Arc::clone(&alive));
        let stuck = move |n: u64| {
            let alive = Arc::clone(&of_job);
            async move {
                pending::<()>().await;
                drop(alive);
                Ok::<_, Infallible>(n)
            }
        };
        Pipeline::source(stream::iter(0..).inspect(move |_| _ = &of_source))
            .stage("ready", 1, async |n: u64| Ok::<_, Infallible>(n))
            .stage("ready too", 3, async |n: u64| Ok::<_, Infallible>(n))
            .buffer(2)
            .stage("stuck", 3, stuck)
            .collect()
    };
    let running = plan().run(&runtime).unwrap();
    for _ in 0..10 {
        yield_now().await;
    }
    drop(running);
    watched.idle().await;
    assert_eq!(Arc::strong_count(&alive), 1);

    let mut drive = plan().drive().unwrap();
    for _ in 0..10 {
        assert!(futures_lite::future::poll_once(&mut drive).await.is_none());
    }
    drop(drive);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[apply(runtime_test)]
async fn a_source_that_never_ends_is_stopped_and_what_was_taken_comes_through(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let source = stream::iter(0_u64..).then(async |n| {
        yield_now().await;
        n
    });
    let plan = Pipeline::source(source)
        .stage("one", 1, yielding)
        .buffer(4)
        .stage("more", 3, yielding)
        .for_each(|_| yield_now());
    let running = plan.run(&runtime).unwrap();
    while running.stats().stage("sink").unwrap().given < 20 {
        yield_now().await;
    }
    running.stop();
    let summary = running.await.unwrap();
    let row = |name| summary.stats.stage(name).unwrap().clone();
    assert_eq!(row("source").given, row("sink").given);
    assert!(!summary.aborted && summary.unprocessed.is_empty());
    watched.idle().await;

    // A source that is silent for ever, too.
    let running = Pipeline::source(stream::pending::<u64>()).buffer(1).collect().run(&runtime).unwrap();
    yield_now().await;
    running.handle().stop();
    assert!(running.await.unwrap().output.is_empty());
    watched.idle().await;
}

#[apply(sim_test)]
async fn a_drain_ends_by_its_deadline(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let source = stream::iter(0_u64..);
    let plan = || {
        Pipeline::source(source.clone())
            .stage("slow", 2, takes(&clock, |n| if *n < 10 { 10 } else { 1000 }))
            .keep()
            .collect()
    };
    let running = plan().run(&runtime).unwrap();
    clock.sleep(ms(15)).await;
    let start = clock.now();
    let summary = running.drain(ms(100)).await.unwrap();
    assert_eq!(clock.now() - start, ms(15));
    assert_eq!((summary.output, summary.aborted), ((0..6).collect(), false));

    let running = plan().run(&runtime).unwrap();
    clock.sleep(ms(45)).await;
    let start = clock.now();
    let mut summary = running.drain(ms(100)).await.unwrap();
    assert_eq!(clock.now() - start, ms(100));
    assert_eq!((summary.output, summary.aborted), ((0..10).collect(), true));
    assert_eq!(summary.unprocessed.take::<u64>("slow", Left::Interrupted), [10, 11]);
    assert!(
        summary.unprocessed.is_empty() || summary.unprocessed.take::<u64>("slow", Left::Waiting) == [12, 13]
    );
}

#[apply(sim_test)]
async fn never_more_at_once_than_workers(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for (on_runtime, workers) in [(true, 1), (true, 3), (false, 3), (true, 8), (false, 1)] {
        let in_flight = InFlight::new();
        let work = {
            let (in_flight, clock) = (in_flight.clone(), clock.clone());
            move |n: u64| {
                let (in_flight, clock) = (in_flight.clone(), clock.clone());
                async move {
                    let _inside = in_flight.enter();
                    clock.sleep(ms(n % 5)).await;
                    Ok::<_, Infallible>(n)
                }
            }
        };
        let plan = Pipeline::source(stream::iter(0..50)).stage("work", workers, work).collect().clock(&clock);
        let summary = match on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        assert_eq!(summary.output.len(), 50);
        assert_eq!(in_flight.peak(), workers);
    }
}

#[apply(sim_test)]
async fn keys_wait_for_themselves_only(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for on_runtime in [true, false] {
        let events = [("hot", 1), ("hot", 2), ("cold", 1), ("hot", 3), ("cold", 2)];
        let work = takes(&clock, |event: &(&str, u64)| if event.0 == "hot" { 50 } else { 10 });
        let plan = Pipeline::source(stream::iter(events))
            .stage_by_key("apply", 2, |event| event.0, work)
            .collect()
            .clock(&clock);
        let start = clock.now();
        let summary = match on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        assert_eq!(summary.output, [("cold", 1), ("cold", 2), ("hot", 1), ("hot", 2), ("hot", 3)]);
        assert_eq!(clock.now() - start, ms(150));
    }
}

#[apply(sim_test)]
async fn what_a_buffer_drops_is_counted(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let plan = Pipeline::source(stream::iter(0..10))
        .buffer_with(2, Overflow::DropOldest)
        .stage("slow", 1, takes(&clock, |_| 1))
        .collect();
    let summary = plan.run(&runtime).unwrap().await.unwrap();
    let stats = summary.stats.stage("slow").unwrap();
    assert_eq!(stats.overflowed + summary.output.len() as u64, 10);
    assert_eq!((stats.queued, summary.output.last()), (0, Some(&9)));

    let plan = Pipeline::source(stream::iter(0..10))
        .buffer_with(2, Overflow::Error)
        .stage("slow", 1, takes(&clock, |_| 1))
        .collect();
    let mut error = plan.run(&runtime).unwrap().await.unwrap_err();
    assert_eq!(error.to_string(), "buffer: the channel is full");
    let mut all = error.output.unwrap();
    all.extend(error.unprocessed.take::<i32>("buffer", Left::Waiting));
    let taken = error.stats.stage("source").unwrap().given as i32;
    assert_eq!(all, (0..taken).collect::<Vec<_>>());
}

#[apply(sim_test)]
async fn a_buffer_that_drops_is_full_first(runtime: Runtime) {
    for (overflow, kept) in
        [(Overflow::DropNewest, [0, 1, 2, 3, 4, 5]), (Overflow::DropOldest, [0, 1, 16, 17, 18, 19])]
    {
        let clock = runtime.clock().clone();
        let ticks = clock.clone();
        let each_millisecond = stream::iter(0..20).then(move |n| {
            let tick = ticks.sleep(ms(1));
            async move {
                tick.await;
                n
            }
        });
        let plan = Pipeline::source(each_millisecond)
            .buffer_with(4, overflow)
            .stage("slow", 1, takes(&clock, |_| 1000))
            .collect();
        let summary = plan.run(&runtime).unwrap().await.unwrap();
        // One is in work, and one waits in front of it.
        assert_eq!(summary.output, kept);
        assert_eq!(summary.stats.stage("slow").unwrap().overflowed, 14);
    }
}

#[apply(runtime_test)]
async fn two_pipelines_join_and_one_parts(runtime: Runtime) {
    let odd = Pipeline::source(stream::iter([1_u64, 3, 5])).stage("odd", 1, yielding);
    let even = Pipeline::source(stream::iter([2_u64, 4, 6])).stage("even", 2, yielding);
    let plan = odd
        .merge(even)
        .broadcast(
            1,
            |one| one.stage("left", 1, yielding).map(|n| n * 10),
            |other| other.buffer(2).stage("right", 2, yielding).map(|n| n * 100),
        )
        .collect();
    let mut all = plan.run(&runtime).unwrap().await.unwrap().output;
    all.sort_unstable();
    let mut expected: Vec<u64> = (1..=6).flat_map(|n| [(n + 2) * 10, (n + 2) * 100]).collect();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

#[apply(runtime_test)]
async fn into_a_sink_and_one_that_stops(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let (sender, receiver) = futures::channel::mpsc::channel::<u64>(1);
    let plan = || Pipeline::source(stream::iter(0_u64..)).stage("work", 2, yielding).buffer(2);
    let running = plan().into_sink(sender).run(&runtime).unwrap();
    let first: Vec<u64> = receiver.take(5).collect().await;
    assert_eq!(first, [1, 2, 3, 4, 5]);
    // The receiver is gone.
    let error = running.await.unwrap_err();
    assert_eq!((error.stage, matches!(error.cause, Cause::Failed(_))), ("sink", true));
    watched.idle().await;

    let (sender, receiver) = futures::channel::mpsc::channel::<u64>(1);
    let plan = Pipeline::source(stream::iter(0_u64..5)).into_sink(sender);
    let (summary, all) =
        futures::join!(plan.run(&runtime).unwrap(), async { receiver.collect::<Vec<_>>().await });
    assert_eq!((summary.unwrap().stats.stage("sink").unwrap().given, all), (5, vec![0, 1, 2, 3, 4]));
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_it_leaves_nothing(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let alive = Arc::new(());
    let plan = || {
        let alive = Arc::clone(&alive);
        let work = move |n: u64| {
            let alive = Arc::clone(&alive);
            async move {
                yield_now().await;
                drop(alive);
                Ok::<_, Infallible>(n)
            }
        };
        let again = work.clone();
        Pipeline::source(stream::iter(0..12))
            .stage("one", 1, work)
            .buffer(2)
            .stage("two", 2, again)
            .batch(3, Duration::from_secs(60))
            .collect()
            .clock(runtime.clock())
    };
    let check = async |_| {
        watched.idle().await;
        assert_eq!(Arc::strong_count(&alive), 1);
    };
    cancel_at_every_poll(|| async { drop(plan().run(&watching).unwrap().await.unwrap()) }, check).await;
    cancel_at_every_poll(|| async { drop(plan().drive().unwrap().await.unwrap()) }, check).await;
}

#[apply(runtime_test)]
async fn what_makes_no_sense_is_an_error_that_names_it(runtime: Runtime) {
    let ready = async |n: u64| Ok::<_, Infallible>(n);
    let source = || Pipeline::source(stream::iter(0_u64..3));
    let twice = source().stage("parse", 1, ready).buffer(1).stage("parse", 2, ready).collect();
    assert_eq!(twice.run(&runtime).unwrap_err().to_string(), "parse: two stages have this name");
    let none = source().stage("parse", 0, ready).collect();
    assert_eq!(none.drive().unwrap_err().to_string(), "parse: there has to be at least one");
    let keys = source().stage_by_key("keys", 2, |n| *n, ready).per_key(0).collect();
    assert_eq!(keys.run(&runtime).unwrap_err().field(), "keys");
    assert_eq!(source().buffer(0).collect().run(&runtime).unwrap_err().field(), "buffer");
    assert_eq!(source().batch(0, ms(1)).collect().run(&runtime).unwrap_err().field(), "batch");
    let end = source().stage("sink", 1, ready).collect();
    assert_eq!(end.run(&runtime).unwrap_err().field(), "sink");
}

#[apply(sim_test)]
async fn its_numbers_print_as_a_table(runtime: Runtime) {
    let plan = Pipeline::source(stream::iter(0..1200_u64)).stage("fetch pages", 4, yielding).collect();
    let table = plan.run(&runtime).unwrap().await.unwrap().stats.to_string();
    let expected = "\
stage        workers  queued  in flight    in   out  failed  skipped  dead  retried
source             1       0          0  1200  1200       0        0     0        0
fetch pages        4       0          0  1200  1200       0        0     0        0
sink               1       0          0  1200  1200       0        0     0        0
";
    assert_eq!(table, expected);
}
