#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod attempt;
mod classify;
mod error;
mod observe;
mod policy;
mod stack;
mod timeout;

pub use attempt::{Attempt, Lane};
pub use classify::{ByDefault, Class, Classify};
pub use error::{Error, Invalid, Reason, Rejection, TimedOut};
pub use observe::{Event, EventKind, GiveUp, Interest, Observer};
pub use policy::{Inner, Part, PartPlan, Place, Plan, Policy, Role, Scene, Turn};
pub use stack::{
    Again, Call, CallOnce, CallReported, Chain, ChainState, Once, Report, Root, SingleShot, Stack,
    StackBuilder, Start,
};
pub use timeout::{Deadline, DeadlineState, Timeout, timeout};
