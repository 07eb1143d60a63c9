#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
mod adapters;
mod blocking;
mod clock;
mod instant;
mod interval;
mod local;
mod panic_hook;
mod runtime;
mod sleep;
mod sync;
mod task;
mod timeout;
#[doc(hidden)]
pub mod waiting;
mod watch;
mod watched;

#[cfg(any(feature = "smol", feature = "async-std", feature = "tokio"))]
pub use adapters::*;
pub use blocking::{BlockingJob, SpawnBlocking};
pub use clock::{Clock, Entropy, SeededEntropy, TimerDriver, TimerKey};
pub use instant::Instant;
pub use interval::{Interval, MissedTicks, Tick, ZeroPeriod};
pub use local::{LocalRuntime, LocalTaskBuilder};
pub use panic_hook::{LostPanic, PanicOrigin};
pub use runtime::{Runtime, TaskBuilder};
pub use sleep::Sleep;
#[doc(hidden)]
pub use task::ticket::{Prepared, Ticketed};
pub use task::{AbortHandle, Cancelled, JoinError, LocalCancelled, LocalTask, PanicPayload, Task};
pub use timeout::{Elapsed, Timeout};
pub use watch::{Ending, Spawned, TaskId, TaskKind, Verdict, Watch};
pub use watched::{Idle, TaskInfo, TaskState, Watched};

/// Runs a future on this thread until it is ready: for `main`, tests and examples.
///
/// It drives nothing but this future. A library should take a [`Runtime`] instead, or hand its future out.
///
/// # Examples
/// ```
/// assert_eq!(weirs_runtime::block_on(async { 6 * 7 }), 42);
/// ```
pub use futures_lite::future::block_on;

/// The way into what the models of `tests/models` check.
#[cfg(loom)]
#[doc(hidden)]
pub mod models {
    pub use crate::clock::wheel::models::*;
}

/// How many timers of the real clock this thread has set so far: the simulator finds code that waits in real
/// time.
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub fn real_timers_set_by_this_thread() -> u64 {
    clock::real::inserted_by_this_thread()
}
