//! Stages whose number of workers changes: on tasks, in the caller's task, and by key.

use std::convert::Infallible;
use std::future::Future;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::stream;
use weirs_channels_utils::bounded;
use weirs_pipelines::plumbing::{Blueprint, Finish};
use weirs_pipelines::{
    Controller, Pipeline, PipelineEvent, PipelineHandle, Plan, QueueWait, Window, Workers,
};
use weirs_runtime::Runtime;
use weirs_testing::sim::Explore;
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How a stage does its jobs.
#[derive(Clone, Copy, Debug)]
struct Way {
    on_runtime: bool,
    order: u8,
}

const WAYS: [Way; 6] = [
    Way { on_runtime: true, order: 0 },
    Way { on_runtime: true, order: 1 },
    Way { on_runtime: true, order: 2 },
    Way { on_runtime: false, order: 0 },
    Way { on_runtime: false, order: 1 },
    Way { on_runtime: false, order: 2 },
];

/// How many workers there are in the end of each phase, of so many items in such a time.
async fn load(runtime: &Runtime, way: Way, workers: Workers, phases: &[(u32, Duration)]) -> Vec<usize> {
    let clock = runtime.clock().clone();
    let work = move |()| {
        let sleep = clock.sleep(ms(10));
        async move {
            sleep.await;
            Ok::<_, Infallible>(())
        }
    };
    let (sender, receiver) = bounded(NonZeroUsize::new(1).unwrap());
    let feed = async |handle: PipelineHandle| {
        let mut seen = Vec::new();
        for (number, time) in phases {
            for _ in 0..*number {
                sender.send(()).await.unwrap();
                runtime.clock().sleep(*time / *number).await;
            }
            seen.push(handle.stats().stage("work").unwrap().workers);
        }
        sender.close();
        seen
    };
    let source = Pipeline::source(receiver);
    let add = |sum: &mut u32, ()| *sum += 1;
    let (done, seen) = match way.order {
        0 => through(runtime, way, source.stage("work", workers, work).unread(200).fold(0, add), feed).await,
        1 => {
            let stage = source.stage("work", workers, work).unordered().unread(200);
            through(runtime, way, stage.fold(0, add), feed).await
        }
        _ => {
            let key = AtomicU64::new(0);
            let key_of = move |_: &()| key.fetch_add(1, Ordering::Relaxed);
            let stage = source.stage_by_key("work", workers, key_of, work).unread(200);
            through(runtime, way, stage.fold(0, add), feed).await
        }
    };
    assert_eq!(done, phases.iter().map(|(number, _)| number).sum::<u32>());
    seen
}

async fn through<B: Blueprint, G: Finish<B::Item, Output = u32>>(
    runtime: &Runtime,
    way: Way,
    plan: Plan<B, G>,
    feed: impl AsyncFnOnce(PipelineHandle) -> Vec<usize>,
) -> (u32, Vec<usize>) {
    if way.on_runtime {
        let running = plan.run(runtime).unwrap();
        let (seen, summary) = futures::join!(feed(running.handle()), running);
        (summary.unwrap().output, seen)
    } else {
        let drive = plan.clock(runtime.clock()).drive().unwrap();
        let (seen, summary) = futures::join!(feed(drive.handle()), drive);
        (summary.unwrap().output, seen)
    }
}

/// These take a minute of many jobs each: a few seeds will do.
fn explore<F: Future<Output = ()> + 'static>(body: impl Fn(Runtime) -> F) {
    Explore::new().seeds(0..3).step_limit(10_000_000).run(body);
}

#[test]
fn a_stage_grows_by_queue_wait_and_shrinks_slowly() {
    explore(grows_and_shrinks);
}

async fn grows_and_shrinks(runtime: Runtime) {
    // 500 a second are the work of five; then 100 a second, of one.
    let phases = [(10_000, Duration::from_secs(20)), (6_000, Duration::from_secs(60))];
    for way in WAYS {
        let workers = Workers::adaptive(1..=40, QueueWait::new(ms(20)));
        let seen = load(&runtime, way, workers, &phases).await;
        assert!((5..=9).contains(&seen[0]), "{way:?} {seen:?}");
        assert!((1..=2).contains(&seen[1]), "{way:?} {seen:?}");
    }
}

/// Between the least and the most, again and again.
struct Swings(bool, RangeInclusive<usize>);

impl Controller for Swings {
    fn workers(&mut self, window: &Window) -> usize {
        assert!(self.1.contains(&window.workers) && (0.0..=1.0).contains(&window.busy));
        self.0 = !self.0;
        // Out of bounds, which is the same as the bound.
        if self.0 { self.1.end() + 1 } else { 0 }
    }
    fn window(&self) -> Duration {
        Duration::from_micros(50)
    }
}

#[apply(runtime_test)]
async fn none_is_lost_and_never_are_there_too_many(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    for way in WAYS {
        let running = InFlight::new();
        let (count, clock) = (running.clone(), runtime.clock().clone());
        let work = move |n: u64| {
            let guard = count.enter();
            let pause = (n % 10 == 0).then(|| clock.sleep(Duration::from_micros(30)));
            async move {
                yields(n as usize % 4).await;
                if let Some(pause) = pause {
                    pause.await;
                }
                drop(guard);
                Ok::<_, Infallible>(n)
            }
        };
        let source = Pipeline::source(stream::iter(0..200_u64));
        let workers = Workers::adaptive(2..=5, Swings(false, 2..=5));
        let stage = match way.order {
            0 => source.stage("work", workers, work),
            1 => source.stage("work", workers, work).unordered(),
            _ => source.stage_by_key("work", workers, |n| n % 9, work),
        };
        let plan = stage.collect().clock(runtime.clock());
        let summary = match way.on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        let mut output = summary.output;
        if way.order > 0 {
            output.sort_unstable();
        }
        assert_eq!(output, (0..200).collect::<Vec<_>>());
        assert!(running.peak() <= 5, "{way:?} {}", running.peak());
        assert!((2..=5).contains(&summary.stats.stage("work").unwrap().workers));
        watched.idle().await;
    }
}

#[apply(sim_test)]
async fn it_begins_with_the_least_and_tells_of_each_change(runtime: Runtime) {
    for way in WAYS {
        let clock = runtime.clock().clone();
        let (running, told) = (InFlight::new(), Arc::new(Mutex::new(Vec::new())));
        let (count, sleeper, log, begun) = (running.clone(), clock.clone(), Arc::clone(&told), clock.now());
        let work = move |n: u64| {
            let (guard, sleep) = (count.enter(), sleeper.sleep(ms(10)));
            async move {
                sleep.await;
                drop(guard);
                Ok::<_, Infallible>(n)
            }
        };
        let one_more = |window: &Window| window.workers + 1;
        let source = Pipeline::source(stream::iter(0..200_u64));
        let workers = Workers::adaptive(2..=4, one_more);
        let stage = match way.order {
            0 => source.stage("work", workers, work),
            1 => source.stage("work", workers, work).unordered(),
            _ => source.stage_by_key("work", workers, |n| *n, work),
        };
        let timer = clock.clone();
        let plan = stage.collect().clock(&clock).on_event(move |event| {
            if let PipelineEvent::Resized { stage: "work", from, to } = event {
                log.lock().unwrap().push((*from, *to, timer.now() - begun));
            }
        });
        match way.on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        assert_eq!(*told.lock().unwrap(), [(2, 3, ms(250)), (3, 4, ms(500))], "{way:?}");
        assert_eq!(running.peak(), 4);
        // 25 rounds of two, 25 of three, and 19 of four for what is left.
        let time = clock.now() - begun;
        assert!((ms(680)..=ms(710)).contains(&time), "{way:?} {time:?}");
    }
}

#[apply(runtime_test)]
async fn a_controller_that_panics_changes_nothing(runtime: Runtime) {
    for way in WAYS {
        struct Broken;
        impl Controller for Broken {
            fn workers(&mut self, _: &Window) -> usize {
                panic!("it knows no number")
            }
            fn window(&self) -> Duration {
                Duration::from_micros(20)
            }
        }
        let clock = runtime.clock().clone();
        let work = move |n: u64| {
            let sleep = clock.sleep(Duration::from_micros(10));
            async move {
                sleep.await;
                Ok::<_, Infallible>(n)
            }
        };
        let source = Pipeline::source(stream::iter(0..20_u64));
        let workers = Workers::adaptive(2..=4, Broken);
        let stage = match way.order {
            0 => source.stage("work", workers, work),
            1 => source.stage("work", workers, work).unordered(),
            _ => source.stage_by_key("work", workers, |n| *n, work),
        };
        let plan = stage.collect().clock(runtime.clock());
        let summary = match way.on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        assert_eq!((summary.output.len(), summary.stats.stage("work").unwrap().workers), (20, 2));
    }
}

#[apply(runtime_test)]
async fn bounds_that_make_no_sense_are_errors(runtime: Runtime) {
    let ready = async |n: u64| Ok::<_, Infallible>(n);
    let source = || Pipeline::source(stream::iter(0_u64..3));
    let same = |window: &Window| window.workers;
    let none = source().stage("work", Workers::adaptive(0..=4, same), ready).collect();
    assert_eq!(none.run(&runtime).unwrap_err().to_string(), "work: there has to be at least one");
    #[allow(clippy::reversed_empty_ranges, reason = "that is the bad input")]
    let turned = source().stage_by_key("work", Workers::adaptive(5..=4, same), |n| *n, ready).collect();
    assert_eq!(turned.drive().unwrap_err().to_string(), "work: the least is above the most");
    struct Hasty;
    impl Controller for Hasty {
        fn workers(&mut self, _: &Window) -> usize {
            1
        }
        fn window(&self) -> Duration {
            Duration::ZERO
        }
    }
    let hasty = source().stage("work", Workers::adaptive(1..=4, Hasty), ready).collect();
    assert_eq!(hasty.run(&runtime).unwrap_err().to_string(), "work: the window of its controller is zero");
    // One that stays one is as good.
    let one = source().stage("work", Workers::adaptive(1..=1, same), ready).collect();
    assert_eq!(one.run(&runtime).unwrap().await.unwrap().output, [0, 1, 2]);
}

#[apply(sim_test)]
async fn adaptive_and_dropped_at_any_point(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let step = async |n: u64| {
        yields(1).await;
        Ok::<_, Infallible>(n)
    };
    let plan = |by_key: bool| {
        let source = Pipeline::source(stream::iter(0..5_u64));
        let workers = Workers::adaptive(1..=3, Swings(false, 1..=3));
        let stage = match by_key {
            true => source.stage_by_key("work", workers, |n| n % 3, step),
            false => source.stage("work", workers, step),
        };
        stage.collect().clock(runtime.clock())
    };
    let check = async |_| watched.idle().await;
    for by_key in [true, false] {
        let run = || async { drop(plan(by_key).run(&watching).unwrap().await.unwrap()) };
        cancel_at_every_poll(run, check).await;
        let drive = || async { drop(plan(by_key).drive().unwrap().await.unwrap()) };
        cancel_at_every_poll(drive, check).await;
    }
}
