#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

mod group;
mod join;
pub mod joiners;
mod many;
mod panics;
mod race;
mod reason;
mod results;
mod scope;
mod select;
mod shutdown;
#[cfg(all(unix, feature = "signals"))]
mod signals;
mod sync;
mod task_scope;
mod token;
mod tracker;

pub use group::{Group, GroupBuilder, TryGroup, TryWait, TryWaitAll, Wait};
pub use join::{Join, JoinBranches, TryJoin, TryJoinBranches, join, try_join};
pub use race::{Branches, OneOf2, OneOf3, OneOf4, OneOf5, OneOf6, OneOf7, OneOf8, Race, race, race_biased};
pub use reason::{Cancelled, Reason};
pub use results::JoinNext;
pub use scope::*;
pub use select::{Select, SelectNext};
pub use shutdown::*;
#[cfg(all(unix, feature = "signals"))]
pub use signals::{Escalation, EscalationStep, NextStep, Recv, Signal, Signals};
pub use task_scope::*;
pub use token::{CancelToken, DropGuard, Registration, Run, UntilCancelled, UntilCancelledOwned, WeakToken};
pub use tracker::{Leaks, LiveKind, LiveTask, Tracker, WaitIdle};

/// What the traits of `race` and `join` name, for the compiler's sake.
#[doc(hidden)]
pub mod plumbing {
    pub use crate::join::{many::*, tuples::*};
    pub use crate::race::{Contest, Order, many::*, tuples::*};
}

/// Coming from Go, tokio-util, trio, Kotlin or Java.
#[doc = include_str!("coming_from.md")]
pub mod _coming_from {}
