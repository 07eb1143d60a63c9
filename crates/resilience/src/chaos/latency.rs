//! [`Latency`]: how late.

use std::time::Duration;

use crate::Invalid;

/// How late something comes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Latency {
    /// Always so late.
    Fixed(Duration),
    /// Evenly between the two.
    Uniform(Duration, Duration),
    /// As things that come by chance: mostly less than this, which is the mean, now and then several times
    /// as late.
    Exponential(Duration),
    /// Mostly a little, and sometimes very late (Pareto's distribution).
    LongTail {
        /// The least.
        least: Duration,
        /// The most; what would be above it is so late.
        most: Duration,
        /// How thin the tail is: twice as late is `2^shape` times as rare. Between 1 and 3 it looks like a
        /// network.
        shape: f64,
    },
}

impl Latency {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let invalid = |why| Err(Invalid::new("chaos.latency", why));
        match *self {
            Self::Uniform(least, most) | Self::LongTail { least, most, .. } if least > most => {
                invalid("the least is above the most")
            }
            Self::LongTail { least, .. } if least.is_zero() => invalid("a long tail begins above zero"),
            Self::LongTail { shape, .. } if !(shape.is_finite() && shape > 0.0) => {
                invalid("the shape of a long tail is above zero")
            }
            _ => Ok(()),
        }
    }

    /// The delay of a number below 1.
    pub(super) fn draw(&self, number: f64) -> Duration {
        // It is above zero, so logarithm and power are finite.
        let rest = 1.0 - number;
        match *self {
            Self::Fixed(delay) => delay,
            Self::Uniform(least, most) => least.saturating_add(times(most.saturating_sub(least), number)),
            Self::Exponential(mean) => times(mean, -rest.ln()),
            Self::LongTail { least, most, shape } => times(least, rest.powf(-1.0 / shape)).min(most),
        }
    }
}

/// As near as an f64 comes, and at most all time.
fn times(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn distributions_have_their_quantiles() {
        let near = |delay: Duration, millis: f64| (delay.as_secs_f64() * 1e3 - millis).abs() < 1e-3 * millis;
        assert_eq!(Latency::Fixed(MS).draw(0.7), MS);
        assert_eq!(Latency::Uniform(MS, 3 * MS).draw(0.0), MS);
        assert!(near(Latency::Uniform(MS, 3 * MS).draw(0.5), 2.0));
        assert!(near(Latency::Exponential(10 * MS).draw(0.5), 10.0 * std::f64::consts::LN_2));
        assert_eq!(Latency::Exponential(10 * MS).draw(0.0), Duration::ZERO);
        let tail = Latency::LongTail { least: MS, most: 50 * MS, shape: 1.0 };
        assert!(near(tail.draw(0.5), 2.0) && near(tail.draw(0.9), 10.0));
        assert_eq!((tail.draw(0.0), tail.draw(0.999)), (MS, 50 * MS));
        // The largest number that can be drawn.
        let last = 1.0 - f64::EPSILON / 2.0;
        let thin = Latency::LongTail { least: MS, most: Duration::MAX, shape: 1e-3 };
        assert_eq!(thin.draw(last), Duration::MAX);
        assert!(Latency::Exponential(Duration::MAX).draw(last) == Duration::MAX);
    }
}
