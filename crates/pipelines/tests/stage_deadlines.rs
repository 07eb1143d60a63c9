//! Jobs of a stage that have a deadline: late ones are not begun, and none is lost.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{future::yield_now, stream};
use weirs_pipelines::{DeadLetterRing, Left, Pipeline, PipelineEvent, Reason, Retry};
use weirs_runtime::{Instant, Runtime};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ring<E>() -> DeadLetterRing<u64, E> {
    DeadLetterRing::new(NonZeroUsize::new(100).unwrap())
}

#[apply(runtime_test)]
async fn late_jobs_are_not_begun_and_stop_nothing(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let clock = runtime.clock().clone();
    // The odd ones are late from the beginning; every fourth has no deadline at all.
    let now = clock.now();
    let deadline = move |n: &u64| match n % 4 {
        0 => None,
        2 => Some(now + Duration::from_secs(3600)),
        _ => Some(now),
    };
    let begun = Arc::new(AtomicU64::new(0));
    for workers in [1, 3] {
        for rule in 0..3 {
            begun.store(0, Ordering::Relaxed);
            let count = Arc::clone(&begun);
            let work = move |n: u64| {
                count.fetch_add(1, Ordering::Relaxed);
                async move {
                    yield_now().await;
                    Ok::<_, &str>(n)
                }
            };
            let letters = ring();
            let told = Arc::new(AtomicU64::new(0));
            let tell = Arc::clone(&told);
            let stage =
                Pipeline::source(stream::iter(0..40_u64)).stage("work", workers, work).expires(deadline);
            let stage = match rule {
                0 => stage,
                1 => stage.skip_failures(),
                _ => stage.dead_letters(letters.clone()),
            };
            let plan = stage.collect().on_event(move |event| {
                if let PipelineEvent::Expired { stage: "work" } = event {
                    tell.fetch_add(1, Ordering::Relaxed);
                }
            });
            let summary = plan.run(&runtime).unwrap().await.unwrap();
            assert_eq!(summary.output, (0..40).filter(|n| n % 2 == 0).collect::<Vec<_>>());
            assert_eq!((begun.load(Ordering::Relaxed), told.load(Ordering::Relaxed)), (20, 20));
            let stats = summary.stats.stage("work").unwrap();
            assert_eq!((stats.expired, stats.failed, stats.skipped, stats.in_flight), (20, 0, 0, 0));
            assert!(summary.stats.to_string().contains("expired"));
            let letters = letters.take();
            assert_eq!(letters.len() as u64, stats.dead_lettered);
            assert_eq!(letters.len(), if rule == 2 { 20 } else { 0 });
            for (letter, n) in letters.iter().zip(0..) {
                assert_eq!((letter.job, letter.reason, letter.attempts), (2 * n + 1, Reason::Expired, 0));
                assert!(letter.error.is_none() && letter.panic.is_none());
                assert!(letter.first_at <= letter.last_at);
            }
        }
    }
    watched.idle().await;
}

#[apply(sim_test)]
async fn none_is_tried_again_when_its_time_is_over(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let deadline = clock.now() + ms(35);
    let letters = ring();
    let plan = Pipeline::source(stream::iter([7_u64]))
        .stage("work", 1, async |_: u64| Err::<u64, _>("busy"))
        .retry(Retry::times(9).after(ms(10)))
        .expires(move |_| deadline)
        .dead_letters(letters.clone())
        .collect();
    let start = clock.now();
    let stats = plan.run(&runtime).unwrap().await.unwrap().stats;
    // At 0, 10, 20 and 30: the next would begin at 40.
    let letter = letters.take().remove(0);
    assert_eq!((letter.attempts, letter.reason, letter.last_at), (4, Reason::Exhausted, start + ms(30)));
    assert_eq!(stats.stage("work").unwrap().expired, 0);
}

#[apply(sim_test)]
async fn what_waits_for_too_long_is_late(runtime: Runtime) {
    let clock = runtime.clock().clone();
    for on_runtime in [true, false] {
        let (sleep, start) = (clock.clone(), clock.now());
        let work = move |n: u64| {
            let sleep = sleep.sleep(ms(10));
            async move {
                sleep.await;
                Ok::<_, &str>(n)
            }
        };
        // In time on the dot is too late: none of its time is left.
        let plan = Pipeline::source(stream::iter(0..10_u64))
            .stage("work", 2, work)
            .expires(move |_| start + ms(20))
            .collect()
            .clock(&clock);
        let summary = match on_runtime {
            true => plan.run(&runtime).unwrap().await.unwrap(),
            false => plan.drive().unwrap().await.unwrap(),
        };
        assert_eq!(summary.output, [0, 1, 2, 3]);
        assert_eq!(clock.now(), start + ms(20));
    }
}

#[apply(runtime_test)]
async fn a_question_that_panics_fails_its_job_alone(runtime: Runtime) {
    for workers in [1, 3] {
        let letters = ring();
        let deadline = |n: &u64| -> Option<Instant> {
            assert!(*n != 3, "no threes");
            None
        };
        let work = async |n: u64| Ok::<_, &str>(n);
        let plan = Pipeline::source(stream::iter(0..6_u64))
            .stage("work", workers, work)
            .retry(Retry::times(3).panics_too())
            .expires(deadline)
            .dead_letters(letters.clone())
            .collect();
        assert_eq!(plan.run(&runtime).unwrap().await.unwrap().output, [0, 1, 2, 4, 5]);
        let letter = letters.take().remove(0);
        assert_eq!((letter.job, letter.reason, letter.attempts), (3, Reason::Panicked, 0));
        assert_eq!(letter.panic.unwrap().message(), "no threes");
    }
}

#[apply(sim_test)]
async fn no_job_is_lost_whenever_they_are_late_and_it_is_aborted(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let clock = runtime.clock().clone();
    let chance = |of: u64| clock.random_below(of);
    let start = clock.now();
    let deadlines: Vec<Instant> = (0..chance(40)).map(|_| start + ms(chance(60))).collect();
    let begun = Arc::new(Mutex::new(Vec::new()));
    let (log, sleeper, of) = (Arc::clone(&begun), clock.clone(), deadlines.clone());
    let work = move |n: usize| {
        log.lock().unwrap().push((n, sleeper.now()));
        let sleep = sleeper.sleep(ms(n as u64 % 4));
        async move {
            sleep.await;
            if n % 7 == 3 { Err("three") } else { Ok(n) }
        }
    };
    let letters = DeadLetterRing::new(NonZeroUsize::new(100).unwrap());
    let workers = 1 + chance(4) as usize;
    let stage = Pipeline::source(stream::iter(0..deadlines.len()))
        .stage("work", workers, work)
        .unread(chance(5) as usize)
        .expires(move |n| of[*n])
        .keep();
    let stage = if chance(2) == 0 { stage.unordered() } else { stage };
    let stage = match chance(2) {
        0 => stage.dead_letters(letters.clone()),
        _ => stage.skip_failures(),
    };
    let plan = stage.buffer(1 + chance(3) as usize).collect().clock(&clock);
    let (aborts, on_runtime) = (clock.sleep(ms(chance(60))), chance(2) == 0);
    let abort = async |handle: weirs_pipelines::PipelineHandle| {
        aborts.await;
        handle.abort();
    };
    let mut summary = if on_runtime {
        let running = plan.run(&watching).unwrap();
        futures::join!(abort(running.handle()), running).1.unwrap()
    } else {
        let drive = plan.drive().unwrap();
        futures::join!(abort(drive.handle()), drive).1.unwrap()
    };
    let stats = summary.stats.stage("work").unwrap().clone();
    assert_eq!(
        (stats.taken, stats.in_flight),
        (stats.given + stats.failed + stats.expired + stats.interrupted + stats.handed_back, 0),
        "{}",
        summary.stats
    );
    let begun = std::mem::take(&mut *begun.lock().unwrap());
    for (n, at) in &begun {
        assert!(*at < deadlines[*n], "{n} began at {at:?}");
    }
    let letters = letters.take();
    let late: Vec<_> = letters.iter().filter(|letter| letter.reason == Reason::Expired).collect();
    assert!(late.iter().all(|letter| begun.iter().all(|(n, _)| *n != letter.job)));
    let mut ends: Vec<usize> = summary.output;
    ends.extend(letters.iter().map(|letter| letter.job));
    for stage in ["work", "buffer", "sink"] {
        for left in [Left::Waiting, Left::Interrupted, Left::Failed, Left::Finished] {
            ends.extend(summary.unprocessed.take::<usize>(stage, left));
        }
    }
    // The others were left out, and counted.
    let left_out = stats.skipped + stats.expired - late.len() as u64;
    assert_eq!(ends.len() as u64 + left_out, stats.taken, "{} {ends:?}", summary.stats);
    let number = ends.len();
    assert_eq!(ends.into_iter().collect::<BTreeSet<_>>().len(), number);
    watched.idle().await;
}

#[apply(sim_test)]
async fn late_ones_dropped_at_any_point(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let clock = runtime.clock().clone();
    let work = async |n: u64| {
        yield_now().await;
        Ok::<_, &str>(n)
    };
    let plan = || {
        let now = clock.now();
        let deadline = move |n: &u64| if n % 2 == 0 { now } else { now + ms(1) };
        let stage = Pipeline::source(stream::iter(0..5_u64)).stage("work", 2, work).expires(deadline);
        stage.dead_letters(ring()).collect().clock(&clock)
    };
    let check = async |_| watched.idle().await;
    cancel_at_every_poll(|| async { drop(plan().run(&watching).unwrap().await.unwrap()) }, check).await;
    cancel_at_every_poll(|| async { drop(plan().drive().unwrap().await.unwrap()) }, check).await;
}
