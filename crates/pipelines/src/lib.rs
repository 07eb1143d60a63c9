#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod invalid;
mod line;
mod panics;
mod pool;
mod work_queue;

pub use invalid::Invalid;
pub use pool::{
    Blocking, BlockingResults, BlockingWorker, BuildError, Call, CallError, Close, Completion, Controller,
    Factory, FnWorker, Intake, JobError, JobId, P95Latency, PoolStats, Quantiles, QueueWait, Rest, Results,
    Same, Settled, Shutdown, Submit, SubmitError, SubmitMany, SubmitManyError, TaskEnd, TaskHandle, TaskPool,
    TaskPoolClosed, Times, Window, Worker, WorkerPool, WorkerPoolBuilder, WorkerStats,
};
pub use work_queue::{Drained, NextKey, Taken, WorkQueue};
