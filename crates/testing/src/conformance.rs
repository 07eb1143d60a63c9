//! The conformance kit: does a runtime do what [`weirs_runtime`] promises?
//!
//! For whoever writes an adapter. Each check is an async function that takes a [`Runtime`] and panics when a
//! promise is broken; [`run`] runs them all and says which failed. Checks assert order and counts, never
//! durations, so they hold on a busy machine too. Each of them, on every runtime that the crates come with,
//! is what this workspace's own `tests/conformance` begins with.
//!
//! # Examples
//! An executor that the crates do not know, `futures`' own:
//! ```
//! use weirs_runtime::Runtime;
//! use weirs_testing::conformance;
//!
//! let pool = futures::executor::ThreadPool::builder().pool_size(2).create().unwrap();
//! let runtime = Runtime::new(pool);
//! let report = conformance::run(&runtime, |check| futures::executor::block_on(check));
//! assert!(report.is_success(), "{report}");
//! ```
//!
//! As tests of their own, named one by one:
//! ```
//! use weirs_runtime::Runtime;
//! use weirs_testing::{conformance, runtime_test};
//!
//! runtime_test! {
//!     async fn dropping_the_handle_cancels(runtime: Runtime) {
//!         conformance::dropping_the_handle_cancels(runtime).await;
//!     }
//! }
//! # fn main() {}
//! ```

mod blocking;
mod panics;
mod tasks;
mod time;
mod tools;

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use weirs_runtime::{Clock, PanicPayload, Runtime};

pub use blocking::*;
pub use panics::*;
pub use tasks::*;
pub use time::*;

/// How long a check may take. None waits for more than milliseconds of its own accord.
const LIMIT: Duration = Duration::from_secs(20);

/// A check of [`CHECKS`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Check {
    /// The name of its function in this module.
    pub name: &'static str,
    /// The function itself.
    pub run: fn(Runtime) -> CheckFuture,
}

/// A check that is under way: panics if the runtime breaks the promise.
pub type CheckFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! checks {
    ($($name:ident,)+) => {
        &[$(Check { name: stringify!($name), run: |runtime| Box::pin($name(runtime)) }),+]
    };
}

/// All checks.
pub const CHECKS: &[Check] = checks![
    a_join_gives_the_value,
    a_joiner_may_come_late,
    a_joiner_may_give_way_to_another,
    dropping_the_handle_cancels,
    detaching_lets_it_run,
    cancelling_waits_until_the_future_is_dropped,
    cancelling_an_idle_task_drops_it_at_once,
    cancelling_a_finished_task_gives_its_value,
    a_task_may_cancel_itself,
    finishing_beats_being_cancelled,
    an_abort_handle_cancels_from_elsewhere,
    a_result_is_given_once,
    a_handle_may_be_dropped_by_its_own_task,
    tasks_may_own_tasks,
    a_task_knows_its_name_and_place,
    many_tasks_all_end,
    a_panic_is_an_error_to_the_joiner,
    a_payload_may_be_anything,
    a_destructor_may_panic_while_cancelled,
    a_destructor_may_panic_after_the_end,
    a_detached_panic_goes_to_the_hook,
    an_output_that_nobody_takes_may_panic,
    a_payload_may_panic_when_dropped,
    a_joiners_waker_may_panic,
    a_hook_may_panic,
    a_blocking_job_gives_its_value,
    a_blocking_panic_is_an_error,
    a_blocking_job_without_a_place_is_unsupported,
    a_blocking_job_cancelled_in_the_queue_never_runs,
    a_running_blocking_job_ends_as_it_does,
    a_sleep_that_is_due_is_ready,
    a_sleep_ends_when_it_is_due,
    an_endless_sleep_may_be_dropped,
    a_sleep_may_be_reset,
    a_sleep_may_change_hands,
    a_sleep_stays_ready,
    many_sleeps_all_end,
    a_timeout_lets_a_result_through,
    a_timeout_elapses,
    a_timeout_polls_at_least_once,
    a_panic_passes_through_a_timeout,
    an_interval_ticks,
    an_interval_of_zero_is_an_error,
];

/// Runs all checks on a runtime, one after another, and tells how they went.
///
/// `block_on` has to run the future that it is given to its end, and whatever drives the runtime meanwhile. A
/// check that takes longer than twenty seconds of real time has failed. The runtime should have its
/// [place for blocking jobs](Runtime::with_blocking), if it is to have one.
///
/// It suits runtimes in real time. To try one in the simulator, call the checks one by one.
pub fn run(runtime: &Runtime, mut block_on: impl FnMut(CheckFuture)) -> Report {
    let mut report = Report::default();
    for check in CHECKS {
        match outcome(check, runtime, &mut block_on) {
            Ok(()) => report.passed.push(check.name),
            Err(message) => report.failed.push(Failure { check: check.name, message }),
        }
    }
    report
}

fn outcome(check: &Check, runtime: &Runtime, block_on: &mut impl FnMut(CheckFuture)) -> Result<(), String> {
    let outcome = Arc::new(Mutex::new(Err("`block_on` returned before the check did".to_owned())));
    let body = (check.run)(runtime.clone());
    let slot = Arc::clone(&outcome);
    block_on(Box::pin(async move {
        let result = match Clock::default().timeout(LIMIT, caught(body)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(payload)) => Err(payload.message().to_owned()),
            Err(_) => Err(format!("it takes more than {LIMIT:?}")),
        };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = result;
    }));
    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    outcome.clone()
}

/// The future; a panic in it is an error.
async fn caught(mut future: CheckFuture) -> Result<(), PanicPayload> {
    // After a panic the future is not polled again.
    let caught = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(PanicPayload::new(payload))),
    });
    caught.await
}

/// How the checks went.
///
/// Its `Display` has a line for each one that failed, and a count.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
#[must_use = "it tells what failed"]
pub struct Report {
    /// The names of those that passed.
    pub passed: Vec<&'static str>,
    /// Those that failed.
    pub failed: Vec<Failure>,
}

impl Report {
    /// Whether all passed.
    pub fn is_success(&self) -> bool {
        self.failed.is_empty()
    }
}

/// A check that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Its name.
    pub check: &'static str,
    /// What it panicked with, or that it did not end.
    pub message: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failed {
            writeln!(f, "{}: {}", failure.check, failure.message)?;
        }
        write!(f, "{} checks passed, {} failed", self.passed.len(), self.failed.len())
    }
}
