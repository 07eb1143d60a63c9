//! [`Event`]: one thing that a policy did.

use std::fmt;
use std::ops::BitOr;
use std::time::Duration;

use weirs_runtime::Instant;

use crate::{Place, Reason};

/// One thing that a policy did, and where.
#[derive(Clone, Copy, Debug)]
pub struct Event<'e> {
    source: &'e str,
    place: Place,
    kind: EventKind,
}

impl<'e> Event<'e> {
    pub(crate) fn new(source: &'e str, place: Place, kind: EventKind) -> Self {
        Self { source, place, kind }
    }

    /// The name of the stack, or of the breaker.
    pub fn source(&self) -> &'e str {
        self.source
    }

    /// Which policy of the stack.
    pub fn place(&self) -> Place {
        self.place
    }

    /// What happened.
    pub fn kind(&self) -> EventKind {
        self.kind
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source)?;
        if let Some(index) = self.place.index() {
            write!(f, "[{index}]")?;
        }
        write!(f, ": {}", self.kind)
    }
}

/// What a policy did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// An attempt failed, and another follows after a pause.
    Retry {
        /// The number of the attempt that failed.
        attempt: u32,
        /// How long the pause is.
        delay: Duration,
    },
    /// An attempt failed, and no other follows.
    GaveUp {
        /// How many attempts there were.
        attempts: u32,
        /// Why it is the last.
        reason: GiveUp,
    },
    /// A limit of time struck.
    TimedOut {
        /// How long it was.
        after: Duration,
    },
    /// A policy refused.
    Rejected {
        /// Why.
        reason: Reason,
        /// After how long it is worth trying again, if that is known.
        retry_after: Option<Duration>,
    },
    /// The circuit opened.
    Opened {
        /// The breaker's generation from now on.
        generation: u32,
        /// When it tries the other side again; `None` if only a hand closes it.
        until: Option<Instant>,
    },
    /// The circuit tries the other side with a few calls.
    HalfOpened {
        /// The breaker's generation from now on.
        generation: u32,
    },
    /// The circuit closed.
    Closed {
        /// The breaker's generation from now on.
        generation: u32,
    },
    /// The circuit would have opened, but only looks on.
    WouldOpen {
        /// The breaker's generation.
        generation: u32,
    },
    /// Probes did not come back in time, so others are let through.
    ProbeLost {
        /// The breaker's generation from now on.
        generation: u32,
    },
    /// A result came from before the circuit's last change, and was not counted.
    Stale {
        /// The generation that it came from.
        generation: u32,
    },
    /// A call was dropped in the middle.
    Abandoned {
        /// Whether that counts as a failure.
        failure: bool,
    },
    /// The breaker goes on with other settings.
    Reconfigured {
        /// The breaker's generation.
        generation: u32,
    },
    /// Another attempt began beside those that run.
    HedgeStarted {
        /// Which hedge.
        hedge: u16,
    },
    /// A hedge was the first to succeed.
    HedgeWon {
        /// Which hedge.
        hedge: u16,
    },
    /// There was no budget for another attempt.
    BudgetSpent,
    /// Another answer was given in place of an error.
    FellBack,
    /// An old answer was given in place of an error.
    ServedStale {
        /// How old it was.
        age: Duration,
    },
    /// A fault was made on purpose.
    FaultInjected {
        /// Which one.
        fault: &'static str,
    },
}

impl EventKind {
    /// The bit of [`Interest`] that it belongs to.
    pub fn interest(&self) -> Interest {
        match self {
            Self::Retry { .. } | Self::GaveUp { .. } | Self::BudgetSpent => Interest::RETRIES,
            Self::TimedOut { .. } => Interest::TIMEOUTS,
            Self::Rejected { .. } => Interest::REJECTIONS,
            Self::Opened { .. }
            | Self::HalfOpened { .. }
            | Self::Closed { .. }
            | Self::WouldOpen { .. }
            | Self::ProbeLost { .. }
            | Self::Reconfigured { .. } => Interest::BREAKER,
            Self::Stale { .. } | Self::Abandoned { .. } => Interest::UNCOUNTED,
            Self::HedgeStarted { .. } | Self::HedgeWon { .. } => Interest::HEDGES,
            Self::FellBack | Self::ServedStale { .. } => Interest::SUBSTITUTES,
            Self::FaultInjected { .. } => Interest::FAULTS,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { attempt, delay } => {
                write!(f, "attempt {attempt} failed, the next follows in {delay:?}")
            }
            Self::GaveUp { attempts, reason } => write!(f, "gave up after {attempts}: {reason}"),
            Self::TimedOut { after } => write!(f, "timed out after {after:?}"),
            Self::Rejected { reason, retry_after: None } => write!(f, "refused: {reason}"),
            Self::Rejected { reason, retry_after: Some(after) } => {
                write!(f, "refused: {reason}; again in {after:?}")
            }
            Self::Opened { generation, .. } => write!(f, "the circuit opened (generation {generation})"),
            Self::HalfOpened { generation } => {
                write!(f, "the circuit is half open (generation {generation})")
            }
            Self::Closed { generation } => write!(f, "the circuit closed (generation {generation})"),
            Self::WouldOpen { generation } => {
                write!(f, "the circuit would have opened (generation {generation})")
            }
            Self::ProbeLost { generation } => {
                write!(f, "probes were lost, a new round begins (generation {generation})")
            }
            Self::Stale { generation } => write!(f, "a result of generation {generation} came too late"),
            Self::Abandoned { failure: true } => f.write_str("abandoned, which counts as a failure"),
            Self::Abandoned { failure: false } => f.write_str("abandoned"),
            Self::Reconfigured { generation } => write!(f, "other settings (generation {generation})"),
            Self::HedgeStarted { hedge } => write!(f, "hedge {hedge} began"),
            Self::HedgeWon { hedge } => write!(f, "hedge {hedge} won"),
            Self::BudgetSpent => f.write_str("the budget for further attempts is spent"),
            Self::FellBack => f.write_str("fell back to another answer"),
            Self::ServedStale { age } => write!(f, "served an answer that is {age:?} old"),
            Self::FaultInjected { fault } => write!(f, "injected: {fault}"),
        }
    }
}

/// Why a retry follows no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// It would fail again.
    Permanent,
    /// As many attempts as there may be.
    Exhausted,
    /// The next would end after the deadline.
    Deadline,
    /// The budget is spent.
    Budget,
    /// Too many retries stand above this one.
    Amplified,
    /// A policy further in refused.
    Refused,
}

impl GiveUp {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Permanent, Self::Exhausted, Self::Deadline, Self::Budget, Self::Amplified, Self::Refused];
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permanent => "it would fail again",
            Self::Exhausted => "no attempts are left",
            Self::Deadline => "too little time is left",
            Self::Budget => "the budget is spent",
            Self::Amplified => "too many retries stand above this one",
            Self::Refused => "a policy further in refused",
        })
    }
}

/// Which events an observer wants; sets are joined by `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(u16);

impl Interest {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(u16::MAX);
    /// Retries, their ends, and spent budgets.
    pub const RETRIES: Self = Self(1);
    /// Limits of time that struck.
    pub const TIMEOUTS: Self = Self(2);
    /// Refusals, each of them.
    pub const REJECTIONS: Self = Self(4);
    /// A breaker's changes.
    pub const BREAKER: Self = Self(8);
    /// Results that a breaker did not count.
    pub const UNCOUNTED: Self = Self(16);
    /// Hedges.
    pub const HEDGES: Self = Self(32);
    /// Answers in place of errors.
    pub const SUBSTITUTES: Self = Self(64);
    /// Faults on purpose.
    pub const FAULTS: Self = Self(128);

    /// Whether all of `other` is in here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
