//! The simulator, with many seeds.

use std::future::Future;

use weirs_runtime::{LocalRuntime, Runtime};

use super::{Test, TestOutput};

/// The body in the simulator, once for each seed.
#[track_caller]
pub fn explore<F, Fut>(test: Test, body: F)
where
    F: Fn(Runtime) -> Fut,
    Fut: Future<Output: TestOutput> + 'static,
{
    crate::sim::explore_test(&test.name(), test.package, |runtime| {
        let body = body(runtime);
        async move { body.await.expect_success() }
    });
}

/// The body and local tasks in the simulator, once for each seed.
#[track_caller]
pub fn local<F, Fut>(test: Test, body: F)
where
    F: Fn(LocalRuntime) -> Fut,
    Fut: Future<Output: TestOutput> + 'static,
{
    crate::sim::explore_test_local(&test.name(), test.package, |runtime| {
        let body = body(runtime);
        async move { body.await.expect_success() }
    });
}
