#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod credit;
mod rate;
mod sync;

pub use credit::Keep;
pub use rate::{Quota, QuotaError, Rate};
