//! [`Error`]: how a call can fail, one level deep whatever the stack.

use std::fmt;
use std::time::Duration;

use crate::Place;

/// Why a call gave no result: the work's own error, a limit of time, or a policy that refused.
///
/// It is flat: a timeout inside a retry inside a breaker is still one `Error<E>`, of at most 24 bytes more
/// than `E`. A retry that gives up returns the last real error, not one of its own; the why is in the
/// [`Report`](crate::Report).
///
/// # Examples
/// ```
/// use weirs_resilience::Error;
///
/// fn status(error: &Error<std::io::Error>) -> u16 {
///     match error {
///         Error::Timeout(_) => 504,
///         Error::Rejected(rejection) if rejection.retry_after().is_some() => 429,
///         Error::Rejected(_) => 503,
///         Error::Inner(_) => 502,
///         _ => 500,
///     }
/// }
/// # assert_eq!(status(&Error::Inner(std::io::ErrorKind::Other.into())), 502);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The work failed, with this.
    Inner(E),
    /// It took too long; what ran was dropped.
    Timeout(TimedOut),
    /// A policy refused: this attempt did not begin.
    Rejected(Rejection),
}

impl<E> Error<E> {
    /// The work's own error.
    pub fn inner(&self) -> Option<&E> {
        match self {
            Self::Inner(error) => Some(error),
            _ => None,
        }
    }

    /// The work's own error, or this one again.
    ///
    /// # Errors
    /// When it is not the work's.
    pub fn into_inner(self) -> Result<E, Self> {
        match self {
            Self::Inner(error) => Ok(error),
            other => Err(other),
        }
    }

    /// The same with another error of the work.
    pub fn map_inner<G>(self, map: impl FnOnce(E) -> G) -> Error<G> {
        match self {
            Self::Inner(error) => Error::Inner(map(error)),
            Self::Timeout(timed_out) => Error::Timeout(timed_out),
            Self::Rejected(rejection) => Error::Rejected(rejection),
        }
    }

    /// Whether a limit of time struck.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Why a policy refused, if one did.
    pub fn rejected(&self) -> Option<Reason> {
        match self {
            Self::Rejected(rejection) => Some(rejection.reason),
            _ => None,
        }
    }

    /// Whether a circuit breaker refused.
    pub fn is_circuit_open(&self) -> bool {
        self.rejected().is_some_and(Reason::is_circuit)
    }

    /// After how long it is worth calling again, if the one who refused knows.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(rejection) => rejection.retry_after(),
            _ => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::Timeout(timed_out) => timed_out.fmt(f),
            Self::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // It is shown as this error's own text, so its cause is the next link of the chain.
            Self::Inner(error) => error.source(),
            _ => None,
        }
    }
}

/// A duration of at most 584 years, in half the room.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Nanos(u64);

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.duration().fmt(f)
    }
}

impl Nanos {
    const MAX: Self = Self(u64::MAX);

    const fn of(duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        Self(if nanos < u64::MAX as u128 { nanos as u64 } else { u64::MAX })
    }

    const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// A limit of time that struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    after: Nanos,
    place: Place,
}

impl TimedOut {
    /// After so long, at that place of a stack.
    pub const fn new(after: Duration, place: Place) -> Self {
        Self { after: Nanos::of(after), place }
    }

    /// How long the limit was.
    pub const fn after(&self) -> Duration {
        self.after.duration()
    }

    /// Which policy of the stack it was.
    pub const fn place(&self) -> Place {
        self.place
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out after {:?}", self.after())
    }
}

impl std::error::Error for TimedOut {}

/// A policy's refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    reason: Reason,
    place: Place,
    /// [`Nanos::MAX`] if it is not known.
    retry_after: Nanos,
}

impl Rejection {
    /// For that reason, at that place of a stack.
    pub const fn new(reason: Reason, place: Place) -> Self {
        Self { reason, place, retry_after: Nanos::MAX }
    }

    /// The same, and it is worth trying again after so long.
    #[must_use = "the rejection itself is unchanged"]
    pub const fn retry_after_of(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = match retry_after {
            Some(after) => Nanos::of(after),
            None => Nanos::MAX,
        };
        self
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Which policy of the stack refused.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// After how long it is worth calling again, if that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.retry_after {
            Nanos::MAX => None,
            after => Some(after.duration()),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.text())?;
        match self.retry_after() {
            Some(after) => write!(f, "; try again in {after:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Rejection");
        shown.field("reason", &self.reason).field("place", &self.place);
        shown.field("retry_after", &self.retry_after()).finish()
    }
}

impl std::error::Error for Rejection {}

/// Why a policy refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The circuit is open.
    CircuitOpen,
    /// The circuit tries the other side with a few calls, and all of these are out.
    CircuitHalfOpen,
    /// Somebody opened the circuit by hand.
    CircuitForced,
    /// The bulkhead has no free place.
    BulkheadFull,
    /// Over the rate.
    RateLimited,
    /// Turned away by chance, because the other side refuses too much.
    Throttled,
    /// Turned away so that more important or younger work gets through.
    Shed,
    /// There is not enough time left.
    Deadline,
    /// Attempts multiply: too many retries stand above this one.
    Amplified,
    /// What admits was closed.
    Closed,
    /// More than can ever be admitted.
    TooLarge,
    /// The stack was made with settings that make no sense; [`build`](crate::StackBuilder::build) names them.
    Invalid,
    /// A policy of your own refused.
    Other,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::CircuitOpen,
        Self::CircuitHalfOpen,
        Self::CircuitForced,
        Self::BulkheadFull,
        Self::RateLimited,
        Self::Throttled,
        Self::Shed,
        Self::Deadline,
        Self::Amplified,
        Self::Closed,
        Self::TooLarge,
        Self::Invalid,
        Self::Other,
    ];

    /// Whether it is a circuit breaker's.
    pub const fn is_circuit(self) -> bool {
        matches!(self, Self::CircuitOpen | Self::CircuitHalfOpen | Self::CircuitForced)
    }

    const fn text(self) -> &'static str {
        match self {
            Self::CircuitOpen => "the circuit is open",
            Self::CircuitHalfOpen => "the circuit is half open and its probes are out",
            Self::CircuitForced => "the circuit was opened by hand",
            Self::BulkheadFull => "the bulkhead is full",
            Self::RateLimited => "over the rate limit",
            Self::Throttled => "turned away by chance, as the other side refuses too much",
            Self::Shed => "turned away for other work",
            Self::Deadline => "too little time is left",
            Self::Amplified => "too many retries stand above this one",
            Self::Closed => "what admits was closed",
            Self::TooLarge => "more than can ever be admitted",
            Self::Invalid => "the policies were set up with values that make no sense",
            Self::Other => "a policy refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Settings that make no sense, found when a policy or a stack is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    field: &'static str,
    why: &'static str,
}

impl Invalid {
    /// That field, for that reason.
    pub const fn new(field: &'static str, why: &'static str) -> Self {
        Self { field, why }
    }

    /// Which setting, such as `retry.cap`.
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl std::error::Error for Invalid {}
