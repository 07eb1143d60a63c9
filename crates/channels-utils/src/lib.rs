#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub mod broadcast;
mod channel;
mod ext;
mod forward;
pub mod oneshot;
pub mod priority;
pub mod rendezvous;
mod served;
mod sync;
mod waiters;
pub mod watch;

pub use channel::*;
pub use ext::StreamUtil;
pub use forward::{Forward, forward};
