//! [`Retry`]: how often a failed job is tried again, and after what time.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// How often a failed job is tried again, and after what time; for
/// [`Pipeline::retry`](crate::Pipeline::retry).
///
/// The pause is the same each time, or grows: with [`doubling_to`](Self::doubling_to).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use weirs_pipelines::Retry;
///
/// let second = Duration::from_secs(1);
/// let retry = Retry::times(4).after(second).doubling_to(5 * second);
/// let pauses: Vec<_> = (1..=5).map_while(|attempt| retry.pause_after(attempt)).collect();
/// assert_eq!(pauses, [1, 2, 4, 5].map(Duration::from_secs));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    times: u32,
    pause: Duration,
    most: Duration,
    panics: bool,
}

impl Retry {
    /// So many attempts after the first one, without a pause.
    #[must_use]
    pub const fn times(times: u32) -> Self {
        Self { times, pause: Duration::ZERO, most: Duration::ZERO, panics: false }
    }

    /// This time before each.
    #[must_use]
    pub const fn after(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// The pause doubles each time, up to this.
    #[must_use]
    pub const fn doubling_to(self, most: Duration) -> Self {
        Self { most, ..self }
    }

    /// What panicked is tried again too. Without this a panic is final.
    #[must_use]
    pub const fn panics_too(self) -> Self {
        Self { panics: true, ..self }
    }

    /// How long to wait when so many attempts have failed; none if there are to be no more.
    pub fn pause_after(&self, attempts: u32) -> Option<Duration> {
        let again = NonZeroU32::new(attempts).filter(|attempts| attempts.get() <= self.times)?;
        if self.pause >= self.most {
            return Some(self.pause);
        }
        let factor = 1_u32.checked_shl(again.get() - 1).unwrap_or(u32::MAX);
        Some(self.pause.saturating_mul(factor).min(self.most))
    }

    pub(super) const fn tries_panics(&self) -> bool {
        self.panics
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("times", &self.times)
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}
