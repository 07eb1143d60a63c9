//! The hottest single operations, alone in a process, for their instructions to be counted.
//!
//! Each runs on one thread. What it needs is made before the first; since two counts of different lengths are
//! subtracted, that costs nothing.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::stream::{self, Stream, StreamExt};
use weirs_channels_utils::{StreamUtil, bounded, merge};
use weirs_limiters::{Keyed, Quota, Rate, RateLimiter, Semaphore};
use weirs_pipelines::{Pipeline, WorkerPool};
use weirs_resilience::{Breaker, Retry, retry};
use weirs_runtime::{AsyncStd, Clock, Runtime, Smol, Tokio, block_on};
use weirs_scopes::{CancelToken, Select, scope, task_scope};
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
pub const OPERATIONS: [Operation; 33] = [
    Operation {
        name: "spawn/tokio-ct",
        run: |times| {
            on_tokio(|runtime| spawn_and_join(runtime, times));
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
    Operation {
        name: "scope-spawn-join",
        run: |times| {
            block_on(scope(async |s| {
                for _ in 0..times {
                    black_box(s.spawn(async {}).await).expect("an empty child ends well");
                }
            }));
        },
    },
    Operation {
        name: "task-scope-spawn-join",
        run: |times| {
            on_tokio(|runtime| async move {
                task_scope(&runtime, async |s| {
                    for _ in 0..times {
                        black_box(s.spawn(async {}).await).expect("an empty child ends well");
                    }
                })
                .await;
            });
        },
    },
    Operation {
        name: "token-is-cancelled",
        run: |times| {
            let token = CancelToken::new().child();
            repeat(times, || assert!(!black_box(&token).is_cancelled()));
        },
    },
    Operation {
        name: "token-child-and-drop",
        run: |times| {
            let token = CancelToken::new();
            repeat(times, || black_box(&token).child());
        },
    },
    Operation {
        name: "select",
        run: |times| {
            let mut select = Select::new();
            block_on(async {
                for number in 0..times {
                    black_box(select.next((ready(black_box(number)), pending::<u64>())).await);
                }
            });
        },
    },
    Operation {
        name: "channel-item",
        run: |times| {
            let (sender, mut receiver) = bounded(PLACES);
            block_on(async {
                for number in 0..times {
                    sender.send(black_box(number)).await.expect("there is room");
                    black_box(receiver.recv().await);
                }
            });
        },
    },
    Operation { name: "merge-item", run: |times| drain(merge([(); 8].map(|()| stream::repeat(7))), times) },
    Operation {
        name: "tee-item",
        run: |times| {
            let [mut one, mut two] = stream::repeat(7).tee::<2>(PLACES);
            block_on(async {
                for _ in 0..times {
                    black_box((one.next().await, two.next().await));
                }
            });
        },
    },
    Operation {
        name: "pool-job",
        run: |times| {
            on_tokio(move |runtime| async move {
                let pool = WorkerPool::builder(plus_one).workers(1).queue(128).unread(128);
                let pool = pool.build(&runtime).expect("it makes sense");
                let intake = pool.intake();
                let feeder = runtime.spawn(async move { intake.submit_many(0..times).await.is_ok() });
                assert_eq!(pool.into_results().count().await as u64, times);
                assert!(feeder.await.expect("it is not cancelled"));
            });
        },
    },
    Operation {
        name: "pipeline-stage",
        run: |times| {
            let numbers = Pipeline::source(stream::iter(0..times));
            let plan = numbers.stage("one", 1, plus_one).fold(0, |sum, item| *sum += item);
            black_box(block_on(plan.drive().expect("it makes sense"))).expect("nothing fails");
        },
    },
    Operation {
        name: "pipeline-buffer",
        run: |times| {
            let numbers = Pipeline::source(stream::iter(0..times));
            let plan = numbers.buffer(128).fold(0, |sum, item| *sum += item);
            black_box(block_on(plan.drive().expect("it makes sense"))).expect("nothing fails");
        },
    },
    Operation { name: "actor-tell", run: |times| actors("tell", times) },
    Operation { name: "actor-ask", run: |times| actors("ask", times) },
    Operation { name: "actor-spawn", run: |times| actors("spawn", times) },
    Operation { name: "actor-crash", run: |times| actors("crash", times) },
    Operation { name: "actor-observed", run: |times| actors("observed", times) },
];

const PLACES: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");

/// With what starts tokio; the same for any number of times.
fn on_tokio<F: Future<Output: Send> + Send + 'static>(work: impl FnOnce(Runtime) -> F) {
    let tokio = tokio::runtime::Builder::new_current_thread().build().expect("tokio starts");
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    tokio.block_on(work(runtime));
}

async fn plus_one(item: u64) -> Result<u64, Infallible> {
    Ok(item + 1)
}

fn drain(mut items: impl Stream<Item = u64> + Unpin, times: u64) {
    block_on(async {
        for _ in 0..times {
            black_box(items.next().await);
        }
    });
}

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
