//! The same seed gives the same run, and what keeps it from doing so is found.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::future::yield_now;
use weirs_runtime::Runtime;
use weirs_testing::sim::{Cause, Explore, Faults, Run, Schedule, Sim};

const MS: Duration = Duration::from_millis(1);
const SCHEDULES: [Schedule; 3] = [Schedule::Fifo, Schedule::Random, Schedule::Pct { depth: 3 }];

/// A few producers and consumers, with pauses from the clock's chance. Gives the order of what was received.
async fn busy(runtime: Runtime) -> Vec<u64> {
    let (sender, receiver) = async_channel::bounded(2);
    let mut tasks = Vec::new();
    for producer in 0..5_u64 {
        let (sender, clock) = (sender.clone(), runtime.clock().clone());
        tasks.push(runtime.spawn(async move {
            for item in 0..4 {
                clock.sleep(clock.random_below(3) as u32 * MS).await;
                sender.send(producer * 10 + item).await.unwrap();
            }
        }));
    }
    drop(sender);
    let mut received = Vec::new();
    while let Ok(item) = receiver.recv().await {
        received.push(item);
    }
    for task in tasks {
        task.await.unwrap();
    }
    received
}

fn run(seed: u64, schedule: Schedule) -> Run<Vec<u64>> {
    let faults = Faults::new().spurious_polls().fresh_wakers().late_timers(MS);
    Sim::new(seed).schedule(schedule).faults(faults).run(busy).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for schedule in SCHEDULES {
        for seed in 0..20 {
            let (one, two) = (run(seed, schedule), run(seed, schedule));
            assert_eq!(one.trace_hash, two.trace_hash);
            assert_eq!(one.output, two.output);
            assert_eq!((one.steps, one.elapsed, one.tasks), (two.steps, two.elapsed, 6));
        }
    }
}

#[test]
fn other_seeds_give_other_runs() {
    for schedule in SCHEDULES {
        let mut hashes: Vec<_> = (0..100).map(|seed| run(seed, schedule).trace_hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 100, "{schedule}");
    }
}

#[test]
fn every_order_is_tried() {
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let body = |runtime: Runtime| async move {
            let (sender, receiver) = async_channel::unbounded();
            for task in 0..4 {
                let sender = sender.clone();
                runtime.spawn(async move { sender.send(task).await.unwrap() }).detach();
            }
            drop(sender);
            let mut order = Vec::new();
            while let Ok(task) = receiver.recv().await {
                order.push(task);
            }
            order
        };
        orders.insert(Sim::new(seed).run(body).unwrap().output);
    }
    assert_eq!(orders.len(), 24);
}

/// What one run leaves to the next is the classic reason why a seed does not replay.
#[test]
fn state_that_outlives_a_run_is_found() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let failure = Explore::new().seeds(0..10).find(|runtime| async move {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let steady = runtime.builder().name("steady").spawn(async { yield_now().await });
        let drifter = runtime.builder().name("drifter").spawn(async move {
            for _ in 0..run {
                yield_now().await;
            }
        });
        steady.await.unwrap();
        drifter.await.unwrap();
    });
    let failure = failure.expect("the difference");
    assert_eq!(failure.seed(), 0, "the first seed is run twice");
    let Cause::Nondeterminism { step: Some(step), first, second } = failure.cause() else {
        panic!("{failure}")
    };
    assert!((1..10).contains(step), "{failure}");
    assert!(first.contains("\"drifter\" finished"), "{failure}");
    assert!(second.contains("\"drifter\" woken by itself"), "{failure}");
}

#[test]
fn a_failure_that_does_not_replay_is_told_as_such() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let failure = Explore::new().seeds(1..10).schedules([Schedule::Random]).find(|_| async {
        // Fails once, in the fourth run: two of seed 1, one of seed 2 and then this one.
        assert_ne!(RUNS.fetch_add(1, Ordering::Relaxed), 3, "now and then");
    });
    let failure = failure.expect("the difference");
    let Cause::Nondeterminism { first, second, .. } = failure.cause() else { panic!("{failure}") };
    assert!(first.contains("now and then") && second.contains("it passed"), "{failure}");
    assert_eq!(failure.seed(), 3);
}

#[test]
fn chance_from_elsewhere_is_found() {
    let failure = Explore::new().seeds(0..4).find(|runtime| async move {
        let chance = weirs_runtime::SeededEntropy::from_system();
        let nanos = weirs_runtime::Entropy::next_u64(&chance) >> 32;
        runtime.clock().sleep(Duration::from_nanos(nanos)).await;
    });
    let failure = failure.expect("the difference");
    assert!(matches!(failure.cause(), Cause::Nondeterminism { step: Some(2), .. }), "{failure}");
    assert!(failure.to_string().contains("the clock jumped"), "{failure}");
}
