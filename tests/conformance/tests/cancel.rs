//! Every waiting operation, dropped at every point: nothing is lost and nothing is left.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use weirs_conformance::until;
use weirs_runtime::{MissedTicks, Runtime, Task};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

const MS: Duration = Duration::from_millis(1);

/// Drops it after every pending poll, and then after every wake. A macro, for it needs both closures twice.
macro_rules! at_every_point {
    ($make:expr, $check:expr) => {{
        cancel_at_every_poll($make, $check).await;
        cancel_at_every_wake($make, $check).await;
    }};
}

#[apply(runtime_test)]
async fn joining(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    // The handle stays here except while it is polled: dropping who awaits it does not drop the task.
    let handle = Mutex::new(None::<Task<u32>>);
    at_every_point!(
        || {
            let work = async {
                yields(3).await;
                7
            };
            *handle.lock().unwrap() = Some(runtime.spawn(work));
            async {
                let joined = poll_fn(|cx| Pin::new(handle.lock().unwrap().as_mut().unwrap()).poll(cx)).await;
                assert_eq!(joined.unwrap(), 7);
                *handle.lock().unwrap() = None;
            }
        },
        async |_| {
            let left = handle.lock().unwrap().take();
            if let Some(task) = left {
                assert_eq!(task.await.unwrap(), 7, "the output is not lost");
            }
        }
    );
    assert!(watched.is_empty());
}

#[apply(runtime_test)]
async fn waiting_for_a_cancelled_task(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    at_every_point!(
        || {
            let task = runtime.spawn(async {
                yields(2).await;
                std::future::pending::<()>().await;
            });
            async {
                yields(2).await;
                assert!(task.cancel().await.unwrap_err().is_cancelled());
            }
        },
        async |_| until(runtime.clock(), || watched.is_empty()).await
    );
}

#[apply(sim_test)]
async fn sleeping(runtime: Runtime) {
    let clock = runtime.clock();
    at_every_point!(
        || async {
            let start = clock.now();
            let mut sleep = clock.sleep(MS);
            (&mut sleep).await;
            sleep.reset_after(2 * MS);
            sleep.await;
            assert_eq!(clock.now() - start, 3 * MS);
        },
        async |_| {}
    );
    // Every step but the last was given up in, so no time but theirs has passed: 0, 0, 1 and 3; 1, 3 and 3.
    assert_eq!(clock.now() - weirs_runtime::Instant::from_nanos(0), 11 * MS);
}

#[apply(runtime_test)]
async fn waiting_with_a_limit(runtime: Runtime) {
    let clock = runtime.clock();
    let (sender, receiver) = async_channel::bounded::<u32>(1);
    at_every_point!(
        || async {
            assert!(clock.timeout(MS / 10, receiver.recv()).await.is_err());
            sender.send(7).await.unwrap();
            yields(1).await;
            let hour = Duration::from_secs(3600);
            assert_eq!(clock.timeout(hour, receiver.recv()).await, Ok(Ok(7)));
        },
        async |_| {
            // Received, or there: either way there is room for the next.
            let _ = receiver.try_recv();
            assert!(sender.is_empty());
        }
    );
}

#[apply(sim_test)]
async fn waiting_for_ticks(runtime: Runtime) {
    let clock = runtime.clock();
    let start = clock.now();
    let interval = clock.interval(MS).unwrap().missed_ticks(MissedTicks::Burst);
    let interval = Mutex::new(interval);
    let given = AtomicU32::new(0);
    at_every_point!(
        || async {
            for _ in 0..3 {
                // What `tick` does, with the interval left here.
                let due = poll_fn(|cx| interval.lock().unwrap().poll_tick(cx)).await;
                let number = given.fetch_add(1, Ordering::Relaxed) + 1;
                assert_eq!(due, start + number * MS, "no tick is lost and none is given twice");
            }
        },
        async |_| {}
    );
    assert!(given.load(Ordering::Relaxed) >= 6);
}

#[apply(runtime_test)]
async fn waiting_for_a_blocking_job(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    at_every_point!(|| async { assert_eq!(runtime.spawn_blocking(|| 7).await.unwrap(), 7) }, async |_| {
        until(runtime.clock(), || watched.is_empty()).await
    });
}

#[apply(runtime_test)]
async fn a_story_of_all_of_them(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let clock = runtime.clock();
    let story = || async {
        let inner = clock.clone();
        let task = runtime.spawn(async move {
            let mut ticks = inner.interval(MS / 20).unwrap();
            ticks.tick().await;
            inner.timeout(MS / 20, std::future::pending::<()>()).await.unwrap_err();
            7
        });
        clock.sleep(MS / 20).await;
        assert_eq!(task.await.unwrap(), 7);
    };
    at_every_point!(story, async |_| until(clock, || watched.is_empty()).await);
}
