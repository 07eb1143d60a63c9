#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub mod actor;
mod answer;
mod current;
mod dead;
mod exit;
pub mod guide;
mod id;
mod invalid;
mod ordered;
mod panics;
pub mod registry;
pub mod supervise;
mod sync;
mod ties;

pub use dead::DeadReason;
pub use exit::{Exit, GaveUp, IntoExit, Linked};
pub use id::Id;
pub use invalid::Invalid;

/// The way into what the models of `tests/models` check.
#[cfg(loom)]
#[doc(hidden)]
pub mod models {
    pub use crate::actor::models::*;
}
