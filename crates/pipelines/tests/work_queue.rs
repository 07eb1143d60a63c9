//! The promises of the keyed work queue.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future::or;
use weirs_pipelines::WorkQueue;
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Each key is worked on by one at a time, and what is added last is seen by some work after it.
#[apply(runtime_test)]
async fn no_key_twice_at_a_time_and_no_change_is_overlooked(runtime: Runtime) {
    #[derive(Default)]
    struct Book {
        version: BTreeMap<u64, u64>,
        seen: BTreeMap<u64, u64>,
        running: BTreeMap<u64, bool>,
    }
    let queue = WorkQueue::new(runtime.clock());
    let book = Arc::new(Mutex::new(Book::default()));
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (queue, book, clock) = (queue.clone(), Arc::clone(&book), runtime.clock().clone());
            runtime.spawn(async move {
                while let Some(key) = queue.next().await {
                    {
                        let mut book = book.lock().unwrap();
                        assert_ne!(book.running.insert(*key, true), Some(true), "twice at a time");
                        let version = book.version[&*key];
                        book.seen.insert(*key, version);
                    }
                    yields(clock.random_below(4) as usize).await;
                    if clock.random_below(10) == 0 {
                        queue.add_rate_limited(*key);
                    }
                    book.lock().unwrap().running.insert(*key, false);
                }
            })
        })
        .collect();
    let clock = runtime.clock();
    for _ in 0..60 {
        let key = clock.random_below(5);
        *book.lock().unwrap().version.entry(key).or_default() += 1;
        assert!(queue.add(key));
        assert!(queue.len() <= 5);
        if clock.random_below(3) == 0 {
            yields(1).await;
        }
    }
    queue.shut_down();
    queue.drained().await;
    assert!(!queue.add(1));
    for worker in workers {
        worker.await.unwrap();
    }
    let book = book.lock().unwrap();
    assert_eq!(book.version, book.seen);
    assert_eq!((queue.len(), queue.running()), (0, 0));
}

#[apply(sim_test)]
async fn delays_are_exact_and_the_sooner_one_counts(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let queue = WorkQueue::new(clock);
    queue.add_after("late", ms(50));
    queue.add_after("late", ms(30));
    queue.add_after("late", ms(90));
    let waits = async { queue.next().await.map(|key| *key) };
    let sooner = async {
        clock.sleep(ms(5)).await;
        queue.add_after("soon", ms(10));
    };
    let (first, ()) = futures::join!(waits, sooner);
    assert_eq!((first, clock.now() - start), (Some("soon"), ms(15)));
    assert_eq!(queue.next().await.map(|key| *key), Some("late"));
    assert_eq!(clock.now() - start, ms(30));
    assert_eq!(queue.shut_down(), []);
    assert!(queue.next().await.is_none());
}

#[apply(sim_test)]
async fn failures_wait_longer_each_time(runtime: Runtime) {
    let queue = WorkQueue::with_backoff(runtime.clock(), ms(10), ms(35)).unwrap();
    let delays = [10, 20, 35, 35].map(|delay| Some(ms(delay)));
    assert_eq!([(); 4].map(|()| queue.add_rate_limited(7)), delays);
    assert_eq!(queue.failures(&7), 4);
    queue.forget(&7);
    assert_eq!((queue.failures(&7), queue.add_rate_limited(7)), (0, Some(ms(10))));
    // The first of all these delays counts.
    let start = runtime.clock().now();
    drop(queue.next().await);
    assert_eq!(runtime.clock().now() - start, ms(10));
    queue.add_after(8, ms(1000));
    assert_eq!(queue.shut_down(), [Arc::new(8)]);
    assert_eq!(queue.add_rate_limited(7), None);
    assert!(WorkQueue::<u8>::with_backoff(runtime.clock(), ms(2), ms(1)).is_err());
    assert!(WorkQueue::<u8>::with_backoff(runtime.clock(), ms(0), ms(1)).is_err());
}

/// Panics when it is hashed, if it is a seven.
#[derive(PartialEq, Eq)]
struct Key(u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        assert!(self.0 != 7, "as told");
        self.0.hash(hasher);
    }
}

#[apply(runtime_test)]
async fn a_key_whose_hash_panics_keeps_nobody_else_waiting(runtime: Runtime) {
    let queue = WorkQueue::<Key>::new(runtime.clock());
    let other = runtime.spawn({
        let queue = queue.clone();
        async move { queue.next().await.map(|taken| taken.0) }
    });
    yields(2).await;
    let add = |n| catch_unwind(AssertUnwindSafe(|| queue.add(Key(n))));
    assert!(add(7).is_err() && add(1).is_ok());
    assert_eq!(other.await.unwrap(), Some(1));
    assert!(catch_unwind(AssertUnwindSafe(|| queue.add_after(Key(7), ms(1)))).is_err());
    assert!(add(2).is_ok());
    assert_eq!(queue.next().await.unwrap().0, 2);
    queue.shut_down();
    queue.drained().await;
}

#[apply(runtime_test)]
async fn a_panic_in_the_work_gives_the_key_back(runtime: Runtime) {
    let queue = WorkQueue::new(runtime.clock());
    queue.add(1);
    let taken = queue.next().await.unwrap();
    queue.add(1);
    let panics = runtime.spawn(async move {
        let _taken = taken;
        panic!("as told");
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(*queue.next().await.unwrap(), 1);
}

#[apply(runtime_test)]
async fn a_dropped_wait_takes_no_key(runtime: Runtime) {
    let queue = WorkQueue::new(runtime.clock());
    let make = || async {
        let add = async {
            yields(2).await;
            queue.add(1);
            std::future::pending::<()>().await;
        };
        let one = async { queue.next().await };
        let taken = or(one, async {
            add.await;
            None
        })
        .await;
        yields(1).await;
        drop(taken);
    };
    let check = |_| async {
        // It is there, or it never came.
        queue.add(1);
        assert_eq!((queue.len(), queue.running()), (1, 0));
        drop(queue.next().await);
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
    queue.add(2);
    let taken = queue.next().await.unwrap();
    queue.shut_down();
    cancel_at_every_poll(|| or(queue.drained(), yields(2)), async |_| assert_eq!(queue.running(), 1)).await;
    drop(taken);
    queue.drained().await;
}
