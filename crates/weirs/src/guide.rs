//! How do I ...? And which of them is it?

#[doc = include_str!("guide/limit_concurrency.md")]
pub mod limit_concurrency {}

#[doc = include_str!("guide/time_out.md")]
pub mod time_out {}

#[doc = include_str!("guide/shut_down.md")]
pub mod shut_down {}

#[doc = include_str!("guide/share_work.md")]
pub mod share_work {}

#[doc = include_str!("guide/test_with_a_seed.md")]
pub mod test_with_a_seed {}

#[doc = include_str!("guide/which_one.md")]
pub mod which_one {}

#[doc = include_str!("guide/when_not_to.md")]
pub mod when_not_to {}

#[doc = include_str!("guide/concurrency_is_not_parallelism.md")]
pub mod concurrency_is_not_parallelism {}
