//! What the larger programs are made of.

pub mod chat;
pub mod echo;
pub mod http;
pub mod net;
pub mod pitfalls;
pub mod probe;
pub mod story;
