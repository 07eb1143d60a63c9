//! [`Explore`]: many seeds of one body.

use std::future::Future;
use std::ops::Range;
use std::panic::Location;
use std::time::Duration;

use weirs_runtime::{LocalRuntime, Runtime};

use super::attempt::{Attempt, attempt, attempt_local};
use super::environment::Environment;
use super::failure::{Cause, Failure};
use super::faults::Faults;
use super::schedule::Schedule;
use super::settings::Settings;
use super::trace::{Difference, Entry};

/// Runs one body with many seeds, and stops at the first that fails.
///
/// Without [`seeds`](Explore::seeds) there are 200, without [`schedules`](Explore::schedules) they take
/// turns in random order and `pct3`, and every twentieth is first-in-first-out, where a seed only decides on
/// chance and faults. A failing seed is run again: if it then goes another way, that is the failure to look
/// into first, and it is reported with the first step that differs. So is the first passing seed of each
/// schedule.
///
/// # Examples
/// A counter that two tasks read and write with a pause between:
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
/// use weirs_testing::sim::Explore;
///
/// let failure = Explore::new().seeds(0..100).find(|runtime| async move {
///     let count = Arc::new(AtomicU32::new(0));
///     let add = |count: Arc<AtomicU32>| async move {
///         let before = count.load(SeqCst);
///         futures_lite::future::yield_now().await;
///         count.store(before + 1, SeqCst);
///     };
///     let tasks = [(); 2].map(|()| runtime.spawn(add(Arc::clone(&count))));
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(count.load(SeqCst), 2, "an update was lost");
/// });
/// assert!(failure.unwrap().to_string().contains("an update was lost"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing runs yet"]
pub struct Explore {
    settings: Settings,
    seeds: Option<Range<u64>>,
    schedules: Vec<Schedule>,
    environment: Environment,
}

impl Explore {
    /// Seeds and schedules as described above, and no faults.
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            seeds: None,
            schedules: Vec::new(),
            environment: Environment::default(),
        }
    }

    /// The same, but [`find`](Explore::find) too obeys the environment, as [`run`](Explore::run) does: for a
    /// program that prints what it finds, with a [line to paste](Explore::replay_command) that runs the
    /// program.
    ///
    /// # Panics
    /// When a variable of [the module's page](super) does not say what it should.
    pub fn from_environment() -> Self {
        Self::new().in_environment(Environment::read())
    }

    /// What a failure's line to paste shall run, where it is not `cargo test` and the test's name.
    pub fn replay_command(mut self, command: impl Into<String>) -> Self {
        self.settings.test.command = Some(command.into());
        self
    }

    /// The seeds to try.
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = Some(seeds);
        self
    }

    /// The schedules, which take turns: seed `s` has schedule `s` modulo their number.
    pub fn schedules(mut self, schedules: impl IntoIterator<Item = Schedule>) -> Self {
        self.schedules = schedules.into_iter().collect();
        self
    }

    /// What shall go wrong.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.settings.faults = faults;
        self
    }

    /// As [`Sim::step_limit`](super::Sim::step_limit).
    pub fn step_limit(mut self, steps: u64) -> Self {
        self.settings.step_limit = steps;
        self
    }

    /// As [`Sim::time_limit`](super::Sim::time_limit).
    pub fn time_limit(mut self, time: Duration) -> Self {
        self.settings.time_limit = time;
        self
    }

    /// As [`Sim::allow_leaks`](super::Sim::allow_leaks).
    pub fn allow_leaks(mut self) -> Self {
        self.settings.allow_leaks = true;
        self
    }

    /// Tries the seeds as a test does: the environment may choose others, see [the module's page](super).
    ///
    /// # Panics
    /// With the report of the first seed that fails.
    #[track_caller]
    pub fn run<F, Fut>(self, body: F)
    where
        F: Fn(Runtime) -> Fut,
        Fut: Future<Output = ()> + 'static,
    {
        if let Some(failure) = self.in_environment(Environment::read()).find(body) {
            panic!("{failure}");
        }
    }

    /// [`run`](Explore::run) with tasks that need not be [`Send`].
    ///
    /// # Panics
    /// With the report of the first seed that fails.
    #[track_caller]
    pub fn run_local<F, Fut>(self, body: F)
    where
        F: Fn(LocalRuntime) -> Fut,
        Fut: Future<Output = ()> + 'static,
    {
        if let Some(failure) = self.in_environment(Environment::read()).find_local(body) {
            panic!("{failure}");
        }
    }

    /// Tries the seeds and gives the first failure: for those who look for one.
    #[track_caller]
    pub fn find<F, Fut>(self, body: F) -> Option<Failure>
    where
        F: Fn(Runtime) -> Fut,
        Fut: Future<Output = ()> + 'static,
    {
        let location = Location::caller();
        self.search(|settings| attempt(settings, location, &body))
    }

    /// [`find`](Explore::find) with tasks that need not be [`Send`].
    #[track_caller]
    pub fn find_local<F, Fut>(self, body: F) -> Option<Failure>
    where
        F: Fn(LocalRuntime) -> Fut,
        Fut: Future<Output = ()> + 'static,
    {
        let location = Location::caller();
        self.search(|settings| attempt_local(settings, location, &body))
    }

    fn named(mut self, test_name: &str, package: &str) -> Self {
        self.settings.test.name = Some(test_name.to_owned());
        self.settings.test.package = Some(package.to_owned());
        self
    }

    fn in_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Whether this seed is run twice even if it passes, given whether it is the first of its schedule.
    fn checks_replay(&self, seed: u64, first: bool) -> bool {
        first || self.environment.deep && seed % 16 == 0
    }

    fn search(self, attempt: impl Fn(&Settings) -> Attempt<()>) -> Option<Failure> {
        let mut met = Vec::new();
        for (seed, schedule) in self.plan() {
            let settings = Settings { seed, schedule, ..self.settings.clone() };
            let first = attempt(&settings);
            let new = !met.contains(&schedule);
            if new {
                met.push(schedule);
            }
            // Other threads are beyond any seed: that report stands as it is.
            let foreign = matches!(first.output, Err(Cause::ForeignThread { .. }));
            if !foreign && (first.output.is_err() || self.checks_replay(seed, new)) {
                let second = attempt(&settings);
                if let Some(cause) = difference(&first, &second) {
                    return Some(second.evidence.failure(&settings, cause));
                }
            }
            if let Err(cause) = first.output {
                return Some(first.evidence.failure(&settings, cause));
            }
        }
        None
    }

    /// Which seeds to run on which schedules.
    fn plan(&self) -> impl Iterator<Item = (u64, Schedule)> + '_ {
        let Environment { seed, schedule, .. } = self.environment;
        let seeds = match seed {
            Some(seed) => seed..seed.saturating_add(1),
            None => self.seeds.clone().unwrap_or(0..self.environment.seed_count()),
        };
        seeds.map(move |seed| (seed, schedule.unwrap_or_else(|| self.schedule_of(seed))))
    }

    fn schedule_of(&self, seed: u64) -> Schedule {
        match self.schedules.len() as u64 {
            0 if seed % 20 == 0 => Schedule::Fifo,
            0 if seed % 2 == 0 => Schedule::Random,
            0 => Schedule::Pct { depth: 3 },
            schedules => self.schedules[(seed % schedules) as usize],
        }
    }
}

impl Default for Explore {
    fn default() -> Self {
        Self::new()
    }
}

/// [`Explore::run`] for a macro that knows the test's name, as libtest prints it, and its package.
///
/// # Panics
/// With the report of the first seed that fails.
#[track_caller]
pub fn explore_test<F, Fut>(test_name: &str, package: &str, body: F)
where
    F: Fn(Runtime) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    Explore::new().named(test_name, package).run(body);
}

/// [`explore_test`] with tasks that need not be [`Send`].
///
/// # Panics
/// With the report of the first seed that fails.
#[track_caller]
pub fn explore_test_local<F, Fut>(test_name: &str, package: &str, body: F)
where
    F: Fn(LocalRuntime) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    Explore::new().named(test_name, package).run_local(body);
}

/// What two runs of one seed tell apart, if anything does.
fn difference(first: &Attempt<()>, second: &Attempt<()>) -> Option<Cause> {
    let same_end = match (&first.output, &second.output) {
        (Ok(()), Ok(())) => true,
        // What a message says may differ, an address in it for one.
        (Err(first), Err(second)) => std::mem::discriminant(first) == std::mem::discriminant(second),
        _ => false,
    };
    let (one, two) = (&first.evidence, &second.evidence);
    if same_end && one.trace.hash() == two.trace.hash() {
        return None;
    }
    let found = Difference::first(one.trace.entries(), two.trace.entries());
    let [did_one, did_two] = found.as_ref().map_or([None, None], |found| found.entries);
    Some(Cause::Nondeterminism {
        step: found.as_ref().map(|found| found.step),
        first: what_happened(first, did_one),
        second: what_happened(second, did_two),
    })
}

/// What a run did at the point of difference, and how it ended.
fn what_happened(attempt: &Attempt<()>, entry: Option<Entry>) -> String {
    let did = entry.map(|entry| entry.describe(&attempt.evidence.tasks) + "; in the end: ");
    let end = attempt.output.as_ref().err().map(Cause::to_string);
    did.unwrap_or_default() + end.as_deref().unwrap_or("it passed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_may_choose_one_seed() {
        let pasted = Environment { seed: Some(17), schedule: Some(Schedule::Fifo), ..Environment::default() };
        let explore = Explore::new().seeds(0..10).in_environment(pasted);
        assert_eq!(Vec::from_iter(explore.plan()), [(17, Schedule::Fifo)]);
    }

    #[test]
    fn schedules_take_turns() {
        let pct = Schedule::Pct { depth: 2 };
        let explore = Explore::new().seeds(4..7).schedules([Schedule::Random, pct]);
        assert_eq!(Vec::from_iter(explore.plan()), [(4, Schedule::Random), (5, pct), (6, Schedule::Random)]);

        let explore = Explore::new();
        let plan = Vec::from_iter(explore.plan());
        let count = |schedule| plan.iter().filter(|(_, planned)| *planned == schedule).count();
        assert_eq!((plan.len(), count(Schedule::Fifo), count(Schedule::Random)), (200, 10, 90));
    }
}
