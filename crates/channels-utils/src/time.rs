//! The operators that take a clock: batches, pace, windows and limits in time.

mod chunks;
mod debounce;
mod heartbeat;
mod sample;
mod sliding;
mod throttle;
mod timeouts;
mod timer;
mod windows;

pub use chunks::{ByNumber, ByWeight, ChunksOrTimeout};
pub use debounce::{Debounce, Edges};
pub use heartbeat::Heartbeat;
pub use sample::SampleEvery;
pub use sliding::{SlidingWindows, WindowsByCount};
pub use throttle::Throttle;
pub use timeouts::{IdleTimeout, TimeoutEach};
pub use windows::{SessionWindows, TimeWindow, TumblingWindows};

/// So many items are taken in one turn before the others of the executor get theirs.
const BUDGET: usize = 128;

/// What the traits of the operators name, for the compiler's sake.
pub(crate) mod plumbing {
    pub use super::chunks::Weigh;
}
