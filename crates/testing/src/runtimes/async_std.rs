//! async-std: its global executor, which outlives the test. Tasks that are left are cancelled when they wake.

use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_executor::LocalExecutor;
use async_std::task::block_on;
use futures_task::{LocalFutureObj, LocalSpawn, SpawnError};
use weirs_runtime::{AsyncStd, LocalRuntime, Runtime, TaskId, Verdict, Watch};

use super::{Test, TestOutput};

/// The body on the test's thread, the tasks on async-std's.
pub fn global<F, Fut>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    beside(test, |runtime| block_on(body(runtime)));
}

/// A plain body, and the tasks on async-std's threads.
pub fn beside<F, T: TestOutput>(test: Test, body: F)
where
    F: FnOnce(Runtime) -> T,
{
    let end = EndOfTest::default();
    let (runtime, _guard) = test.guarded(&Runtime::from(AsyncStd).with_watch(Arc::clone(&end.0) as _));
    body(runtime).expect_success();
}

/// The body and local tasks on one thread: async-std's own local tasks cannot be had without its context.
pub fn local<F, Fut>(test: Test, body: F)
where
    F: FnOnce(LocalRuntime) -> Fut,
    Fut: Future<Output: TestOutput>,
{
    let executor = Rc::new(LocalExecutor::new());
    let (runtime, _guard) = test.guarded_local(&LocalRuntime::new(WeakLocal(Rc::downgrade(&executor))));
    // Bound after the guard, so that it is dropped under it.
    let executor = executor;
    block_on(executor.run(body(runtime))).expect_success();
}

/// Dropped when the test ends, however it does.
#[derive(Default)]
struct EndOfTest(Arc<Ended>);

impl Drop for EndOfTest {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

#[derive(Default)]
struct Ended(AtomicBool);

impl Watch for Ended {
    fn poll_begins(&self, _: TaskId) -> Verdict {
        if self.0.load(Ordering::Acquire) { Verdict::Cancel } else { Verdict::Poll }
    }
}

struct WeakLocal(Weak<LocalExecutor<'static>>);

impl LocalSpawn for WeakLocal {
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.0.upgrade().ok_or_else(SpawnError::shutdown)?.spawn(future).detach();
        Ok(())
    }
}
