//! async-std: its global executor.

use futures_task::{FutureObj, Spawn, SpawnError};

use crate::{BlockingJob, Runtime, SpawnBlocking};

/// Spawns on async-std's global executor.
///
/// async-std is no longer maintained (RUSTSEC-2025-0052); this adapter is for programs that are still on it.
/// For tasks that are not `Send`, run a local executor inside `async_std::task::block_on`.
///
/// # Examples
/// ```
/// use weirs_runtime::{AsyncStd, Runtime};
///
/// let runtime = Runtime::from(AsyncStd);
/// assert_eq!(async_std::task::block_on(runtime.spawn(async { 1 })).unwrap(), 1);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd;

impl Spawn for AsyncStd {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        drop(async_std::task::spawn(future));
        Ok(())
    }
}

impl SpawnBlocking for AsyncStd {
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError> {
        drop(async_std::task::spawn_blocking(job));
        Ok(())
    }
}

/// Blocking jobs go to async-std's pool of threads.
impl From<AsyncStd> for Runtime {
    fn from(async_std: AsyncStd) -> Self {
        Self::new(async_std).with_blocking(async_std)
    }
}
