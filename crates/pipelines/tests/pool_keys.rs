//! Jobs of one key: one at a time, in order, and no obstacle to the others.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weirs_pipelines::WorkerPool;
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn one_key_one_at_a_time_in_order(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let seen = Arc::new(Mutex::new(BTreeMap::<u64, (bool, u64)>::new()));
    let work = {
        let (seen, clock) = (Arc::clone(&seen), clock.clone());
        move |(key, number): (u64, u64)| {
            let (seen, turns) = (Arc::clone(&seen), clock.random_below(4) as usize);
            async move {
                {
                    let mut seen = seen.lock().unwrap();
                    let (runs, last) = seen.entry(key).or_default();
                    assert!(!std::mem::replace(runs, true), "two of key {key} at a time");
                    assert!(*last < number, "{number} of key {key} after {last}");
                    *last = number;
                }
                yields(turns).await;
                seen.lock().unwrap().get_mut(&key).unwrap().0 = false;
                assert!(number % 17 != 0, "as told");
                if number % 5 == 0 { Err(number) } else { Ok(number) }
            }
        }
    };
    let pool = WorkerPool::builder(work)
        .workers(3)
        .queue(7)
        .by_key(|(key, _): &(u64, u64)| *key)
        .discard_results()
        .build(&runtime)
        .unwrap();
    for number in 1..150 {
        pool.submit((clock.random_below(4), number)).await.unwrap();
        assert!(pool.stats().queued <= 7);
    }
    let settled = pool.close().await;
    assert_eq!((settled.taken, settled.ended(), settled.panicked), (149, 149, 8));
}

#[apply(sim_test)]
async fn a_hot_key_does_not_hold_up_the_others(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let ended = Arc::new(Mutex::new(Vec::new()));
    let work = {
        let (clock, ended) = (clock.clone(), Arc::clone(&ended));
        move |key: &'static str| {
            let (clock, ended) = (clock.clone(), Arc::clone(&ended));
            async move {
                clock.sleep(Duration::from_millis(10)).await;
                ended.lock().unwrap().push((key, clock.now()));
                Ok::<_, Infallible>(())
            }
        }
    };
    let start = clock.now();
    let pool = WorkerPool::builder(work).workers(2).queue(32).by_key(|key| *key).build(&runtime).unwrap();
    pool.submit_many(["hot"; 10]).await.unwrap();
    pool.submit_many(["a", "b"]).await.unwrap();
    pool.close().await;
    let ended = ended.lock().unwrap();
    let at = |name| ended.iter().rfind(|(key, _)| *key == name).unwrap().1 - start;
    assert_eq!((at("a"), at("b")), (Duration::from_millis(10), Duration::from_millis(20)));
    assert_eq!(at("hot"), Duration::from_millis(100));
}

#[apply(runtime_test)]
async fn what_waits_behind_its_key_is_handed_back_in_order(runtime: Runtime) {
    let work = async |n: u64| std::future::pending::<Result<u64, Infallible>>().await.map(|_| n);
    let pool = WorkerPool::builder(work).workers(2).queue(16).by_key(|n| n % 2).build(&runtime).unwrap();
    pool.submit_many(0..10).await.unwrap();
    while pool.stats().busy().1 < 2 {
        yields(1).await;
    }
    let report = pool.abort().await;
    let jobs: Vec<_> = report.handed_back.into_iter().map(|(_, job)| job).collect();
    assert_eq!(jobs, [2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(report.settled.interrupted, 2);
}
