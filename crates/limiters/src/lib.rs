#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod adaptive;
mod compose;
mod credit;
pub mod guide;
mod keyed;
mod limit;
mod line;
mod rate;
mod rate_limiter;
mod ratio;
mod semaphore;
mod shed;
mod sink;
mod stream;
mod sync;
mod warm_up;
mod window;

pub use adaptive::{
    AdaptiveLimiter, AdaptiveLimiterBuilder, AdaptiveStats, Aimd, CorrelatedVegas, Gradient2, InFlight,
    LimitAlgorithm, Vegas, Window, Windows,
};
pub use compose::{AcquireAll, AllOf, AllOfStats, HeldAll, Refused, Tiers, all_of};
pub use credit::Keep;
pub use keyed::{AcquireKey, KeyLimit, Keyed, KeyedBuilder, KeyedStats, OnFull, QuotaId};
pub use limit::{Acquire, Denied, Grant, Held, Limit, Outcome, Waiting, acquire, try_acquire};
pub use line::{Counted, LimiterStats};
pub use rate::{Quota, QuotaError, Rate};
pub use rate_limiter::{
    AcquireCells, AcquireLeased, Estimate, Lease, RateLimiter, RateLimiterBuilder, Reservation,
};
pub use semaphore::{
    AcquirePermit, AcquirePermitBy, AcquirePermitOwned, AcquirePermitOwnedBy, Mode, OwnedPermit, Permit,
    Semaphore, SemaphoreBuilder, SemaphoreStats,
};
pub use shed::{
    Class, CoDel, Priority, PriorityLimit, PriorityShedder, QueueDelay, QueueDelayStats, ShedderStats,
    Throttle, ThrottleBuilder, ThrottleStats, Usage,
};
pub use sink::{LimitSink, Paced, PacedError};
pub use stream::{Admitted, LimitConcurrency, LimitStream, NotAdmitted, RateLimited};
pub use warm_up::{WarmUp, WarmUpBuilder};
pub use window::{
    AcquireWindow, FixedWindow, SegmentedWindow, SlidingCounter, SlidingLog, WindowBuilder, WindowError,
};

/// What other crates of the family share with this one. Not for users: it changes without notice.
#[doc(hidden)]
pub mod plumbing {
    pub use crate::adaptive::Histogram;
}
