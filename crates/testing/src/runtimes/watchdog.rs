//! The watchdog of tests on real runtimes: a test that hangs ends its process, by name.
//!
//! A thread that is stuck can be neither stopped nor left behind without spoiling the tests after it. So the
//! process ends; `cargo xtask test` runs the tests that were still to come in a new one.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use weirs_runtime::{LocalRuntime, Runtime, Watched};

use super::Test;

/// The limit of a test if the environment names no other.
const LIMIT: Duration = Duration::from_secs(60);
/// Names another limit, in seconds; zero is none.
const VARIABLE: &str = "WEIRS_TEST_LIMIT";
/// The status of a process that was ended here: that of `timeout` in the shell.
const STATUS: i32 = 124;

impl Test {
    /// The runtime with its tasks listed, and the watchdog that knows the list; it lets go when the guard is
    /// dropped.
    pub(super) fn guarded(&self, runtime: &Runtime) -> (Runtime, OnGuard) {
        let (runtime, tasks) = runtime.watched();
        (runtime, guard(self.name(), tasks))
    }

    /// [`guarded`](Test::guarded) for a local runtime.
    pub(super) fn guarded_local(&self, runtime: &LocalRuntime) -> (LocalRuntime, OnGuard) {
        let (runtime, tasks) = runtime.watched();
        (runtime, guard(self.name(), tasks))
    }
}

/// Watches over a test with these live tasks until the guard is dropped.
fn guard(test: String, tasks: Watched) -> OnGuard {
    let limit = limit();
    if limit.is_zero() {
        return OnGuard { number: None };
    }
    let dog = Watchdog::get();
    let mut yard = dog.lock();
    yard.last += 1;
    let number = yard.last;
    yard.tests.push(Running { number, test, tasks, limit, ends: now() + limit });
    dog.changed.notify_one();
    OnGuard { number: Some(number) }
}

/// A test that is watched over.
#[derive(Debug)]
pub(super) struct OnGuard {
    number: Option<u64>,
}

impl Drop for OnGuard {
    fn drop(&mut self) {
        let ended = {
            let mut yard = Watchdog::get().lock();
            let place = yard.tests.iter().position(|running| Some(running.number) == self.number);
            place.map(|place| yard.tests.swap_remove(place))
        };
        drop(ended);
    }
}

/// One thread for all tests of the process.
#[derive(Debug, Default)]
struct Watchdog {
    yard: Mutex<Yard>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Yard {
    last: u64,
    tests: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    number: u64,
    test: String,
    tasks: Watched,
    limit: Duration,
    ends: Instant,
}

impl Watchdog {
    fn get() -> &'static Self {
        static DOG: OnceLock<Watchdog> = OnceLock::new();
        static THREAD: OnceLock<()> = OnceLock::new();
        let dog = DOG.get_or_init(Self::default);
        THREAD.get_or_init(|| {
            let watch = || dog.watch();
            let thread = thread::Builder::new().name("weirs-watchdog".to_owned()).spawn(watch);
            thread.expect("the system gives a thread to the watchdog");
        });
        dog
    }

    fn lock(&self) -> MutexGuard<'_, Yard> {
        self.yard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        let mut yard = self.lock();
        loop {
            yard = match yard.tests.iter().min_by_key(|running| running.ends) {
                None => self.changed.wait(yard).unwrap_or_else(PoisonError::into_inner),
                Some(next) => match next.ends.checked_duration_since(now()) {
                    Some(left) if !left.is_zero() => {
                        let woken = self.changed.wait_timeout(yard, left);
                        woken.unwrap_or_else(PoisonError::into_inner).0
                    }
                    _ => end(next),
                },
            };
        }
    }
}

/// Says which test it was and what it was doing, and ends the process.
fn end(overrun: &Running) -> ! {
    // libtest holds back what `eprintln!` writes until the test ends: this one does not.
    let mut errors = std::io::stderr();
    let line = format!(
        "weirs-watchdog: test {} exceeded its limit of {} s\n",
        overrun.test,
        overrun.limit.as_secs()
    );
    let _ = errors.write_all(line.as_bytes());
    let _ = errors.write_all(report(&overrun.tasks).as_bytes());
    std::process::exit(STATUS)
}

fn report(tasks: &Watched) -> String {
    let tasks = tasks.tasks();
    let mut report = match tasks.len() {
        0 => "weirs-watchdog: none of its tasks is live; its own body is stuck\n".to_owned(),
        count => format!("weirs-watchdog: {count} of its tasks are live:\n"),
    };
    const SHOWN: usize = 100;
    for task in tasks.iter().take(SHOWN) {
        let _ = writeln!(report, "  {task}");
    }
    if tasks.len() > SHOWN {
        let _ = writeln!(report, "  ... and {} more", tasks.len() - SHOWN);
    }
    report
}

fn limit() -> Duration {
    static CHOSEN: OnceLock<Duration> = OnceLock::new();
    *CHOSEN.get_or_init(|| match std::env::var(VARIABLE) {
        Ok(seconds) => match seconds.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => panic!("{VARIABLE} is {seconds:?}; give a whole number of seconds, or 0 for no limit"),
        },
        Err(_) => LIMIT,
    })
}

#[expect(clippy::disallowed_methods, reason = "the watchdog guards real time, and what keeps it too")]
fn now() -> Instant {
    // tidy: allow(ambient): the limit has to hold when the clocks of the crates do not.
    Instant::now()
}
