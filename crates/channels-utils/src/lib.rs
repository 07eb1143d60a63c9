#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod channel;
mod ext;
mod served;
mod sync;
mod waiters;

pub use channel::*;
pub use ext::StreamUtil;
