//! tokio: a handle of any flavour, a local set, and a clock that follows tokio's.

use std::error::Error;
use std::fmt;
use std::rc::Rc;

use futures_task::{FutureObj, LocalFutureObj, LocalSpawn, Spawn, SpawnError};
use tokio::runtime::Handle;

use crate::{BlockingJob, Clock, LocalRuntime, Runtime, SpawnBlocking};

/// Spawns on a tokio runtime, of either flavour.
///
/// It holds a [`Handle`], which does not keep the tokio runtime alive: once that is gone, tasks end with
/// [`JoinError::Lost`](crate::JoinError::Lost). A runtime made from it is in real time with timers of our
/// own; [`Tokio::clock`] gives tokio's, for tests that pause it.
///
/// # Examples
/// ```
/// use weirs_runtime::{Runtime, Tokio};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     let runtime = Runtime::from(Tokio::current().expect("we are in one"));
///     assert_eq!(runtime.spawn(async { 1 }).await.unwrap(), 1);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
}

impl Tokio {
    /// The tokio runtime that this code runs in.
    ///
    /// # Errors
    /// [`NoTokio`] outside of one.
    pub fn current() -> Result<Self, NoTokio> {
        Handle::try_current().map(Self::on).map_err(|_| NoTokio)
    }

    /// The tokio runtime of this handle.
    pub fn on(handle: Handle) -> Self {
        Self { handle }
    }

    /// A clock that follows tokio's own, its pauses and advances included; a task on the tokio runtime
    /// drives it.
    ///
    /// `Runtime::from(tokio.clone()).with_clock(tokio.clock())` is a runtime wholly in tokio's hands,
    /// without a timer thread of ours. Once the tokio runtime is gone, sleeps on this clock no longer end.
    ///
    /// # Panics
    /// When the tokio runtime was built without its timers: a sleep would never end.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_runtime::Tokio;
    ///
    /// #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// async fn main() {
    ///     let clock = Tokio::current().expect("we are in one").clock();
    ///     let start = clock.now();
    ///     clock.sleep(Duration::from_secs(3600)).await; // takes no time at all
    ///     assert!(clock.now() - start >= Duration::from_secs(3600));
    /// }
    /// ```
    pub fn clock(&self) -> Clock {
        let handle = self.handle.clone();
        // Inside its context, so that a paused clock is seen from any thread.
        let now = move || {
            let _context = handle.enter();
            tokio::time::Instant::now()
        };
        let start = now();
        {
            // It panics here, at whoever forgot the timers, and not later where nobody looks.
            let _context = self.handle.enter();
            drop(tokio::time::sleep(std::time::Duration::ZERO));
        }
        let (clock, drive) = Clock::hosted(move || now() - start, tokio::time::sleep);
        drop(self.handle.spawn(drive));
        clock
    }
}

impl Spawn for Tokio {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        drop(self.handle.spawn(future));
        Ok(())
    }
}

impl SpawnBlocking for Tokio {
    fn spawn_blocking(&self, job: BlockingJob) -> Result<(), SpawnError> {
        drop(self.handle.spawn_blocking(job));
        Ok(())
    }
}

/// Blocking jobs go to tokio's pool of threads.
impl From<Tokio> for Runtime {
    fn from(tokio: Tokio) -> Self {
        Self::new(tokio.clone()).with_blocking(tokio)
    }
}

/// [`Tokio::current`] was called outside of a tokio runtime. Call it inside, or use [`Tokio::on`] with a
/// handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTokio;

impl fmt::Display for NoTokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no tokio runtime here: call it inside of one, or use `Tokio::on` with a handle")
    }
}

impl Error for NoTokio {}

/// Spawns on a local set of tokio's.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use weirs_runtime::{LocalRuntime, TokioLocal};
///
/// let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// let local = Rc::new(tokio::task::LocalSet::new());
/// let runtime = LocalRuntime::from(TokioLocal::on(Rc::clone(&local)));
/// assert_eq!(local.block_on(&tokio, runtime.spawn(async { 1 })).unwrap(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct TokioLocal {
    local: Rc<tokio::task::LocalSet>,
}

impl TokioLocal {
    /// This local set: tasks run while you run it.
    pub fn on(local: Rc<tokio::task::LocalSet>) -> Self {
        Self { local }
    }
}

impl LocalSpawn for TokioLocal {
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        drop(self.local.spawn_local(future));
        Ok(())
    }
}

impl From<TokioLocal> for LocalRuntime {
    fn from(local: TokioLocal) -> Self {
        Self::new(local)
    }
}
