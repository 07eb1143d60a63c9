//! How far the other keys of a stage run past one that is stuck, and that memory stays bounded.

use std::collections::BTreeSet;
use std::future::pending;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{StreamExt, future::yield_now, stream};
use weirs_pipelines::{DeadLetterRing, Pipeline, Retry};
use weirs_runtime::Runtime;
use weirs_testing::{InFlight, apply, cancel_at_every_poll, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Item 0 is stuck, and the only one of its key: how many others are taken, and how many may be inside.
async fn run_past(runtime: &Runtime, on_runtime: bool, ahead: Option<usize>, keys: u64) -> (u64, usize) {
    let clock = runtime.clock().clone();
    let inside = InFlight::new();
    let count = inside.clone();
    let work = async |(n, guard): (u64, weirs_testing::InFlightGuard)| {
        if n == 0 {
            pending::<()>().await;
        }
        yields(n as usize % 3).await;
        drop(guard);
        Ok::<_, &str>(n)
    };
    let items = stream::iter(0..500_u64).map(move |n| (n, count.enter()));
    let key = move |item: &(u64, _)| if item.0 == 0 { u64::MAX } else { item.0 % keys };
    let stage = Pipeline::source(items).stage_by_key("work", 4, key, work).per_key(3);
    let stage = if let Some(ahead) = ahead { stage.ahead(ahead) } else { stage };
    let plan = stage.collect().clock(&clock);
    let summary = match on_runtime {
        true => {
            let running = plan.run(runtime).unwrap();
            clock.sleep(ms(1)).await;
            running.abort().await.unwrap()
        }
        false => {
            let drive = plan.drive().unwrap();
            let handle = drive.handle();
            let abort = async {
                clock.sleep(ms(1)).await;
                handle.abort();
            };
            futures::join!(abort, drive).1.unwrap()
        }
    };
    (summary.stats.stage("work").unwrap().taken, inside.peak())
}

#[apply(sim_test)]
async fn others_go_on_past_a_stuck_one_as_far_as_they_may(runtime: Runtime) {
    for on_runtime in [true, false] {
        // Keys times items of a key, and as many results as keys; one is in the source's hand.
        let bound = 4 * 3 + 4 + 1;
        for keys in [2, 7] {
            let (taken, inside) = run_past(&runtime, on_runtime, None, keys).await;
            assert_eq!(taken, 500);
            assert!(inside <= bound, "{inside}");
            for ahead in [0, 1, 5, 100] {
                let (taken, inside) = run_past(&runtime, on_runtime, Some(ahead), keys).await;
                assert_eq!(taken, 1 + ahead as u64);
                assert!(inside <= bound, "{inside}");
            }
        }
    }
}

#[apply(sim_test)]
async fn a_key_that_is_stuck_stops_the_stage_when_it_has_its_fill(runtime: Runtime) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let work = move |n: u64| {
        log.lock().unwrap().push(n);
        async move {
            if n == 0 {
                pending::<()>().await;
            }
            Ok::<_, &str>(n)
        }
    };
    // Every fifth is of the stuck key: the fourth of these has no room, and nobody passes it.
    let plan =
        Pipeline::source(stream::iter(0..1000_u64)).stage_by_key("work", 5, |n| n % 5, work).per_key(3);
    let running = plan.collect().run(&runtime).unwrap();
    runtime.clock().sleep(ms(1)).await;
    assert_eq!(seen.lock().unwrap().iter().max(), Some(&14));
    running.abort().await.unwrap();
}

#[apply(runtime_test)]
async fn nobody_begins_further_from_the_oldest_than_he_may(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    for by_key in [true, false] {
        let ended = Arc::new(Mutex::new(BTreeSet::new()));
        let work = move |n: u64| {
            let ended = Arc::clone(&ended);
            let oldest = |ended: &BTreeSet<u64>| (0..).find(|n| !ended.contains(n));
            assert!(n <= oldest(&ended.lock().unwrap()).unwrap() + 3, "{n} ran away");
            async move {
                yields((n * 7 % 5) as usize).await;
                ended.lock().unwrap().insert(n);
                if n % 20 == 7 { Err("told to") } else { Ok(n) }
            }
        };
        let source = Pipeline::source(stream::iter(0..100_u64));
        let letters = DeadLetterRing::new(NonZeroUsize::new(100).unwrap());
        let stage = match by_key {
            true => source.stage_by_key("work", 4, |n| n % 6, work),
            false => source.stage("work", 4, work).unordered(),
        };
        let plan = stage.ahead(3).dead_letters(letters.clone()).collect();
        let summary = plan.run(&runtime).unwrap().await.unwrap();
        let letters = letters.take();
        assert_eq!((summary.output.len(), letters.len()), (95, 5));
        assert!(letters.iter().all(|letter| letter.error == Some("told to")));
    }
    watched.idle().await;
}

#[apply(sim_test)]
async fn retries_do_not_let_others_run_away(runtime: Runtime) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let work = move |n: u64| {
        log.lock().unwrap().push(n);
        async move { if n == 5 { Err("never") } else { Ok(n) } }
    };
    let plan = Pipeline::source(stream::iter(0..1000_u64))
        .stage_by_key("work", 8, |n| *n, work)
        .retry(Retry::times(3).after(ms(10)))
        .ahead(20)
        .collect();
    let start = runtime.clock().now();
    let error = plan.run(&runtime).unwrap().await.unwrap_err();
    assert_eq!((error.stage, runtime.clock().now() - start), ("work", ms(30)));
    // It has failed: what may have been done besides are the twenty after it.
    assert_eq!(seen.lock().unwrap().iter().max(), Some(&25));
    assert_eq!(error.output.unwrap().into_iter().max(), Some(25));
}

#[apply(sim_test)]
async fn bounded_and_dropped_at_any_point(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let step = async |n: u64| {
        yield_now().await;
        Ok::<_, &str>(n)
    };
    let plan = || {
        let source = Pipeline::source(stream::iter(0..6_u64));
        source.stage_by_key("work", 3, |n| n % 2, step).ahead(1).collect().clock(runtime.clock())
    };
    let check = async |_| watched.idle().await;
    cancel_at_every_poll(|| async { drop(plan().run(&watching).unwrap().await.unwrap()) }, check).await;
    cancel_at_every_poll(|| async { drop(plan().drive().unwrap().await.unwrap()) }, check).await;
}
