//! The hottest single operations, alone in a process, for their instructions to be counted.
//!
//! Each runs on one thread. What it needs is made before the first; since two counts of different lengths are
//! subtracted, that costs nothing.

use std::future::{Future, pending, poll_fn, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use weirs_limiters::{Keyed, Quota, Rate, RateLimiter, Semaphore};
use weirs_resilience::{Breaker, Retry, retry};
use weirs_runtime::{AsyncStd, Clock, Runtime, Smol, Tokio, block_on};
use weirs_testing::sim::Sim;

use crate::measure::repeat;
use crate::rows::{Work, actors, dynamic_stack, fixed_stack, in_a_row};

/// An operation that is done so many times.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its name, without the `instructions/` of its row.
    pub name: &'static str,
    /// Does it.
    pub run: fn(u64),
}

/// All of them.
pub const OPERATIONS: [Operation; 31] = [
    Operation {
        name: "spawn/tokio-ct",
        run: |times| {
            let tokio = tokio::runtime::Builder::new_current_thread().build().expect("tokio starts");
            let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
            tokio.block_on(spawn_and_join(runtime, times));
        },
    },
    Operation {
        name: "spawn/smol",
        run: |times| {
            let executor = Arc::new(smol::Executor::new());
            let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
            block_on(executor.run(spawn_and_join(runtime, times)));
        },
    },
    Operation {
        name: "spawn/async-std",
        run: |times| {
            async_std::task::block_on(async_std::task::spawn(spawn_and_join(Runtime::from(AsyncStd), times)));
        },
    },
    Operation {
        name: "cancel-idle/smol",
        run: |times| {
            let executor = Arc::new(smol::Executor::new());
            let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
            repeat(times, || {
                let task = runtime.spawn(pending::<()>());
                // Run once it waits for ever; run again after that, the executor lets go of it.
                executor.try_tick();
                let cancelled = block_on(task.cancel());
                executor.try_tick();
                assert!(cancelled.is_err());
            });
        },
    },
    Operation {
        name: "clock-now",
        run: |times| {
            let clock = Clock::default();
            repeat(times, || black_box(&clock).now());
        },
    },
    Operation { name: "sleep-create-poll-drop", run: |times| create_poll_drop(&Clock::default(), times) },
    Operation {
        name: "sleep-create-poll-drop/100k-live",
        run: |times| {
            let clock = Clock::default();
            let later = |number| clock.sleep(Duration::from_secs(3600) + Duration::from_micros(600) * number);
            let mut live: Vec<_> = (0..100_000).map(later).collect();
            block_on(poll_fn(|cx| {
                assert!(live.iter_mut().all(|sleep| pin!(sleep).poll(cx).is_pending()));
                Poll::Ready(())
            }));
            create_poll_drop(&clock, times);
        },
    },
    Operation {
        name: "sleep-elapsed",
        run: |times| {
            let clock = Clock::default();
            let past = clock.now();
            block_on(poll_fn(|cx| {
                repeat(times, || assert!(pin!(clock.sleep_until(past)).poll(cx).is_ready()));
                Poll::Ready(())
            }));
        },
    },
    Operation {
        name: "timeout-ready",
        run: |times| {
            let clock = Clock::default();
            block_on(async {
                for _ in 0..times {
                    let timeout = clock.timeout(black_box(Duration::from_secs(30)), ready(black_box(7)));
                    black_box(timeout.await).expect("it is ready");
                }
            });
        },
    },
    Operation {
        name: "breaker-closed",
        run: |times| {
            let breaker = Breaker::consecutive(5).build().expect("the values make sense");
            one_by_one(times, |number| breaker.call(Work(number)));
        },
    },
    Operation {
        name: "stack-of-four",
        run: |times| {
            let stack = fixed_stack();
            one_by_one(times, |number| stack.call(move |_| Work(number)));
        },
    },
    Operation {
        name: "stack-of-four/dynamic",
        run: |times| {
            let stack = dynamic_stack();
            one_by_one(times, |number| stack.call(move |_| Work(number)));
        },
    },
    Operation {
        name: "policy-timeout-ready",
        run: |times| {
            let stack = weirs_resilience::timeout(Duration::from_secs(30));
            one_by_one(times, |number| stack.call(move |_| Work(number)));
        },
    },
    Operation {
        name: "retry-first-success",
        run: |times| {
            let stack = retry(Retry::exponential(Duration::from_millis(50)).retries(3));
            one_by_one(times, |number| stack.call(move |_| Work(number)));
        },
    },
    Operation {
        name: "simulator-step",
        run: |times| {
            let run = Sim::new(7).step_limit(u64::MAX).run(move |runtime| async move {
                let yielding = || async move {
                    for _ in 0..times / 2 {
                        smol::future::yield_now().await;
                    }
                };
                let tasks = [(); 2].map(|()| runtime.spawn(yielding()));
                for task in tasks {
                    task.await.expect("it only yields");
                }
            });
            run.expect("nothing goes wrong");
        },
    },
    Operation {
        name: "rate-admit",
        run: |times| {
            let limiter = RateLimiter::new(plenty());
            let now = limiter.clock().now();
            repeat(times, || black_box(&limiter).try_acquire_at(now, 1).expect("it never runs out"));
        },
    },
    Operation {
        name: "rate-deny",
        run: |times| {
            let limiter = RateLimiter::new(Quota::new(Rate::per_hour(1), 1).expect("a quota"));
            let now = limiter.clock().now();
            limiter.try_acquire_at(now, 1).expect("one is there");
            repeat(times, || black_box(&limiter).try_acquire_at(now, 1).expect_err("none is left"));
        },
    },
    Operation {
        name: "semaphore-acquire-release",
        run: |times| {
            let semaphore = Semaphore::new(8);
            block_on(async {
                for _ in 0..times {
                    drop(black_box(&semaphore).acquire(1).await.expect("permits are free"));
                }
            });
        },
    },
    Operation {
        name: "keyed-hit",
        run: |times| {
            let keyed = Keyed::<u64>::builder(plenty()).max_keys(1_000).build();
            let now = keyed.clock().now();
            let mut key = 0;
            repeat(times, || {
                key = (key + 1) % 100;
                black_box(&keyed).try_acquire_at(now, &key, 1).expect("it never runs out")
            });
        },
    },
    Operation { name: "actor-tell", run: |times| actors("tell", times) },
    Operation { name: "actor-ask", run: |times| actors("ask", times) },
    Operation { name: "actor-spawn", run: |times| actors("spawn", times) },
    Operation { name: "actor-tell/loop", run: |times| actors("tell/loop", times) },
    Operation { name: "actor-ask/loop", run: |times| actors("ask/loop", times) },
    Operation { name: "actor-tell/kameo", run: |times| actors("tell/kameo", times) },
    Operation { name: "actor-ask/kameo", run: |times| actors("ask/kameo", times) },
    Operation { name: "actor-spawn/kameo", run: |times| actors("spawn/kameo", times) },
    Operation { name: "actor-crash", run: |times| actors("crash", times) },
    Operation { name: "actor-crash/loop", run: |times| actors("crash/loop", times) },
    Operation { name: "actor-crash/kameo", run: |times| actors("crash/kameo", times) },
    Operation { name: "actor-observed", run: |times| actors("observed", times) },
];

fn plenty() -> Quota {
    Quota::new(Rate::per_second(1_000_000), 1_000_000).expect("a quota")
}

/// The operation of this name.
pub fn find(name: &str) -> Option<Operation> {
    OPERATIONS.into_iter().find(|operation| operation.name == name)
}

/// The calls in one task, as in a program.
fn one_by_one<F: Future>(times: u64, call: impl FnMut(u64) -> F) {
    block_on(in_a_row(times, call));
}

async fn spawn_and_join(runtime: Runtime, times: u64) {
    for _ in 0..times {
        black_box(runtime.spawn(async {}).await).expect("an empty task ends well");
    }
}

fn create_poll_drop(clock: &Clock, times: u64) {
    block_on(poll_fn(|cx| {
        repeat(times, || assert!(pin!(clock.sleep(Duration::from_secs(1800))).poll(cx).is_pending()));
        Poll::Ready(())
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_runs() {
        for operation in OPERATIONS {
            (operation.run)(3);
        }
    }

    #[test]
    fn names_are_unique() {
        for operation in OPERATIONS {
            let same = OPERATIONS.iter().filter(|other| other.name == operation.name);
            assert_eq!(same.count(), 1, "{}", operation.name);
        }
    }
}
