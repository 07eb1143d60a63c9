#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod invalid;
mod panics;
mod pool;

pub use invalid::Invalid;
pub use pool::{
    Blocking, BlockingResults, BlockingWorker, BuildError, Call, CallError, Close, Completion, Controller,
    Factory, FnWorker, Intake, JobError, JobId, P95Latency, PoolStats, Quantiles, QueueWait, Rest, Results,
    Same, Settled, Shutdown, Submit, SubmitError, SubmitMany, SubmitManyError, TaskEnd, TaskHandle, TaskPool,
    TaskPoolClosed, Times, Window, Worker, WorkerPool, WorkerPoolBuilder, WorkerStats,
};
