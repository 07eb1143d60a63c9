//! [`Backoff`]: how long the pauses are, one after another.

mod delays;
mod jitter;

use std::fmt;
use std::time::Duration;

pub use delays::Delays;
pub use delays::Progress;
pub use jitter::Jitter;

use weirs_runtime::Clock;

use crate::Invalid;
use crate::attempt::nanos;

/// How long the pauses are, one after another: constant, or growing; with a cap, and with chance.
///
/// It is a small `Copy` value that can be a `const`. A [`Retry`](crate::Retry) has one; alone it gives its
/// [`delays`](Backoff::delays), for loops that reconnect or poll.
///
/// The cap holds for what comes out at the end, whatever the jitter. No number of pauses is too large.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_resilience::{Backoff, Jitter};
/// use weirs_runtime::Clock;
///
/// const RECONNECT: Backoff = Backoff::exponential(Duration::from_millis(50)).cap(Duration::from_secs(1));
///
/// let clock = Clock::default();
/// let plain: Vec<_> = RECONNECT.delays(&clock).take(6).map(|delay| delay.as_millis()).collect();
/// assert_eq!(plain, [50, 100, 200, 400, 800, 1000]);
///
/// let jittered = RECONNECT.jitter(Jitter::Full);
/// assert!(jittered.delays(&clock).take(100).all(|delay| delay <= Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a backoff is only a value"]
pub struct Backoff {
    shape: Shape,
    base: u64,
    cap: u64,
    jitter: Jitter,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Constant,
    Linear { step: u64 },
    Exponential { factor: f64 },
}

impl Backoff {
    /// No pauses.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// Always the same.
    pub const fn constant(delay: Duration) -> Self {
        Self::new(Shape::Constant, delay)
    }

    /// Once, twice, three times this long; [`step`](Backoff::step) by another length if you like.
    pub const fn linear(base: Duration) -> Self {
        Self::new(Shape::Linear { step: nanos(base) }, base)
    }

    /// Each twice as long as the one before; or grown by another [`factor`](Backoff::factor).
    pub const fn exponential(base: Duration) -> Self {
        Self::new(Shape::Exponential { factor: 2.0 }, base)
    }

    /// Each by chance between `base` and three times the one before, as AWS recommends.
    ///
    /// It is [`exponential`](Backoff::exponential) with a factor of 3 and [`Jitter::Decorrelated`].
    pub const fn decorrelated(base: Duration) -> Self {
        Self::exponential(base).factor(3.0).jitter(Jitter::Decorrelated)
    }

    const fn new(shape: Shape, base: Duration) -> Self {
        Self { shape, base: nanos(base), cap: u64::MAX, jitter: Jitter::None }
    }

    /// Never longer than this, jitter included. Without a cap there is none.
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = nanos(cap);
        self
    }

    /// How chance moves each pause. None, unless said otherwise.
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// What an exponential one grows by; any other becomes exponential.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.shape = Shape::Exponential { factor };
        self
    }

    /// What a linear one grows by; any other becomes linear.
    pub const fn step(mut self, step: Duration) -> Self {
        self.shape = Shape::Linear { step: nanos(step) };
        self
    }

    /// The pauses, without end. Chance comes from the clock, so a seed replays it.
    ///
    /// # Panics
    /// When the settings make no sense; [`check`](Backoff::check) tells before.
    #[track_caller]
    pub fn delays(self, clock: &Clock) -> Delays<'_> {
        if let Err(invalid) = self.check() {
            panic!("{invalid}");
        }
        Delays::new(self, clock)
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    /// A cap below the base; something that grows from nothing; a factor below 1; a jitter outside `0..=1`,
    /// or one that only goes with an exponential backoff. Whatever is no number.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.cap < self.base {
            return Err(Invalid::new("backoff.cap", "below the first pause"));
        }
        match self.shape {
            Shape::Constant | Shape::Linear { .. } if self.jitter.needs_exponential() => {
                Err(Invalid::new("backoff.jitter", "it goes with an exponential backoff only"))
            }
            Shape::Exponential { .. } if self.base == 0 => {
                Err(Invalid::new("backoff.base", "nothing, however often doubled, is nothing"))
            }
            Shape::Exponential { factor } if !(1.0..f64::INFINITY).contains(&factor) => {
                Err(Invalid::new("backoff.factor", "below one, or not a number"))
            }
            _ => self.jitter.check(),
        }
    }

    /// The pause of that index, from 0, without jitter.
    fn plain(&self, index: u32) -> u64 {
        let delay = match self.shape {
            Shape::Constant => self.base,
            Shape::Linear { step } => self.base.saturating_add(step.saturating_mul(index.into())),
            // Whatever is too large for the number is infinite, and the conversion saturates.
            Shape::Exponential { factor } => {
                let power = factor.powi(i32::try_from(index).unwrap_or(i32::MAX));
                (self.base as f64 * power).round() as u64
            }
        };
        delay.min(self.cap)
    }

    pub(crate) fn capped(&self, delay: Duration) -> Duration {
        delay.min(Duration::from_nanos(self.cap))
    }
}

/// In a few words: `exponential from 50ms, factor 2, at most 1s, full jitter`.
impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = Duration::from_nanos(self.base);
        match self.shape {
            Shape::Constant if self.base == 0 => f.write_str("no pause")?,
            Shape::Constant => write!(f, "always {base:?}")?,
            Shape::Linear { step } => {
                write!(f, "linear from {base:?}, step {:?}", Duration::from_nanos(step))?;
            }
            Shape::Exponential { factor } => write!(f, "exponential from {base:?}, factor {factor}")?,
        }
        if self.cap != u64::MAX {
            write!(f, ", at most {:?}", Duration::from_nanos(self.cap))?;
        }
        write!(f, ", {}", self.jitter)
    }
}
