#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod bridge;
pub mod broadcast;
mod channel;
mod concurrent;
mod ext;
mod fan_out;
mod fold;
mod forward;
mod merge;
pub mod oneshot;
mod or_done;
pub mod priority;
mod receive;
pub mod rendezvous;
mod sinks;
mod slow;
mod sources;
mod sync;
mod tee;
mod time;
pub mod watch;

pub use bridge::{Bridge, BridgeUnordered};
pub use channel::*;
pub use concurrent::{
    AsReady, ByKey, Concurrent, Drive, Each, ForEachWith, InOrder, RecvResult, Results, RunConcurrent,
    TryForEachWith, TryRunConcurrent,
};
pub use ext::StreamUtil;
pub use fan_out::*;
pub use fold::{Conflate, EveryNth, TakeLast};
pub use forward::{Forward, forward};
pub use merge::*;
pub use or_done::{OrDone, OrDoneEnd};
pub use receive::{ReceiveAny, RecvAny};
pub use sinks::{BatchSink, OverflowSink, SinkToAll, SinkToAny};
pub use slow::{Missed, Slow};
pub use sources::{LineError, Lines, Rest, feed, lines, ticker};
pub use tee::{LossyTee, Part, Shared, Tee, TeeHub};
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
