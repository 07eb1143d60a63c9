//! Which policy to take, and how to do here what you did elsewhere.

/// The same things under their old names: other crates, other languages.
#[doc = include_str!("guide/coming_from_retry.md")]
///
#[doc = include_str!("guide/coming_from_breaker.md")]
///
#[doc = include_str!("guide/coming_from_limits_hedges.md")]
///
#[doc = include_str!("guide/coming_from_cache_chaos.md")]
pub mod coming_from {}

#[doc = include_str!("guide/which.md")]
pub mod which {}
