//! smol: its global executor, an executor of one's own, a local one.

use std::rc::Rc;
use std::sync::Arc;

use futures_task::{FutureObj, LocalFutureObj, LocalSpawn, Spawn, SpawnError};

use crate::{BlockingJob, LocalRuntime, Runtime, SpawnBlocking};

/// Spawns on smol.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use weirs_runtime::{Runtime, Smol, block_on};
///
/// // On smol's global executor, which has a thread of its own.
/// let runtime = Runtime::from(Smol::global());
/// assert_eq!(block_on(runtime.spawn(async { 1 })).unwrap(), 1);
///
/// // On an executor of your own, which runs where you run it.
/// let executor = Arc::new(smol::Executor::new());
/// let runtime = Runtime::from(Smol::on(Arc::clone(&executor)));
/// assert_eq!(block_on(executor.run(runtime.spawn(async { 2 }))).unwrap(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Smol {
    /// None is the global one.
    executor: Option<Arc<smol::Executor<'static>>>,
}

impl Smol {
    /// smol's global executor. It runs on a thread that starts with the first task, or as many as the
    /// environment variable `SMOL_THREADS` says.
    pub fn global() -> Self {
        Self { executor: None }
    }

    /// An executor of your own: tasks run while you run it.
    pub fn on(executor: Arc<smol::Executor<'static>>) -> Self {
        Self { executor: Some(executor) }
    }
}

impl Spawn for Smol {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        match &self.executor {
            Some(executor) => executor.spawn(future).detach(),
            None => smol::spawn(future).detach(),
        }
        Ok(())
    }
}

impl SpawnBlocking for Smol {
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError> {
        smol::unblock(job).detach();
        Ok(())
    }
}

/// Blocking jobs go to smol's pool of threads.
impl From<Smol> for Runtime {
    fn from(smol: Smol) -> Self {
        Self::new(smol.clone()).with_blocking(smol)
    }
}

/// Spawns on a local executor of smol's.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use weirs_runtime::{LocalRuntime, SmolLocal, block_on};
///
/// let executor = Rc::new(smol::LocalExecutor::new());
/// let runtime = LocalRuntime::from(SmolLocal::on(Rc::clone(&executor)));
/// assert_eq!(block_on(executor.run(runtime.spawn(async { 1 }))).unwrap(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct SmolLocal {
    executor: Rc<smol::LocalExecutor<'static>>,
}

impl SmolLocal {
    /// This executor: tasks run while you run it.
    pub fn on(executor: Rc<smol::LocalExecutor<'static>>) -> Self {
        Self { executor }
    }
}

impl LocalSpawn for SmolLocal {
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        self.executor.spawn(future).detach();
        Ok(())
    }
}

impl From<SmolLocal> for LocalRuntime {
    fn from(local: SmolLocal) -> Self {
        Self::new(local)
    }
}
