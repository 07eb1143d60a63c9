//! [`Clock`]: time, timers and chance, handed around as a value.

mod driver;
mod entropy;
mod hosted;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod real;
pub(crate) mod wheel;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;
use std::time::Duration;

pub use driver::{TimerDriver, TimerKey};
pub use entropy::{Entropy, SeededEntropy};

use crate::instant::ClockId;
use crate::{Instant, Interval, Sleep, Timeout, ZeroPeriod};

/// The time that a piece of code lives in: it tells it, wakes at it, and carries the chance that goes with
/// it.
///
/// A clock is a value that is handed on, not a global: code that holds one runs in real time under any
/// executor, in a foreign loop's time, or in the simulator's, and never knows which. Cloning is cheap.
///
/// - [`Clock::default`] is real time. Its timers live on one thread of their own that starts with the first
///   sleep and parks for ever when nothing is due; it works under every executor. It stands still while the
///   machine is suspended where the system's monotonic clock does, as on Linux; its timers do not survive a
///   `fork`.
/// - [`Clock::hosted`] stands on a foreign runtime's one-shot sleep: GUI loops, wasm, tokio's paused clock.
/// - `weirs_testing` has the simulator's clock, a manual one and a late one.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_runtime::{Clock, block_on};
///
/// let clock = Clock::default();
/// block_on(async {
///     let start = clock.now();
///     clock.sleep(Duration::from_millis(2)).await;
///     assert!(clock.now() - start >= Duration::from_millis(2));
///
///     let never = std::future::pending::<()>();
///     assert!(clock.timeout(Duration::from_millis(2), never).await.is_err());
/// });
/// ```
#[derive(Clone)]
pub struct Clock(Kind);

/// The real clock is told apart so that its use costs no reference count and no indirect call.
#[derive(Clone)]
enum Kind {
    #[cfg(not(target_family = "wasm"))]
    Real,
    Custom(Arc<Custom>),
}

struct Custom {
    driver: Arc<dyn TimerDriver>,
    entropy: Box<dyn Entropy>,
    id: ClockId,
}

impl Clock {
    /// A clock on a driver of your own, with entropy seeded by the system.
    pub fn new(driver: impl TimerDriver) -> Self {
        Self::custom(Arc::new(driver), Box::new(SeededEntropy::from_system()), next_id())
    }

    /// A clock that lives on a foreign runtime's timer, and the future that drives it there.
    ///
    /// `now` tells the time since any fixed moment; `sleep` makes the runtime's own one-shot sleep. The
    /// future has to be spawned on that runtime: timers fire while it runs, and it ends when the last clone
    /// of the clock is gone. It is [`Send`] exactly when `sleep` and its future are; the clock always is.
    /// When the future is dropped early, the clock still tells the time, but its sleeps no longer end.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use weirs_runtime::{Clock, block_on};
    ///
    /// // Any runtime with a sleep serves; here, for show, the real clock plays the foreign one.
    /// let foreign = Clock::default();
    /// let start = foreign.now();
    /// let (clock, drive) = Clock::hosted(
    ///     { let foreign = foreign.clone(); move || foreign.now() - start },
    ///     move |duration| foreign.sleep(duration),
    /// );
    /// let nap = async move { clock.sleep(Duration::from_millis(2)).await };
    /// block_on(futures_lite::future::zip(nap, drive));
    /// ```
    pub fn hosted<N, S, F>(now: N, sleep: S) -> (Self, impl Future<Output = ()> + use<N, S, F>)
    where
        N: Fn() -> Duration + Send + Sync + 'static,
        S: FnMut(Duration) -> F,
        F: Future<Output = ()>,
    {
        let id = next_id();
        let (driver, drive) = hosted::hosted(id, now, sleep);
        (Self::custom(Arc::new(driver), Box::new(SeededEntropy::from_system()), id), drive)
    }

    /// The same time with other chance: from a generator of your own.
    #[must_use = "the clock itself is unchanged"]
    pub fn with_entropy(&self, entropy: impl Entropy) -> Self {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => Self::custom(Arc::new(real::Real), Box::new(entropy), ClockId::REAL),
            Kind::Custom(custom) => Self::custom(Arc::clone(&custom.driver), Box::new(entropy), custom.id),
        }
    }

    /// The current time.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => real::Real.now(),
            Kind::Custom(custom) => custom.driver.now().of_clock(custom.id),
        }
    }

    /// About the current time, for a quarter of the price where the system has a coarse clock.
    ///
    /// It is never ahead of [`now`](Clock::now), and behind it by at most the system's tick: one to ten
    /// milliseconds, or more on a machine that was itself paused. For statistics, for hints such as "try
    /// again in so long", and for durations of which a few milliseconds do not matter. On systems without a
    /// coarse clock, and with a clock that is not the real one, it is the same as `now`.
    ///
    /// # Examples
    /// ```
    /// use weirs_runtime::Clock;
    ///
    /// let clock = Clock::default();
    /// let about = clock.coarse_now();
    /// assert!(about <= clock.now());
    /// ```
    #[inline]
    pub fn coarse_now(&self) -> Instant {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => real::coarse_now(),
            Kind::Custom(custom) => custom.driver.now().of_clock(custom.id),
        }
    }

    /// The point of this clock's time at which a [`std::time::Instant`] lies; `None` unless this is real
    /// time.
    #[cfg(not(target_family = "wasm"))]
    pub fn from_std(&self, instant: std::time::Instant) -> Option<Instant> {
        match &self.0 {
            Kind::Real => Some(real::from_std(instant)),
            Kind::Custom(custom) => (custom.id == ClockId::REAL).then(|| real::from_std(instant)),
        }
    }

    /// Waits until `duration` from now, counted from this call.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// Waits until `at`. A time in the past is ready at the first poll; [`Instant::FAR_FUTURE`] never is.
    ///
    /// # Panics
    /// With debug assertions, when `at` comes from another clock.
    #[track_caller]
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        at.assert_of_clock(self.id());
        Sleep::new(self.clone(), at)
    }

    /// Gives `future` this long, counted from the moment it first has to wait.
    ///
    /// A future that is ready at its first poll costs no look at the clock and no timer. See [`Timeout`].
    pub fn timeout<F: Future>(&self, duration: Duration, future: F) -> Timeout<F> {
        Timeout::after(self.clone(), duration, future)
    }

    /// Gives `future` until `at`. See [`Timeout`].
    ///
    /// # Panics
    /// With debug assertions, when `at` comes from another clock.
    #[track_caller]
    pub fn timeout_at<F: Future>(&self, at: Instant, future: F) -> Timeout<F> {
        at.assert_of_clock(self.id());
        Timeout::at(self.clone(), at, future)
    }

    /// Ticks once a `period`, the first time a period from now. See [`Interval`].
    ///
    /// # Errors
    /// When `period` is zero: such an interval would never stop ticking.
    pub fn interval(&self, period: Duration) -> Result<Interval, ZeroPeriod> {
        self.interval_at(self.now() + period, period)
    }

    /// Ticks at `start` and then once a `period`. See [`Interval`].
    ///
    /// # Errors
    /// When `period` is zero.
    ///
    /// # Panics
    /// With debug assertions, when `start` comes from another clock.
    #[track_caller]
    pub fn interval_at(&self, start: Instant, period: Duration) -> Result<Interval, ZeroPeriod> {
        Interval::new(self.clone(), start, period)
    }

    /// A random number from the clock's entropy: unforetellable in real time, replayable in the simulator.
    pub fn random_u64(&self) -> u64 {
        self.entropy().next_u64()
    }

    /// A random number below `bound`, each equally likely; zero when `bound` is zero.
    pub fn random_below(&self, bound: u64) -> u64 {
        entropy::below(self.entropy(), bound)
    }

    /// A random number in `0.0..1.0`.
    pub fn random_f64(&self) -> f64 {
        // The 53 bits that an f64 holds exactly.
        (self.random_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether `at` has come.
    #[inline]
    pub(crate) fn has_come(&self, at: Instant) -> bool {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => real::has_come(at),
            Kind::Custom(custom) => custom.driver.now().of_clock(custom.id) >= at,
        }
    }

    #[inline]
    pub(crate) fn insert(&self, at: Instant, waker: &Waker) -> Option<TimerKey> {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => real::Real.insert(at, waker),
            Kind::Custom(custom) => custom.driver.insert(at, waker),
        }
    }

    #[inline]
    pub(crate) fn refresh(&self, key: TimerKey, waker: &Waker) -> bool {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => real::Real.refresh(key, waker),
            Kind::Custom(custom) => custom.driver.refresh(key, waker),
        }
    }

    #[inline]
    pub(crate) fn remove(&self, key: TimerKey) {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => real::Real.remove(key),
            Kind::Custom(custom) => custom.driver.remove(key),
        }
    }

    pub(crate) fn id(&self) -> ClockId {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => ClockId::REAL,
            Kind::Custom(custom) => custom.id,
        }
    }

    fn entropy(&self) -> &dyn Entropy {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => real_entropy(),
            Kind::Custom(custom) => &*custom.entropy,
        }
    }

    fn custom(driver: Arc<dyn TimerDriver>, entropy: Box<dyn Entropy>, id: ClockId) -> Self {
        Self(Kind::Custom(Arc::new(Custom { driver, entropy, id })))
    }
}

/// Real time, with entropy seeded by the system.
#[cfg(not(target_family = "wasm"))]
impl Default for Clock {
    fn default() -> Self {
        Self(Kind::Real)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            #[cfg(not(target_family = "wasm"))]
            Kind::Real => f.write_str("Clock(real)"),
            Kind::Custom(custom) => write!(f, "Clock({})", custom.id.0),
        }
    }
}

/// Clocks are numbered from 2: 0 is "any", 1 the real one.
fn next_id() -> ClockId {
    static NEXT: AtomicU32 = AtomicU32::new(ClockId::REAL.0 + 1);
    ClockId(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(not(target_family = "wasm"))]
fn real_entropy() -> &'static SeededEntropy {
    static ENTROPY: std::sync::OnceLock<SeededEntropy> = std::sync::OnceLock::new();
    ENTROPY.get_or_init(SeededEntropy::from_system)
}
