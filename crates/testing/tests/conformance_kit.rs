//! The conformance kit passes a good executor, and names what a bad one does.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_task::{FutureObj, Spawn, SpawnError};
use weirs_runtime::{BlockingJob, Runtime, SpawnBlocking};
use weirs_testing::conformance::{self, CHECKS, CheckFuture};

fn pool() -> futures::executor::ThreadPool {
    futures::executor::ThreadPool::builder().pool_size(2).create().unwrap()
}

fn block_on(check: CheckFuture) {
    futures::executor::block_on(check);
}

/// A thread for each job.
struct Threads;

impl SpawnBlocking for Threads {
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError> {
        std::thread::Builder::new().spawn(job).map(drop).map_err(|_| SpawnError::shutdown())
    }
}

#[test]
fn a_foreign_executor_passes() {
    let report = conformance::run(&Runtime::new(pool()).with_blocking(Threads), block_on);
    assert!(report.is_success(), "{report}");
    assert_eq!(report.passed.len(), CHECKS.len());
}

#[test]
fn a_spawner_that_drops_everything_is_found() {
    struct Drops;
    impl Spawn for Drops {
        fn spawn_obj(&self, _: FutureObj<'static, ()>) -> Result<(), SpawnError> {
            Ok(())
        }
    }
    // One that ends by itself: those that would wait in vain take twenty seconds each.
    let check = CHECKS.iter().find(|check| check.name == "a_join_gives_the_value").unwrap();
    let check = (check.run)(Runtime::new(Drops));
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(check))).is_err());
}

#[test]
fn a_block_on_that_gives_up_is_found() {
    let report = conformance::run(&Runtime::new(pool()), drop);
    assert!(!report.is_success());
    assert_eq!(report.failed.len(), CHECKS.len());
    let said = report.to_string();
    assert!(said.contains("a_join_gives_the_value: `block_on` returned before the check did"), "{said}");
    assert!(said.ends_with(&format!("0 checks passed, {} failed", CHECKS.len())), "{said}");
}
