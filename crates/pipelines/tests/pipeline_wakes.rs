//! How often the tasks of pipelines and pools are woken, on an executor that counts.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::task::{FutureObj, Spawn, SpawnError};
use futures_lite::{StreamExt, stream};
use weirs_pipelines::{Pipeline, WorkerPool};
use weirs_runtime::{Runtime, block_on};

const MANY: u64 = 20_000;

/// An executor of one thread, so that it does not depend on who is faster.
#[derive(Clone, Default)]
struct Counted {
    executor: Arc<smol::Executor<'static>>,
    polls: Arc<AtomicU64>,
}

impl Spawn for Counted {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        let (mut future, polls) = (future, Arc::clone(&self.polls));
        let counted = poll_fn(move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut future).poll(cx)
        });
        self.executor.spawn(counted).detach();
        Ok(())
    }
}

impl Counted {
    /// How often tasks are polled for an item: once for each wake.
    fn polls_of_an_item<Fut: Future<Output = ()>>(&self, run: impl FnOnce(Runtime) -> Fut) -> f64 {
        block_on(self.executor.run(run(Runtime::new(self.clone()))));
        self.polls.load(Ordering::Relaxed) as f64 / MANY as f64
    }
}

async fn work(n: u64) -> Result<u64, Infallible> {
    Ok(n)
}

#[test]
fn a_full_edge_wakes_a_task_once_for_many_items() {
    let polls = Counted::default().polls_of_an_item(|runtime| async move {
        let plan = Pipeline::source(stream::iter(0..MANY))
            .buffer(128)
            .stage("one", 1, work)
            .buffer(128)
            .stage("two", 1, work)
            .buffer(128)
            .stage("three", 1, work)
            .buffer(128)
            .fold(0, |count, _| *count += 1);
        assert_eq!(plan.run(&runtime).unwrap().await.unwrap().output, MANY);
    });
    assert!(polls <= 4.0 * 0.05, "{polls} polls an item over four edges");
}

#[test]
fn an_island_is_woken_by_nobody() {
    let polls = Counted::default().polls_of_an_item(|runtime| async move {
        let plan = Pipeline::source(stream::iter(0..MANY))
            .stage("one", 1, work)
            .stage("two", 1, work)
            .fold(0, |count, _| *count += 1);
        assert_eq!(plan.run(&runtime).unwrap().await.unwrap().output, MANY);
    });
    assert!(polls <= 0.01, "{polls} polls an item");
}

#[test]
fn a_full_pool_wakes_a_worker_once_for_many_jobs() {
    let polls = Counted::default().polls_of_an_item(|runtime| async move {
        let pool = WorkerPool::builder(work).workers(2).queue(128).unread(128).build(&runtime).unwrap();
        let intake = pool.intake();
        let feeder = runtime.spawn(async move { intake.submit_many(0..MANY).await.is_ok() });
        assert_eq!(pool.into_results().count().await as u64, MANY);
        assert!(feeder.await.unwrap());
    });
    // Those of the feeder and of two workers.
    assert!(polls <= 3.0 * 0.05, "{polls} polls an item");
}
