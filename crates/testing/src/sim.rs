//! The simulator: one thread, one seed, one virtual clock, and so the same run again for the same seed.
//!
//! Code that takes a [`Runtime`] runs in it unchanged. The seed decides which of the runnable tasks comes
//! next, what random numbers the program draws, and what goes wrong; when nothing is runnable, the clock
//! jumps to the next timer. So an hour takes no time, and of the many orders in which things may happen one
//! sees many.
//!
//! # Examples
//! Two tasks that take two locks in opposite order:
//! ```
//! use weirs_testing::sim::{Cause, Explore};
//!
//! async fn take_both(first: async_channel::Receiver<()>, second: async_channel::Receiver<()>) {
//!     let _first = first.recv().await; // a channel of one token is a lock
//!     futures_lite::future::yield_now().await;
//!     let _second = second.recv().await;
//! }
//!
//! let failure = Explore::new().seeds(0..100).find(|runtime| async move {
//!     let [(give_a, a), (give_b, b)] = [async_channel::bounded(1), async_channel::bounded(1)];
//!     give_a.send(()).await.unwrap();
//!     give_b.send(()).await.unwrap();
//!     let left = runtime.builder().name("left").spawn(take_both(a.clone(), b.clone()));
//!     let right = runtime.builder().name("right").spawn(take_both(b, a));
//!     left.await.unwrap();
//!     right.await.unwrap();
//! });
//! let failure = failure.expect("a deadlock");
//! assert_eq!(*failure.cause(), Cause::Deadlock);
//! assert!(failure.to_string().contains("\"left\"") && failure.to_string().contains("\"right\""));
//! ```
//!
//! [`runtime_test!`](crate::runtime_test) and [`sim_test!`](crate::sim_test) wrap all this; [`Sim`] is a
//! single run and [`Explore`] many, [`Faults`] go wrong on purpose, and [`net`] is a network to go with it.
//!
//! # What a run fails with
//! The body's panic; a deadlock, a live-lock, a leaked task, a panic that nobody awaits, a wake from another
//! thread, a timer in real time; and going another way than before: see [`Cause`]. Each report names the
//! tasks with the places where they were spawned, and ends with the line to paste.
//!
//! When the body is over, whatever is runnable still runs (up to 10,000 steps), but time stands still. A
//! task that is alive after that is a leak. Then all that is left is dropped, in the order in which it was
//! spawned.
//!
//! # Seeds from the environment
//! Tests, that is [`Explore::run`] and the macros, obey these variables:
//!
//! | variable | meaning |
//! |---|---|
//! | `WEIRS_SEED=17` | this seed only, on the schedule that it has in the test |
//! | `WEIRS_SCHEDULE=pct3` | this [`Schedule`] only |
//! | `WEIRS_SEEDS=1000` | as many seeds, where a test does not say itself; 200 without it |
//! | `WEIRS_DEEP=1` | 10,000 seeds, and every sixteenth is run twice and compared |
//!
//! # What a simulation cannot do
//! It replays what goes through the [`Runtime`] and its [`Clock`](weirs_runtime::Clock). Real time, threads,
//! random numbers from elsewhere, the order of a `HashMap` and statics that outlive a run are not seen,
//! except by the difference they make. Only awaits are points where tasks take turns: races between two
//! atomic operations are for `loom`. A blocking job runs in one step on the thread of the simulation, so it
//! must not wait for anything simulated.

mod attempt;
mod environment;
mod executor;
mod explore;
mod failure;
mod faults;
pub mod net;
mod oracle;
mod ready;
mod report;
mod run;
mod schedule;
mod settings;
mod state;
mod tasks;
mod timers;
mod trace;
mod waker;
mod world;

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use weirs_runtime::{LocalRuntime, Runtime};

pub use explore::{Explore, explore_test, explore_test_local};
pub use failure::{Cause, Failure};
pub use faults::Faults;
pub use report::TaskReport;
pub use run::Run;
pub use schedule::{Schedule, UnknownSchedule};

use attempt::{Attempt, attempt, attempt_local};
use settings::Settings;

/// One run of the simulator, with one seed.
///
/// # Examples
/// ```
/// use weirs_testing::sim::{Schedule, Sim};
///
/// let body = |runtime: weirs_runtime::Runtime| async move {
///     let tasks: Vec<_> = (0..10).map(|i| runtime.spawn(async move { i })).collect();
///     let mut sum = 0;
///     for task in tasks {
///         sum += task.await.unwrap();
///     }
///     sum
/// };
/// let one = Sim::new(17).schedule(Schedule::Pct { depth: 3 }).run(body).unwrap();
/// let two = Sim::new(17).schedule(Schedule::Pct { depth: 3 }).run(body).unwrap();
/// assert_eq!(one.output, 45);
/// assert_eq!(one.trace_hash, two.trace_hash);
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing runs yet"]
pub struct Sim {
    settings: Settings,
}

impl Sim {
    /// A run with this seed: in random order, with no faults.
    pub fn new(seed: u64) -> Self {
        Self { settings: Settings { seed, ..Settings::default() } }
    }

    /// Which of the runnable tasks comes next.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.settings.schedule = schedule;
        self
    }

    /// What shall go wrong.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.settings.faults = faults;
        self
    }

    /// How many steps the run may take: a million unless said otherwise. Beyond is a live-lock.
    pub fn step_limit(mut self, steps: u64) -> Self {
        self.settings.step_limit = steps;
        self
    }

    /// How much virtual time the run may take: a year unless said otherwise. Beyond is a live-lock.
    pub fn time_limit(mut self, time: Duration) -> Self {
        self.settings.time_limit = time;
        self
    }

    /// Tasks may be left when the body is over. They are dropped.
    pub fn allow_leaks(mut self) -> Self {
        self.settings.allow_leaks = true;
        self
    }

    /// Runs the body to its end.
    ///
    /// Its future need not be [`Send`]: it runs as a task of its own, called `main`, on this thread.
    ///
    /// # Errors
    /// When something [goes wrong](Cause).
    #[track_caller]
    pub fn run<F, Fut>(self, body: F) -> Result<Run<Fut::Output>, Failure>
    where
        F: FnOnce(Runtime) -> Fut,
        Fut: Future<Output: 'static> + 'static,
    {
        self.conclude(attempt(&self.settings, Location::caller(), body))
    }

    /// [`run`](Sim::run) with tasks that need not be [`Send`].
    ///
    /// # Errors
    /// When something [goes wrong](Cause).
    #[track_caller]
    pub fn run_local<F, Fut>(self, body: F) -> Result<Run<Fut::Output>, Failure>
    where
        F: FnOnce(LocalRuntime) -> Fut,
        Fut: Future<Output: 'static> + 'static,
    {
        self.conclude(attempt_local(&self.settings, Location::caller(), body))
    }

    fn conclude<T>(&self, attempt: Attempt<T>) -> Result<Run<T>, Failure> {
        let Attempt { output, evidence } = attempt;
        match output {
            Ok(output) => Ok(Run {
                output,
                steps: evidence.steps,
                elapsed: evidence.elapsed,
                trace_hash: evidence.trace.hash(),
                tasks: evidence.tasks.len(),
            }),
            Err(cause) => Err(evidence.failure(&self.settings, cause)),
        }
    }
}
