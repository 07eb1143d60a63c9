//! What the larger programs are made of.

pub mod chat;
pub mod net;
pub mod probe;
