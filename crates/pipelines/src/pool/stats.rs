//! [`PoolStats`]: a look at a pool.

use std::fmt;

use weirs_runtime::Instant;

use super::measures::Times;
use super::{JobId, Settled};

/// A look at a pool; made by [`WorkerPool::stats`](crate::WorkerPool::stats). As text it is a small table.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
/// use weirs_pipelines::WorkerPool;
/// use weirs_testing::sim::Sim;
///
/// Sim::new(1).run(|runtime| async move {
///     let work = async |n: u64| Ok::<_, Infallible>(n);
///     let pool = WorkerPool::builder(work).workers(1).measured().build(&runtime).unwrap();
///     pool.submit(1).await.unwrap();
///     pool.close().await;
///     let table = pool.stats().to_string();
///     assert!(table.starts_with("0 wait, 0 in hand, 1 unread, closed\n1 taken, 1 done"));
/// }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// When this was.
    pub at: Instant,
    /// How many jobs wait.
    pub queued: usize,
    /// How many are in the hands of workers.
    pub in_hand: usize,
    /// How many results were not read.
    pub unread: usize,
    /// Whether no more jobs are taken.
    pub closed: bool,
    /// How the others ended.
    pub counts: Settled,
    /// How often a job was tried again.
    pub retried: u64,
    /// How long they waited and took, if it is [measured](crate::WorkerPoolBuilder::measured).
    pub times: Option<Times>,
    /// What each worker does.
    pub workers: Vec<WorkerStats>,
}

impl PoolStats {
    /// How many jobs a second have ended since an earlier look at the same pool. Zero if no time has passed.
    pub fn rate_since(&self, earlier: &Self) -> f64 {
        let seconds = self.at.saturating_since(earlier.at).as_secs_f64();
        let ended = self.counts.ended().saturating_sub(earlier.counts.ended());
        if seconds > 0.0 { ended as f64 / seconds } else { 0.0 }
    }

    /// How many workers there are, and how many of them have a job.
    pub fn busy(&self) -> (usize, usize) {
        let here = self.workers.iter().filter(|worker| !worker.gone);
        here.fold((0, 0), |(all, busy), worker| (all + 1, busy + usize::from(worker.job.is_some())))
    }
}

impl fmt::Display for PoolStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queued, in_hand, unread, counts, .. } = self;
        let closed = if self.closed { ", closed" } else { "" };
        writeln!(f, "{queued} wait, {in_hand} in hand, {unread} unread{closed}")?;
        write!(f, "{counts}")?;
        if self.retried > 0 {
            write!(f, ", {} retries", self.retried)?;
        }
        if let Some(Times { wait, work }) = &self.times {
            write!(f, "\nwait  {wait}\nwork  {work}")?;
        }
        for (number, worker) in self.workers.iter().enumerate() {
            write!(f, "\nworker {number:<4} {worker}")?;
            if let (false, Some(_)) = (worker.gone, worker.job) {
                write!(f, " for {:.1?}", self.at.saturating_since(worker.since))?;
            }
        }
        Ok(())
    }
}

/// What a worker does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The job that it does.
    pub job: Option<JobId>,
    /// Since when it does it, or does nothing; of very short jobs, up to eight are looked at as one.
    pub since: Instant,
    /// How many jobs it has ended.
    pub done: u64,
    /// Whether it is no more.
    pub gone: bool,
    /// Whether a job of it panicked, and the factory could not make it anew.
    pub suspect: bool,
}

impl fmt::Display for WorkerStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8} done, ", self.done)?;
        match self.job {
            _ if self.gone => f.write_str("gone"),
            None => f.write_str("idle"),
            Some(job) => write!(f, "at {job}"),
        }?;
        f.write_str(if self.suspect { ", suspect" } else { "" })
    }
}
