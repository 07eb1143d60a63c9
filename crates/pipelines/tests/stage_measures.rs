//! What a measured pipeline tells of time, and that others read no clock.

use std::convert::Infallible;
use std::time::Duration;

use futures_lite::{future::yield_now, stream};
use weirs_pipelines::{Pipeline, StageStats};
use weirs_runtime::{Clock, Runtime, block_on};
use weirs_testing::{ManualClock, apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A job that takes as many milliseconds as its number says.
fn takes(
    clock: &Clock,
) -> impl Fn(u64) -> futures::future::BoxFuture<'static, Result<u64, Infallible>> + use<> {
    let clock = clock.clone();
    move |n| {
        let sleep = clock.sleep(ms(n));
        Box::pin(async move {
            sleep.await;
            Ok(n)
        })
    }
}

fn about(found: Duration, exact: u64) {
    let off = found.as_secs_f64() / ms(exact).as_secs_f64() - 1.0;
    assert!(off.abs() < 1.0 / 16.0, "{found:?} {exact}");
}

#[apply(sim_test)]
async fn percentiles_are_right(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for on_runtime in [true, false] {
        for workers in [1, 100] {
            // All at once if there are a hundred workers: none of them waits.
            let plan = Pipeline::source(stream::iter(1..=100_u64))
                .stage("work", workers, takes(&clock))
                .fold(0, |sum, n| *sum += n)
                .clock(&clock)
                .measured();
            let summary = match on_runtime {
                true => plan.run(&runtime).unwrap().await.unwrap(),
                false => plan.drive().unwrap().await.unwrap(),
            };
            let work = summary.stats.stage("work").unwrap();
            let times = work.times.unwrap();
            assert_eq!((times.work.count, times.wait.count), (100, 100));
            about(times.work.p50, 50);
            about(times.work.p95, 95);
            about(times.work.p99, 99);
            match workers {
                // One is ready when its turn comes: it waits as long as the one before it works.
                1 => about(times.wait.p95, 94),
                _ => assert_eq!(times.wait.p99, Duration::ZERO),
            }
            let recent = work.recent.unwrap();
            let time = if workers == 1 { ms(5050) } else { ms(100) };
            assert_eq!((recent.count, recent.within), (100, time));
            assert_eq!((work.buffered, summary.stats.stage("source").unwrap().times), (None, None));
            assert_eq!(summary.stats.stage("sink").unwrap().recent.unwrap().count, 100);
        }
    }
}

#[apply(sim_test)]
async fn the_wait_in_a_buffer_is_the_stages_after_it(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for on_runtime in [true, false] {
        let plan = Pipeline::source(stream::iter([10_u64; 20]))
            .buffer(100)
            .stage("work", 1, takes(&clock))
            .collect()
            .clock(&clock)
            .measured();
        let summary = match on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        let work = summary.stats.stage("work").unwrap();
        let buffered = work.buffered.unwrap();
        // Two are in the stage; the last waits in the buffer for 18 others.
        assert_eq!(buffered.count, 20);
        about(buffered.p99, 180);
        about(work.times.unwrap().wait.p99, 10);
    }
}

#[apply(sim_test)]
async fn failed_jobs_have_taken_their_time_and_late_ones_have_not(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let deadline = clock.now() + ms(25);
    let work = takes(&clock);
    let fails = move |n: u64| {
        let job = work(n);
        async move {
            let _ = job.await;
            Err::<u64, _>("no")
        }
    };
    let plan = Pipeline::source(stream::iter([10_u64; 9]))
        .stage("work", 1, fails)
        .expires(move |_| deadline)
        .skip_failures()
        .collect()
        .measured();
    let stats = plan.run(&runtime).unwrap().await.unwrap().stats;
    let work = stats.stage("work").unwrap();
    assert_eq!((work.failed, work.skipped, work.expired, work.in_flight), (3, 3, 6, 0));
    let times = work.times.unwrap();
    assert_eq!((times.work.count, work.recent.unwrap().count), (3, 3));
    about(times.work.p50, 10);
}

#[apply(sim_test)]
async fn the_table_of_a_measured_pipeline_has_the_times(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let plan = Pipeline::source(stream::iter([10_u64; 200]))
        .buffer(4)
        .stage("work", 2, takes(&clock))
        .collect()
        .measured();
    let table = plan.run(&runtime).unwrap().await.unwrap().stats.to_string();
    let lines: Vec<&str> = table.lines().collect();
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    assert!(lines[0].ends_with("p99") && lines[0].contains("per second  buffered p95  wait p95"), "{table}");
    assert_eq!(words(lines[2])[10..], ["200.0", "20.9ms", "10.5ms", "10.2ms", "10.5ms", "10.5ms"], "{table}");
    assert_eq!(words(lines[1])[10..], ["200.0", "-", "-", "-", "-", "-"], "{table}");
    assert!(lines.iter().all(|line| line.chars().count() == lines[0].len()), "{table}");
}

#[test]
fn without_it_nobody_looks_at_the_clock_for_its_sake() {
    let time = ManualClock::new();
    let looks = |several: bool, measured: bool| {
        let ready = async |n: u64| {
            yield_now().await;
            Ok::<_, Infallible>(n)
        };
        let one = Pipeline::source(stream::iter(0..100_u64)).stage("one", 1, ready);
        let before = time.times_read();
        let drive = match several {
            false => {
                let plan = one.stage("two", 1, ready).fold(0, |sum, n| *sum += n).clock(time.clock());
                block_on(if measured { plan.measured() } else { plan }.drive().unwrap())
            }
            true => {
                let plan = one
                    .stage("three", 3, ready)
                    .stage_by_key("by key", 3, |n| n % 7, ready)
                    .fold(0, |sum, n| *sum += n)
                    .clock(time.clock());
                block_on(if measured { plan.measured() } else { plan }.drive().unwrap())
            }
        };
        let stats = drive.unwrap().stats;
        assert_eq!(stats.stages.iter().all(|stage: &StageStats| stage.recent.is_some()), measured);
        time.times_read() - before
    };
    assert_eq!(looks(false, false), 0);
    // Not for the jobs: once when many came in a row, to see whether others shall have their turn.
    let unmeasured = looks(true, false);
    assert!(unmeasured <= 100 / 32, "{unmeasured}");
    // Each stage three times a job, each end once an item, and whoever sets them up and looks.
    let measured = looks(true, true) - unmeasured;
    assert!((1000..1120).contains(&measured), "{measured}");
}

#[test]
fn whoever_hands_on_many_that_do_not_wait_looks_at_the_clock_now_and_then() {
    let time = ManualClock::new();
    let looks = |buffer: Option<usize>| {
        let ready = async |n: u64| Ok::<_, Infallible>(n);
        let source = Pipeline::source(stream::iter(0..10_000_u64)).stage("one", 1, ready);
        let before = time.times_read();
        let summary = match buffer {
            None => block_on(source.fold(0, |sum, n| *sum += n).clock(time.clock()).drive().unwrap()),
            Some(places) => {
                let plan = source.buffer(places).fold(0, |sum, n| *sum += n).clock(time.clock());
                block_on(plan.drive().unwrap())
            }
        };
        assert_eq!(summary.unwrap().output, 4999 * 10_000 + 5000);
        time.times_read() - before
    };
    // Whether others shall have their turn: once for 128 items, and once more in a turn.
    let turns = looks(None);
    assert!((1..=10_000 / 120).contains(&turns), "{turns}");
    // And whether the next is worth waiting for: twice a batch, of half the buffer or less.
    let batches = looks(Some(64));
    assert!((1..=10_000 / 10).contains(&batches), "{batches}");
}

#[apply(runtime_test)]
async fn measuring_changes_nothing_else(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let step = async |n: u64| {
        for _ in 0..n % 3 {
            yield_now().await;
        }
        Ok::<_, Infallible>(n)
    };
    let plan = || {
        Pipeline::source(stream::iter(0..60_u64))
            .stage("one", 1, step)
            .buffer(2)
            .stage("three", 3, step)
            .buffer(3)
            .collect()
            .clock(runtime.clock())
            .measured()
    };
    for summary in [plan().run(&runtime).unwrap().await, plan().drive().unwrap().await] {
        let summary = summary.unwrap();
        assert_eq!(summary.output, (0..60).collect::<Vec<_>>());
        for name in ["one", "three"] {
            let stage = summary.stats.stage(name).unwrap();
            assert_eq!((stage.times.unwrap().work.count, stage.recent.unwrap().count), (60, 60));
        }
        for name in ["three", "sink"] {
            assert_eq!(summary.stats.stage(name).unwrap().buffered.unwrap().count, 60);
        }
    }
    watched.idle().await;
}

#[apply(sim_test)]
async fn measured_and_dropped_at_any_point(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let step = async |n: u64| {
        yield_now().await;
        Ok::<_, Infallible>(n)
    };
    let plan = || {
        let source = Pipeline::source(stream::iter(0..4_u64)).stage("one", 1, step).buffer(2);
        source.stage("two", 2, step).collect().clock(runtime.clock()).measured()
    };
    let check = async |_| watched.idle().await;
    cancel_at_every_poll(|| async { drop(plan().run(&watching).unwrap().await.unwrap()) }, check).await;
    cancel_at_every_poll(|| async { drop(plan().drive().unwrap().await.unwrap()) }, check).await;
}
