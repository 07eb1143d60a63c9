//! Trees of supervisors.

pub mod machine;
pub mod rules;
