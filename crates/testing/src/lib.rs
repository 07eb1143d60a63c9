#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait; it passes every call on")]
mod alloc;
mod cancel;
pub mod conformance;
mod in_flight;
mod late_clock;
mod macros;
mod manual_clock;
#[doc(hidden)]
pub mod runtimes;
pub mod sim;

pub use alloc::{Allocations, CountingAllocator, Stretch};
pub use cancel::{cancel_at_every_poll, cancel_at_every_wake, yields};
pub use in_flight::{InFlight, InFlightGuard};
pub use late_clock::LateClock;
pub use manual_clock::ManualClock;

/// Puts a macro where an attribute goes: `#[apply(runtime_test)]`.
pub use macro_rules_attribute::apply;
