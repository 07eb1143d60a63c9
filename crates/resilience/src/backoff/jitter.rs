//! [`Jitter`]: how chance moves a pause.

use std::fmt;

use crate::Invalid;

/// How chance moves a pause, so that those who failed together do not come again together.
///
/// With `d` the pause as it would be without:
///
/// | jitter | the pause is |
/// |---|---|
/// | `None` | `d` |
/// | `Full` | anything up to `d` |
/// | `Equal` | half of `d`, and anything up to the other half |
/// | `Proportional(j)` | anything between `d * (1 - j)` and `d * (1 + j)` |
/// | `Decorrelated` | anything between the base and the last pause times the factor |
/// | `Smooth` | of a spread that is even over time, without peaks; about `d` in the middle |
///
/// Use `Full` if in doubt: it spreads most. The last two go with an exponential backoff only.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// No chance.
    #[default]
    None,
    /// Anything up to the pause.
    Full,
    /// At least half of the pause.
    Equal,
    /// So much more or less: 0.2 is a fifth, as in gRPC.
    Proportional(f64),
    /// Between the base and the last pause times the factor, as AWS recommends.
    Decorrelated,
    /// As Polly's jittered exponential backoff, where those who failed together come again evenly spread.
    Smooth,
}

impl Jitter {
    pub(super) fn needs_exponential(self) -> bool {
        matches!(self, Self::Decorrelated | Self::Smooth)
    }

    pub(super) fn check(self) -> Result<(), Invalid> {
        match self {
            Self::Proportional(part) if !(0.0..=1.0).contains(&part) => {
                Err(Invalid::new("backoff.jitter", "a part outside 0..=1, or not a number"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no jitter"),
            Self::Full => f.write_str("full jitter"),
            Self::Equal => f.write_str("equal jitter"),
            Self::Proportional(part) => write!(f, "jitter of {} %", part * 100.0),
            Self::Decorrelated => f.write_str("decorrelated jitter"),
            Self::Smooth => f.write_str("smooth jitter"),
        }
    }
}
