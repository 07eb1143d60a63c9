//! The tables of the documents that this project began with: what they claim for Go, beside Go and tokio.
//!
//! Every row is the whole program of its table, from the first worker that is started to the last result that
//! is read, and its cost is that of one job: `seeds/pool/10` at 110 us is 1,000 jobs in 110 ms. Ours runs on
//! two threads of smol, of async-std and of tokio; the same program in plain Go, which has two processors
//! as well, takes turns with it, and on tokio the one that is written with tokio's own tasks and channels.
//! [`CLAIMS`](crate::claims::CLAIMS) has what the documents say.
//!
//! # What waits
//! The jobs of a pool wait for 1 ms, those of a fan-out for 100 us, and pictures take 10 ms, as in the
//! documents. Nobody wakes at the nanosecond. Go, when it has nothing else to do, waits for whole
//! milliseconds, so that 100 us take ten times as long; tokio's sleep is whole milliseconds and one more.
//! Our clock is our own on every runtime, tokio's too, and wakes each sleeper as soon as the system does.
//! That has its price: a wake for each, where the others gather those of a millisecond, so that `cpu` is more
//! than theirs where many wait.
//!
//! # What computes
//! Two processors do twice as much as one, and not four or eight times. A pipeline of bare integers is slower
//! than a loop in any language: there is nothing to do at the same time. Ours without buffers is one task,
//! and so nearly a loop; `pipeline-20us` has work that is worth sharing, and a task for each stage.

mod batch;
mod fan_out;
mod pipeline;
mod pool;

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use weirs_runtime::Runtime;

use super::hosts::{AsyncStdGlobal, Host, SmolTwoThreads, TokioMultiThread};
use crate::go::{self, Module, Program};
use crate::measure::{Experiment, Pair, Side, wall_and_cpu};
use crate::peers::peer_in;
use crate::row::Row;

pub(super) fn experiments() -> Vec<Experiment> {
    let tables = [pool::experiments, pipeline::experiments, fan_out::experiments, batch::experiments];
    tables.iter().flat_map(|table| table()).collect()
}

/// All jobs of a line, done once. Boxed, so that the compiler makes each for one runtime and not for three.
pub(super) type List = Pin<Box<dyn Future<Output = ()> + Send>>;

type Lists = Arc<dyn Fn(Runtime) -> List + Send + Sync>;

/// A line of a table.
#[derive(Clone)]
pub(super) struct Line {
    /// `seeds/pool/10`.
    pub(super) name: String,
    /// So many jobs are one operation; the cost is that of one of them.
    pub(super) jobs: u64,
    /// Whether we are not to be slower.
    pub(super) has_goal: bool,
}

impl Line {
    pub(super) fn new(name: impl Into<String>, jobs: u64, has_goal: bool) -> Self {
        Self { name: name.into(), jobs, has_goal }
    }

    /// Ours on three runtimes, each beside a program in Go.
    pub(super) fn beside_go(
        &self,
        ours: impl Fn(Runtime) -> List + Copy + Send + Sync + 'static,
        go: impl Fn() -> Vec<String> + Copy + 'static,
    ) -> Vec<Experiment> {
        let ours: Lists = Arc::new(ours);
        vec![
            self.on("smol", SmolTwoThreads::new, Arc::clone(&ours), go),
            self.on("async-std", || AsyncStdGlobal, Arc::clone(&ours), go),
            self.on("tokio", TokioMultiThread::new, ours, go),
        ]
    }

    /// Ours on tokio, beside one that is written with what tokio has.
    pub(super) fn beside_tokio(
        &self,
        ours: impl Fn(Runtime) -> List + Copy + Send + Sync + 'static,
        by_hand: impl Fn() -> List + Copy + Send + Sync + 'static,
    ) -> Experiment {
        let jobs = self.jobs;
        let rows = self.rows("tokio", "tokio", peer_in("tokio", "spawn and mpsc"));
        Experiment::new(rows, move |effort| {
            let host = TokioMultiThread::new();
            let by_hand = lists(host.clone(), jobs, Arc::new(move |_| by_hand()));
            let mut pair = Pair::new(lists(host, jobs, Arc::new(ours)), by_hand).waits();
            Ok(pair.take_turns_in_time(effort).to_vec())
        })
    }

    fn on<H: Host>(
        &self,
        name: &str,
        host: fn() -> H,
        ours: Lists,
        go: impl Fn() -> Vec<String> + 'static,
    ) -> Experiment {
        let jobs = self.jobs;
        Experiment::new(self.rows(name, "go", go::peer()), move |effort| {
            let mut program = Program::start(Module::Plain, &go())?;
            let go = move |lists| program.run(lists).map(|cost| cost / jobs as f64);
            let mut pair = Pair::new(lists(host(), jobs, Arc::clone(&ours)), go).waits();
            Ok(pair.take_turns_in_time(effort).to_vec())
        })
    }

    /// One for the time on the wall, and beside it one for the processors'.
    fn rows(&self, host: &str, by: &str, peer: String) -> [Row; 2] {
        let row = Row::new(format!("{}/{host}/{by}", self.name), peer);
        let cpu = row.beside("cpu");
        [if self.has_goal { row.goal(1.0) } else { row }, cpu]
    }
}

/// An operation is the whole list; its cost is that of one of its jobs.
fn lists<H: Host>(host: H, jobs: u64, list: Lists) -> Side<2> {
    let runtime = host.runtime();
    Box::new(move |lists| {
        let (runtime, list) = (runtime.clone(), Arc::clone(&list));
        wall_and_cpu(lists * jobs, || {
            host.run(async move {
                for _ in 0..lists {
                    list(runtime.clone()).await;
                }
            });
        })
    })
}

/// Workers as one has them in tokio: they share the receiver of the jobs, and each has a sender for results.
async fn tokio_workers<F>(workers: usize, jobs: u64, work: impl Fn(u64) -> F + Copy + Send + Sync + 'static)
where
    F: Future<Output = u64> + Send,
{
    let (sender, receiver) = mpsc::channel(jobs as usize);
    let receiver = Arc::new(Mutex::new(receiver));
    let (results, mut finished) = mpsc::channel(jobs as usize);
    for _ in 0..workers {
        let (receiver, results) = (Arc::clone(&receiver), results.clone());
        tokio::spawn(async move {
            loop {
                let job = receiver.lock().await.recv().await;
                let Some(job) = job else { return };
                results.send(work(job).await).await.expect("they are read to the end");
            }
        });
    }
    drop(results);
    for job in 0..jobs {
        sender.send(job).await.expect("they are read to the end");
    }
    drop(sender);
    let mut sum = 0_u64;
    while let Some(result) = finished.recv().await {
        sum = sum.wrapping_add(result);
    }
    black_box(sum);
}
