//! 100,000 tasks on every runtime leave no memory behind. One test: what is counted is the whole process.
//!
//! Executors and pools grow at first, so the rounds that count are the second and the third, compared with
//! each other. What is counted is allocations, not bytes: a queue that doubles its room is one allocation for
//! the one before.

use std::sync::Arc;

use weirs_runtime::{AsyncStd, Runtime, Smol, Tokio, block_on};
use weirs_testing::{Allocations, CountingAllocator, yields};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const TASKS: usize = 100_000;

async fn round(runtime: Runtime) {
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            runtime.spawn(async move {
                yields(number % 2).await;
                number
            })
        })
        .collect();
    for task in tasks.iter().step_by(2) {
        task.abort();
    }
    for (number, task) in tasks.into_iter().enumerate() {
        match task.await {
            Ok(value) => assert_eq!(value, number),
            Err(error) => assert!(error.is_cancelled() && number % 2 == 0, "{error}"),
        }
    }
}

fn leaves_nothing(name: &str, runtime: &Runtime, block_on: impl Fn(&mut (dyn Future<Output = ()> + Unpin))) {
    let measure = || Allocations::measure(|| block_on(&mut Box::pin(round(runtime.clone())))).1;
    let first = measure();
    let second = measure();
    let third = measure();
    // An executor frees a cancelled task when it comes by, which may be after the round; a leak is in every
    // round.
    let leaked = third.leaked.min(second.leaked);
    assert!(leaked < TASKS as i64 / 1_000, "{name}: {leaked} are left; {first:?}, {second:?}, {third:?}");
    assert!(third.count <= second.count + TASKS as u64 / 10, "{name}: {second:?}, then {third:?}");
}

#[test]
fn tasks_leave_no_memory_behind() {
    let executor = Arc::new(smol::Executor::new());
    let smol = Runtime::from(Smol::on(Arc::clone(&executor)));
    leaves_nothing("smol", &smol, |round| smol::block_on(executor.run(round)));

    leaves_nothing("smol, global", &Runtime::from(Smol::global()), |round| block_on(round));
    leaves_nothing("async-std", &Runtime::from(AsyncStd), |round| async_std::task::block_on(round));

    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    leaves_nothing("tokio, current thread", &runtime, |round| tokio.block_on(round));

    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let runtime = Runtime::from(Tokio::on(tokio.handle().clone()));
    leaves_nothing("tokio, multi thread", &runtime, |round| tokio.block_on(round));
}
