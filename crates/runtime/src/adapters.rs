//! Adapters for the executors that most programs run on, each behind the feature of its name.
//!
//! An adapter is a few lines: `examples/` has one for a game engine's task pool. Nothing here is chosen by
//! itself, and any number of adapters may be used side by side.

#[cfg(feature = "async-std")]
mod async_std;
#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "async-std")]
pub use async_std::AsyncStd;
#[cfg(feature = "smol")]
pub use smol::{Smol, SmolLocal};
#[cfg(feature = "tokio")]
pub use tokio::{NoTokio, Tokio, TokioLocal};
