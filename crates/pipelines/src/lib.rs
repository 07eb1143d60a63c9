#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod dead_letter;
pub mod guide;
mod invalid;
mod line;
mod panics;
mod par_map;
mod pipeline;
mod pool;
mod resilient;
mod source;
mod turn;
mod work_queue;

pub use dead_letter::{DeadLetter, DeadLetterRing, Reason, RingStats};
pub use invalid::Invalid;
pub use par_map::{ParMap, ParMapped, PipelineStream};
pub use pipeline::{
    Cause, Drive, Left, Pipeline, PipelineError, PipelineEvent, PipelineHandle, PipelineStats, Plan, Retry,
    Running, StageStats, Summary, Throughput, Unprocessed, Workers,
};
pub use pool::{
    Blocking, BlockingResults, BlockingWorker, BuildError, Call, CallError, Close, Completion, Controller,
    Factory, FnWorker, Intake, JobError, JobId, P95Latency, PoolEvent, PoolStats, Quantiles, QueueWait, Rest,
    Results, Same, Settled, Shutdown, Submit, SubmitError, SubmitMany, SubmitManyError, TaskEnd, TaskHandle,
    TaskPool, TaskPoolClosed, Times, Window, Worker, WorkerPool, WorkerPoolBuilder, WorkerStats,
};
pub use work_queue::{Drained, NextKey, Taken, WorkQueue};

/// What the types of pipelines name, for the compiler's sake.
#[doc(hidden)]
pub mod plumbing {
    pub use crate::pipeline::plumbing::*;
}
pub use resilient::{
    Answer, Answered, RedriveError, ResilientBuilder, ResilientCounts, ResilientDrained, ResilientEvent,
    ResilientIntake, ResilientPipeline, ResilientRedrive, ResilientResults, ResilientStats, ResilientSubmit,
    Unfinished,
};
pub use source::{AckCounts, AckError, Delivery, Receipt, ack_each};
