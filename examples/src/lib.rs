//! What the larger programs are made of.

pub mod net;
pub mod probe;
