#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod async_policy;
mod attempt;
mod backoff;
mod breaker;
mod budget;
mod bulkhead;
mod cache;
mod chaos;
mod classify;
mod error;
mod fallback;
pub mod guide;
mod hedge;
mod hooks;
mod limit;
mod observe;
mod policy;
mod registry;
mod retry;
mod shed;
mod stack;
mod sync;
mod throttle;
mod timeout;

pub use async_policy::{AsyncPolicy, AsyncState, Next, NextOnce, Run, RunOnce, from_async, from_async_once};
pub use attempt::{Attempt, Lane};
#[doc(hidden)]
pub use backoff::Progress as BackoffProgress;
pub use backoff::{Backoff, Delays, Jitter};
#[doc(hidden)]
pub use breaker::breaker_model;
pub use breaker::{
    Abandoned, Breaker, BreakerBuilder, BreakerCall, BreakerSnapshot, BreakerStats, Circuit, Counts, Guard,
    GuardState, OpenFor, OwnedPermit, Permit, Probed, Ready, Recorded,
};
pub use budget::{
    Budget, BudgetStats, InFlightBudget, ShareBudget, ThrottlingBudget, TokenBudget, Withdrawal,
};
pub use bulkhead::{Bulkhead, BulkheadState, BulkheadStats, Enter, InBulkhead, bulkhead};
pub use cache::{Cache, CacheSlot, CacheStats, CacheTerms, Cached, CachedState, GetCached};
pub use chaos::{Chaos, ChaosState, ChaosStats, ChaosSwitch, Faults, Latency};
pub use classify::{ByDefault, Class, Classify};
pub use error::{Error, Invalid, Reason, Rejection, TimedOut};
pub use fallback::{FallBack, Fallback, FallbackValue, FallbackWhen, Substitute, fallback};
pub use hedge::{Hedge, HedgeState, hedge};
pub use hooks::{Ended, Hooks, HooksState, from_hooks};
pub use limit::{Limited, LimitedState, limit};
pub use observe::{CallStats, Event, EventKind, GiveUp, Interest, Observer, Stats};
pub use policy::{
    Degradation, Failure, Inner, Lint, LintKind, Part, PartPlan, Place, Plan, Policy, Role, Scene, Step, Turn,
};
pub use registry::{Breakers, BreakersBuilder, BreakersStats, WhenFull};
pub use retry::{NotSent, Retry, RetryState, When, retry};
pub use shed::{Shed, ShedState, shed};
pub use stack::{
    Again, Call, CallOnce, CallReported, Chain, ChainState, Dynamic, DynamicBuilder, DynamicOnce,
    DynamicState, Once, Report, Root, SingleShot, Stack, StackBuilder, Start,
};
pub use throttle::throttle;
pub use timeout::{Deadline, DeadlineState, Timeout, timeout};
