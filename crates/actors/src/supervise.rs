//! Trees of supervisors.

#[doc(hidden)]
pub mod machine;
pub mod rules;
