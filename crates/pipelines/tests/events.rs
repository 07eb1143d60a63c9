//! What pools and pipelines tell while they run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{StreamExt, stream};
use weirs_channels_utils::Overflow;
use weirs_pipelines::{
    DeadLetterRing, Intake, Pipeline, PipelineEvent, PoolEvent, Retry, Window, WorkerPool,
};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What was told, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn pool(&self) -> impl Fn(&PoolEvent<'_>) + Send + Sync + 'static + use<> {
        let log = self.clone();
        move |event| log.0.lock().unwrap().push(format!("{event:?}"))
    }

    fn pipeline(&self) -> impl Fn(&PipelineEvent<'_>) + Send + Sync + 'static + use<> {
        let log = self.clone();
        move |event| log.0.lock().unwrap().push(format!("{event:?}"))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// How often which.
    fn count(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in self.take() {
            let name = event.split([' ', '{']).next().unwrap().to_owned();
            *counts.entry(name).or_default() += 1;
        }
        counts
    }
}

/// Without the workers: whoever has begun has ended, and some may not have come to begin.
fn of_jobs(mut counts: BTreeMap<String, usize>, most_workers: usize) -> BTreeMap<String, usize> {
    let started = counts.remove("WorkerStarted").unwrap_or(0);
    assert_eq!(counts.remove("WorkerEnded").unwrap_or(0), started);
    assert!((1..=most_workers).contains(&started), "{started}");
    counts
}

fn counts<const N: usize>(pairs: [(&str, usize); N]) -> BTreeMap<String, usize> {
    pairs.into_iter().map(|(name, number)| (name.to_owned(), number)).collect()
}

#[apply(runtime_test)]
async fn a_pool_tells_of_workers_and_of_jobs_that_end_badly(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let log = Log::default();
    let work = async |n: u64| {
        yields(n as usize % 3).await;
        match n % 5 {
            1 => Err("one"),
            2 => panic!("two"),
            _ => Ok(n),
        }
    };
    let pool = WorkerPool::builder(work)
        .workers(3)
        .queue(100)
        .retries(1)
        .discard_results()
        .on_event(log.pool())
        .build(&runtime)
        .unwrap();
    let now = runtime.clock().now();
    pool.submit_many(0..20).await.unwrap();
    pool.submit(3).by(now).await.unwrap();
    let settled = pool.close().await;
    assert_eq!((settled.done, settled.failed, settled.panicked, settled.expired), (12, 4, 4, 1));
    drop(pool);
    watched.idle().await;
    let expected = [("Retried", 8), ("Panicked", 4), ("Expired", 1), ("Stopped", 1)];
    assert_eq!(of_jobs(log.count(), 3), counts(expected));
}

#[apply(sim_test)]
async fn full_and_free_take_turns(runtime: Runtime) {
    let log = Log::default();
    let clock = runtime.clock().clone();
    let work = move |n: u64| {
        let sleep = clock.sleep(ms(10));
        async move {
            sleep.await;
            Ok::<_, Infallible>(n)
        }
    };
    let pool = WorkerPool::builder(work)
        .workers(1)
        .queue(4)
        .unread(100)
        .on_event(log.pool())
        .build(&runtime)
        .unwrap();
    let a_moment = || runtime.clock().sleep(Duration::from_micros(1));
    a_moment().await;
    assert_eq!(log.take(), ["WorkerStarted { worker: 0 }"]);
    let mut taken = 0;
    while pool.try_submit(taken).is_ok() {
        taken += 1;
        a_moment().await;
    }
    assert_eq!((taken, log.take()), (5, vec!["Full".to_owned()]));
    // One more is no news, nor is one place; half the queue is.
    let _ = pool.try_submit(9);
    runtime.clock().sleep(ms(15)).await;
    assert_eq!(log.take(), [""; 0]);
    runtime.clock().sleep(ms(10)).await;
    assert_eq!(log.take(), ["Free"]);
    while pool.try_submit(taken).is_ok() {}
    assert_eq!(log.take(), ["Full"]);
    pool.abort().await;
    let last = log.take();
    assert_eq!(last.iter().filter(|event| *event == "Stopped").count(), 1, "{last:?}");
    assert_eq!(last.last().unwrap(), "WorkerEnded { worker: 0 }", "{last:?}");
}

#[apply(sim_test)]
async fn unread_results_make_a_pool_full_and_their_reader_makes_it_free(runtime: Runtime) {
    let log = Log::default();
    let pool = WorkerPool::builder(async |n: u64| Ok::<_, Infallible>(n))
        .workers(1)
        .queue(2)
        .unread(0)
        .on_event(log.pool())
        .build(&runtime)
        .unwrap();
    let mut results = pool.results();
    runtime.clock().sleep(ms(1)).await;
    for n in 0..3 {
        pool.submit(n).await.unwrap();
        runtime.clock().sleep(ms(1)).await;
    }
    assert_eq!(log.take(), ["WorkerStarted { worker: 0 }", "Full"]);
    for _ in 0..3 {
        results.next().await.unwrap();
    }
    assert_eq!(log.take(), ["Free"]);
}

#[apply(sim_test)]
async fn a_pool_tells_when_it_grows_and_shrinks(runtime: Runtime) {
    let log = Log::default();
    let clock = runtime.clock().clone();
    let work = move |n: u64| {
        let sleep = clock.sleep(ms(10));
        async move {
            sleep.await;
            Ok::<_, Infallible>(n)
        }
    };
    let mut numbers = [3, 3, 1].into_iter().cycle();
    let controller = move |_: &Window| numbers.next().unwrap();
    let pool = WorkerPool::builder(work)
        .adaptive(1..=4, controller)
        .discard_results()
        .on_event(log.pool())
        .build(&runtime)
        .unwrap();
    runtime.clock().sleep(ms(900)).await;
    let seen = log.take();
    let resized: Vec<_> = seen.iter().filter(|event| event.starts_with("Resized")).collect();
    assert_eq!(resized, ["Resized { from: 1, to: 3 }", "Resized { from: 3, to: 1 }"]);
    let started = seen.iter().filter(|event| event.starts_with("WorkerStarted")).count();
    let ended = seen.iter().filter(|event| event.starts_with("WorkerEnded")).count();
    assert_eq!((started, ended), (3, 2));
    pool.close().await;
}

#[apply(runtime_test)]
async fn the_first_error_stops_a_pool_and_is_told_once(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let log = Log::default();
    let work = async |n: u64| if n == 3 { Err("three") } else { Ok(n) };
    let pool = WorkerPool::builder(work)
        .workers(2)
        .discard_results()
        .stop_on_error()
        .on_event(log.pool())
        .build(&runtime)
        .unwrap();
    let _ = pool.submit_many(0..100).await;
    pool.close().await;
    pool.shutdown(ms(1000)).await;
    watched.idle().await;
    let mut seen = log.count();
    // The queue may have been full before.
    seen.remove("Full");
    seen.remove("Free");
    assert_eq!(of_jobs(seen, 2), counts([("Stopped", 1)]));
}

type OwnIntake = Intake<u64, u64, &'static str>;

#[apply(runtime_test)]
async fn an_observer_may_panic_and_may_use_the_pool(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    // No lock is held: it looks at the pool, and hands in one more job. Others get theirs in all the same.
    let intake: Arc<Mutex<Option<OwnIntake>>> = Arc::default();
    let of = Arc::clone(&intake);
    let work = async |n: u64| {
        yields(n as usize % 2).await;
        if n % 4 == 0 { panic!("four") } else { Ok::<_, &str>(n) }
    };
    let pool = WorkerPool::builder(work)
        .workers(2)
        .queue(4)
        .discard_results()
        .on_event(move |_| {
            let intake = of.lock().unwrap().clone();
            if let Some(intake) = intake {
                let _ = intake.try_submit(1);
            }
            panic!("the observer");
        })
        .build(&runtime)
        .unwrap();
    *intake.lock().unwrap() = Some(pool.intake());
    pool.submit_many(0..40).await.unwrap();
    *intake.lock().unwrap() = None;
    let settled = pool.close().await;
    assert_eq!((settled.panicked, settled.done), (10, settled.taken - 10));
    drop(pool);
    watched.idle().await;
}

#[apply(runtime_test)]
async fn a_pipeline_tells_of_its_workers_and_jobs(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let log = Log::default();
    let work = async |n: u64| {
        yields(n as usize % 3).await;
        match n % 5 {
            1 => Err("one"),
            2 => panic!("two"),
            _ => Ok(n),
        }
    };
    let now = runtime.clock().now();
    let letters = DeadLetterRing::new(NonZeroUsize::new(100).unwrap());
    let plan = Pipeline::source(stream::iter(0..20_u64))
        .stage("work", 3, work)
        .retry(Retry::times(1))
        .expires(move |n| (n % 5 == 3).then_some(now))
        .dead_letters(letters)
        .stage("more", 1, async |n: u64| if n == 5 { Err("five") } else { Ok(n) })
        .skip_failures()
        .collect()
        .on_event(log.pipeline());
    plan.run(&runtime).unwrap().await.unwrap();
    let expected = [("Retried", 4), ("Panicked", 4), ("Expired", 4), ("DeadLettered", 12), ("Skipped", 1)];
    assert_eq!(of_jobs(log.count(), 3), counts(expected));
    watched.idle().await;
}

#[apply(sim_test)]
async fn a_pipeline_tells_of_full_buffers(runtime: Runtime) {
    for on_runtime in [true, false] {
        for overflow in [Overflow::Block, Overflow::DropNewest] {
            let log = Log::default();
            let clock = runtime.clock().clone();
            let slow = move |n: u64| {
                let sleep = clock.sleep(ms(10));
                async move {
                    sleep.await;
                    Ok::<_, Infallible>(n)
                }
            };
            let plan = Pipeline::source(stream::iter(0..20_u64))
                .buffer_with(4, overflow)
                .stage("slow", 1, slow)
                .collect()
                .clock(runtime.clock())
                .on_event(log.pipeline());
            match on_runtime {
                true => plan.run(&runtime).unwrap().await.unwrap(),
                false => plan.drive().unwrap().await.unwrap(),
            };
            let seen = log.take();
            // In turn, and free in the end.
            for (event, is_full) in seen.iter().zip([true, false].into_iter().cycle()) {
                let name = if is_full { "Full" } else { "Free" };
                assert_eq!(*event, format!("{name} {{ stage: \"slow\" }}"), "{seen:?}");
            }
            assert!(!seen.is_empty() && seen.len() % 2 == 0, "{seen:?}");
        }
    }
}

#[apply(sim_test)]
async fn observed_and_dropped_at_any_point(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let log = Log::default();
    let step = async |n: u64| {
        yields(1).await;
        if n == 2 { Err("two") } else { Ok(n) }
    };
    let plan = || {
        let source = Pipeline::source(stream::iter(0..5_u64)).buffer(1).stage("work", 2, step);
        let plan = source.retry(Retry::times(1)).skip_failures().collect();
        plan.clock(runtime.clock()).on_event(log.pipeline())
    };
    let check = async |_| {
        watched.idle().await;
        let seen = log.count();
        assert_eq!(seen.get("WorkerStarted"), seen.get("WorkerEnded"), "{seen:?}");
    };
    cancel_at_every_poll(|| async { drop(plan().run(&watching).unwrap().await.unwrap()) }, check).await;
    cancel_at_every_poll(|| async { drop(plan().drive().unwrap().await.unwrap()) }, check).await;
}
