#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub mod broadcast;
mod channel;
mod concurrent;
mod ext;
mod forward;
pub mod oneshot;
pub mod priority;
pub mod rendezvous;
mod served;
mod sources;
mod sync;
mod time;
mod waiters;
pub mod watch;

pub use channel::*;
pub use concurrent::{
    AsReady, ByKey, Concurrent, Drive, Each, ForEachWith, InOrder, RecvResult, Results, RunConcurrent,
    TryForEachWith, TryRunConcurrent,
};
pub use ext::StreamUtil;
pub use forward::{Forward, forward};
pub use sources::{LineError, Lines, Rest, feed, lines, ticker};
pub use time::{
    ByNumber, ByWeight, ChunksOrTimeout, Debounce, Edges, Heartbeat, IdleTimeout, SampleEvery,
    SessionWindows, SlidingWindows, Throttle, TimeWindow, TimeoutEach, TumblingWindows, WindowsByCount,
};

/// Longer texts: when to use what.
pub mod _guide {
    #[doc = include_str!("guide/sharing.md")]
    pub mod sharing {}

    #[doc = include_str!("guide/coming_from.md")]
    pub mod coming_from {}
}

/// What the traits of the operators name, for the compiler's sake.
#[doc(hidden)]
pub mod plumbing {
    pub use crate::concurrent::plumbing::*;
    pub use crate::time::plumbing::*;
}
