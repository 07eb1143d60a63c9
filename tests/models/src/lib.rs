//! Models that loom runs through every interleaving of: one file in `tests/` for each protocol that is made
//! of atomics and locks by hand.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 \
//!     cargo test --release --manifest-path tests/models/Cargo.toml --target-dir target/loom
//! ```
//!
//! Without `--cfg loom` there is nothing here. A model is small: two or three threads, a few steps each, and
//! time is a number that the model sets. Each one names the mistake that it was seen to find.
