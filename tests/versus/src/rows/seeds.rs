//! The tables of the documents that this project began with: what they claim for Go, beside Go and tokio here.
//!
//! Every row is the whole program of its table, from the first worker that is started to the last result that
//! is read, and its cost is that of one job: `seeds/pool/10` at 110 us is 1,000 jobs in 110 ms. Ours runs on
//! two threads of smol, of async-std and of tokio; the same program in plain Go, which has two processors
//! as well, takes turns with it, and on tokio the one that is written with tokio's own tasks and channels.
//! [`CLAIMS`](crate::claims::CLAIMS) has what the documents say.
//!
//! # What waits
//! The jobs of a pool wait for 1 ms, those of a fan-out for 100 us, and pictures take 10 ms, as in the
//! documents. Nobody wakes at the nanosecond: the system adds 50 us, Go waits in whole milliseconds when it
//! has nothing else to do, and so does tokio, which rounds up: a millisecond takes two. Ours on smol and
//! async-std is as exact as the system. On tokio our clock is tokio's, so these rows have their goal beside
//! tokio, and beside Go only where Go's clock is no finer.
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
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use weirs_runtime::Runtime;

use super::hosts::{AsyncStdGlobal, Host, SmolTwoThreads, TokioMultiThread};
use crate::go::{self, Module, Program};
use crate::measure::{Experiment, Pair, Side, wall};
use crate::peers::peer_in;
use crate::row::Row;

pub(super) fn experiments() -> Vec<Experiment> {
    let tables = [pool::experiments, pipeline::experiments, fan_out::experiments, batch::experiments];
    tables.iter().flat_map(|table| table()).collect()
}

/// A line of a table.
#[derive(Clone)]
pub(super) struct Line {
    /// `seeds/pool/10`.
    pub(super) name: String,
    /// So many jobs are one operation; the cost is that of one of them.
    pub(super) jobs: u64,
    /// What we shall not exceed.
    pub(super) goal: Goal,
}

/// Where we are not to be slower.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Beside everybody.
    All,
    /// Beside everybody but Go on tokio, whose clock is coarser than Go's.
    NotGoOnTokio,
    /// It is not ours to decide.
    None,
}

impl Line {
    pub(super) fn new(name: impl Into<String>, jobs: u64, goal: Goal) -> Self {
        Self { name: name.into(), jobs, goal }
    }

    /// Ours on three runtimes, each beside a program in Go.
    pub(super) fn beside_go<F>(
        &self,
        ours: impl Fn(Runtime) -> F + Copy + Send + 'static,
        go: impl Fn() -> Vec<String> + Copy + 'static,
    ) -> Vec<Experiment>
    where
        F: Future<Output = ()> + Send,
    {
        vec![
            self.on("smol", self.goal != Goal::None, SmolTwoThreads::new, ours, go),
            self.on("async-std", self.goal != Goal::None, || AsyncStdGlobal, ours, go),
            self.on("tokio", self.goal == Goal::All, TokioMultiThread::new, ours, go),
        ]
    }

    /// Ours on tokio, beside one that is written with what tokio has.
    pub(super) fn beside_tokio<F, G>(
        &self,
        ours: impl Fn(Runtime) -> F + Copy + Send + 'static,
        by_hand: impl Fn() -> G + Copy + Send + 'static,
    ) -> Experiment
    where
        F: Future<Output = ()> + Send,
        G: Future<Output = ()> + Send,
    {
        let jobs = self.jobs;
        let row = self.row("tokio", "tokio", peer_in("tokio", "spawn and mpsc"), self.goal != Goal::None);
        Experiment::new([row], move |effort| {
            let host = TokioMultiThread::new();
            let by_hand = lists(host.clone(), jobs, move |_| by_hand());
            let mut pair = Pair::new(lists(host, jobs, ours), by_hand).waits();
            Ok(pair.take_turns_in_time(effort).to_vec())
        })
    }

    fn on<H: Host, F>(
        &self,
        name: &str,
        has_goal: bool,
        host: fn() -> H,
        ours: impl Fn(Runtime) -> F + Copy + Send + 'static,
        go: impl Fn() -> Vec<String> + 'static,
    ) -> Experiment
    where
        F: Future<Output = ()> + Send,
    {
        let jobs = self.jobs;
        Experiment::new([self.row(name, "go", go::peer(), has_goal)], move |effort| {
            let mut program = Program::start(Module::Plain, &go())?;
            let go = move |lists| [program.run(lists)[0] / jobs as f64];
            let mut pair = Pair::new(lists(host(), jobs, ours), go).waits();
            Ok(pair.take_turns_in_time(effort).to_vec())
        })
    }

    fn row(&self, host: &str, by: &str, peer: String, has_goal: bool) -> Row {
        let row = Row::new(format!("{}/{host}/{by}", self.name), peer);
        if has_goal { row.goal(1.0) } else { row }
    }
}

/// An operation is the whole list; its cost is that of one of its jobs.
fn lists<H: Host, F>(host: H, jobs: u64, list: impl Fn(Runtime) -> F + Copy + Send + 'static) -> Side<1>
where
    F: Future<Output = ()> + Send,
{
    let runtime = host.runtime();
    Box::new(move |lists| {
        let runtime = runtime.clone();
        wall(lists * jobs, || {
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
