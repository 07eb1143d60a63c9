//! How to do it here what you did elsewhere.

#[doc = include_str!("guide/coming_from.md")]
pub mod coming_from {}
