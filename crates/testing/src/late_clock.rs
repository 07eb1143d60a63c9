//! [`LateClock`]: timers that fire late, as they do on a machine that is busy.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weirs_runtime::{Clock, Entropy, Instant, SeededEntropy, Sleep, TimerDriver, TimerKey};

/// Another clock's time with timers that fire late: by the same span each, or by a random one.
///
/// Code must not count on a timer's punctuality; this shows whether it does. The time that `now` tells is not
/// changed, nor is the chance that the clock carries. It is a [`TimerDriver`]: [`Clock::new`] makes a clock
/// of it, and so do [`by`](LateClock::by) and [`up_to`](LateClock::up_to) at once. Instants of the late clock
/// compare with each other, not with the punctual clock's.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::Runtime;
/// use weirs_testing::{LateClock, apply, sim_test};
///
/// #[apply(sim_test)]
/// async fn ticks_do_not_drift(runtime: Runtime) {
///     let ms = Duration::from_millis;
///     let clock = LateClock::by(runtime.clock(), ms(3));
///     let start = clock.now();
///     let mut ticks = clock.interval(ms(10)).unwrap();
///     for _ in 0..100 {
///         ticks.tick().await;
///     }
///     assert_eq!(clock.now() - start, ms(1003));
/// }
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct LateClock {
    punctual: Clock,
    lateness: Lateness,
    timers: Mutex<Timers>,
}

impl LateClock {
    /// The clock with every timer late by `lateness`.
    pub fn by(clock: &Clock, lateness: Duration) -> Clock {
        Self::late(clock, Lateness::Fixed(lateness))
    }

    /// The clock with every timer late by a random span of at most `most`, the same ones for the same seed.
    pub fn up_to(clock: &Clock, most: Duration, seed: u64) -> Clock {
        Self::late(clock, Lateness::Seeded(most, SeededEntropy::new(seed)))
    }

    fn late(clock: &Clock, lateness: Lateness) -> Clock {
        let punctual = clock.clone();
        let chance = Chance(clock.clone());
        Clock::new(Self { punctual, lateness, timers: Mutex::default() }).with_entropy(chance)
    }

    fn lock(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
enum Lateness {
    Fixed(Duration),
    Seeded(Duration, SeededEntropy),
}

impl Lateness {
    fn next(&self) -> Duration {
        match self {
            Self::Fixed(lateness) => *lateness,
            Self::Seeded(most, entropy) => {
                // A lateness beyond 584 years needs no finer grain.
                let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
                Duration::from_nanos(entropy.next_u64() % most.saturating_add(1).max(1))
            }
        }
    }
}

/// The sleeps on the punctual clock that stand for our timers.
#[derive(Debug, Default)]
struct Timers {
    sleeps: BTreeMap<TimerKey, Sleep>,
    last: u64,
}

impl TimerDriver for LateClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.punctual.now().as_nanos())
    }

    fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        if at <= self.now() {
            return None;
        }
        let late = Instant::from_nanos(at.as_nanos()) + self.lateness.next();
        let mut sleep = self.punctual.sleep_until(late);
        if poll(&mut sleep, waker).is_ready() {
            return None;
        }
        let mut timers = self.lock();
        timers.last += 1;
        let key = NonZeroU64::new(timers.last).map(TimerKey::new)?;
        timers.sleeps.insert(key, sleep);
        Some(key)
    }

    fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        // Out of the map while it is polled: that clones and drops wakers, which may call us.
        let Some(mut sleep) = self.take(key) else { return false };
        let is_pending = poll(&mut sleep, waker).is_pending();
        if is_pending {
            self.lock().sleeps.insert(key, sleep);
        }
        is_pending
    }

    fn remove(&self, key: TimerKey) {
        drop(self.take(key));
    }
}

impl LateClock {
    fn take(&self, key: TimerKey) -> Option<Sleep> {
        self.lock().sleeps.remove(&key)
    }
}

fn poll(sleep: &mut Sleep, waker: &Waker) -> Poll<()> {
    Pin::new(sleep).poll(&mut Context::from_waker(waker))
}

/// The chance of the clock that is made late: it stays replayable.
struct Chance(Clock);

impl Entropy for Chance {
    fn next_u64(&self) -> u64 {
        self.0.random_u64()
    }
}
