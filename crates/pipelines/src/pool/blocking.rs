//! [`Blocking`]: workers that run a blocking function.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use weirs_runtime::{JoinError, Runtime};

use super::worker::{Factory, Worker};

/// Makes workers that run one blocking function; see [`WorkerPool::blocking`](crate::WorkerPool::blocking).
pub struct Blocking<J, F> {
    work: Arc<F>,
    runtime: Option<Runtime>,
    job: PhantomData<fn(J)>,
}

impl<J, F> Blocking<J, F> {
    pub(super) fn new(work: F) -> Self {
        Self { work: Arc::new(work), runtime: None, job: PhantomData }
    }
}

impl<J, T, E, F> Factory for Blocking<J, F>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: Fn(J) -> Result<T, E> + Send + Sync + 'static,
{
    type Worker = BlockingWorker<J, F>;

    fn prepare(&mut self, runtime: &Runtime) -> Result<(), Box<dyn Error + Send + Sync>> {
        // A runtime that has no threads for it says so at once.
        let probe = pin!(runtime.spawn_blocking(|| ()));
        if let Poll::Ready(Err(error)) = probe.poll(&mut Context::from_waker(Waker::noop())) {
            return Err(error.into());
        }
        self.runtime = Some(runtime.clone());
        Ok(())
    }

    fn make(&self, _: usize) -> Result<Self::Worker, Box<dyn Error + Send + Sync>> {
        let runtime = self.runtime.clone().ok_or(JoinError::Unsupported)?;
        Ok(BlockingWorker { work: Arc::clone(&self.work), runtime, job: PhantomData })
    }
}

impl<J, F> fmt::Debug for Blocking<J, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocking")
    }
}

/// A worker that has its jobs done on a thread of the runtime's for blocking work.
pub struct BlockingWorker<J, F> {
    work: Arc<F>,
    runtime: Runtime,
    job: PhantomData<fn(J)>,
}

impl<J, T, E, F> Worker for BlockingWorker<J, F>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
    F: Fn(J) -> Result<T, E> + Send + Sync + 'static,
{
    type Job = J;
    type Output = T;
    type Error = E;

    async fn work(&mut self, job: J) -> Result<T, E> {
        let work = Arc::clone(&self.work);
        match self.runtime.spawn_blocking(move || work(job)).await {
            Ok(result) => result,
            // Its panic is the job's.
            Err(error) => panic!("{}", error.resume_panic()),
        }
    }
}

impl<J, F> fmt::Debug for BlockingWorker<J, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingWorker")
    }
}
