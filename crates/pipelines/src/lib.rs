#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod invalid;
mod panics;
mod pool;

pub use invalid::Invalid;
pub use pool::{
    BuildError, Close, Completion, Factory, FnWorker, Intake, JobError, JobId, PoolStats, Results, Same,
    Settled, Shutdown, Submit, SubmitError, Worker, WorkerPool, WorkerPoolBuilder, WorkerStats,
};
