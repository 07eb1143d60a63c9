//! [`ManualClock`]: time that moves when a test says so.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use weirs_runtime::{Clock, Instant, SeededEntropy, TimerDriver, TimerKey};

/// Time that moves when a test says so, and a record of what was asked of it.
///
/// For tests of a type that holds a [`Clock`] and needs no tasks: the simulator moves its clock by itself.
/// Its chance is the same in every run. Clones share their time.
///
/// # Examples
/// ```
/// use std::pin::pin;
/// use std::task::{Context, Waker};
/// use std::time::Duration;
/// use weirs_testing::ManualClock;
///
/// let time = ManualClock::new();
/// let mut nap = pin!(time.clock().sleep(Duration::from_secs(2)));
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(nap.as_mut().poll(&mut cx).is_pending());
/// assert_eq!(time.timers(), 1);
///
/// time.advance(Duration::from_secs(2));
/// assert!(nap.as_mut().poll(&mut cx).is_ready());
/// ```
#[derive(Clone)]
pub struct ManualClock {
    driver: Manual,
    clock: Clock,
}

impl ManualClock {
    /// A clock that stands at zero.
    pub fn new() -> Self {
        let driver = Manual::default();
        let clock = Clock::new(driver.clone()).with_entropy(SeededEntropy::new(0));
        Self { driver, clock }
    }

    /// The clock to hand on.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves time ahead and fires what is due by then.
    ///
    /// The whole step is taken first: who is woken finds the new time, as after a long pause of the process.
    /// To stop at each timer on the way, go to [`next_timer`](ManualClock::next_timer) with
    /// [`set`](ManualClock::set).
    ///
    /// # Panics
    /// When a waker did, after all others that are due have been woken.
    pub fn advance(&self, duration: Duration) {
        self.change(|now| now.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)));
    }

    /// Sets the time, and fires what is due by then.
    ///
    /// It may be set back, as no clock should be, but as clocks that are fed from outside are: timers then
    /// stay for their instants, so sleeps last longer; nothing fires early, nothing is lost and nothing
    /// panics.
    ///
    /// # Panics
    /// As [`advance`](ManualClock::advance).
    pub fn set(&self, now: Instant) {
        self.change(|_| now.as_nanos());
    }

    /// How many timers are set and have neither fired nor been removed.
    pub fn timers(&self) -> usize {
        self.driver.lock().timers.len()
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<Instant> {
        let times = self.driver.lock();
        times.timers.keys().next().map(|&(at, _)| Instant::from_nanos(at))
    }

    /// How often a timer was set so far.
    pub fn timers_set(&self) -> u64 {
        self.driver.lock().last
    }

    /// How often the time was read so far.
    pub fn times_read(&self) -> u64 {
        self.driver.lock().reads
    }

    fn change(&self, change: impl FnOnce(u64) -> u64) {
        let due = {
            let mut times = self.driver.lock();
            times.now = change(times.now);
            times.take_due()
        };
        let mut panicked = None;
        for waker in due {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panicked = Some(payload);
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = self.driver.lock();
        f.debug_struct("ManualClock")
            .field("now", &Instant::from_nanos(times.now))
            .field("timers", &times.timers.len())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Default)]
struct Manual(Arc<Mutex<Times>>);

#[derive(Default)]
struct Times {
    now: u64,
    /// By deadline and number.
    timers: BTreeMap<(u64, u64), Waker>,
    deadlines: BTreeMap<u64, u64>,
    last: u64,
    reads: u64,
}

impl Manual {
    fn lock(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    fn take_due(&mut self) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.timers.first_entry() {
            let (at, number) = *first.key();
            if at > self.now {
                break;
            }
            due.push(first.remove());
            self.deadlines.remove(&number);
        }
        due
    }
}

impl TimerDriver for Manual {
    fn now(&self) -> Instant {
        let mut times = self.lock();
        times.reads += 1;
        Instant::from_nanos(times.now)
    }

    fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        // Cloned outside of the lock, as every waker is cloned, woken and dropped.
        let waker = waker.clone();
        let mut times = self.lock();
        if at.as_nanos() <= times.now {
            drop(times);
            return None;
        }
        times.last += 1;
        let number = times.last;
        times.timers.insert((at.as_nanos(), number), waker);
        times.deadlines.insert(number, at.as_nanos());
        NonZeroU64::new(number).map(TimerKey::new)
    }

    fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        let waker = waker.clone();
        let number = key.number().get();
        let mut times = self.lock();
        let deadline = times.deadlines.get(&number).copied();
        let before = deadline.and_then(|at| times.timers.insert((at, number), waker));
        drop(times);
        before.is_some()
    }

    fn remove(&self, key: TimerKey) {
        let number = key.number().get();
        let mut times = self.lock();
        let deadline = times.deadlines.remove(&number);
        let waker = deadline.and_then(|at| times.timers.remove(&(at, number)));
        drop(times);
        drop(waker);
    }
}
