//! Every job of a pool ends exactly once, whatever happens: random scripts against a count of what became of
//! each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{or, yield_now};
use weirs_pipelines::{CallError, Completion, Controller, Intake, JobError, Results, Window, WorkerPool};
use weirs_runtime::{Clock, Runtime};
use weirs_testing::{apply, runtime_test, yields};

/// What a job is told to do; it counts how many jobs are alive.
#[derive(Clone)]
struct Job {
    name: u64,
    does: u64,
    _alive: Alive,
}

struct Alive(Arc<AtomicI64>);

impl Alive {
    fn new(count: &Arc<AtomicI64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Clone for Alive {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Panicked,
    Expired,
    Interrupted,
    HandedBack,
}

/// What somebody heard of the end of a job, by its number; of calls, by less than zero.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<BTreeMap<i64, End>>>);

impl Ends {
    fn put(&self, number: i64, end: End) {
        let before = self.0.lock().unwrap().insert(number, end);
        assert_eq!(before, None, "job {number} ended twice");
    }

    fn read(&self, completion: Completion<Job, u64, u64>) {
        let end = match completion.result {
            Ok(_) => End::Done,
            Err(JobError::Failed(_)) => End::Failed,
            Err(JobError::Panicked(_)) => End::Panicked,
            Err(JobError::Expired(_)) => End::Expired,
            Err(JobError::Interrupted) => End::Interrupted,
            Err(other) => panic!("{other:?}"),
        };
        self.put(completion.id.number() as i64, end);
    }

    fn count(&self, end: End) -> u64 {
        self.0.lock().unwrap().values().filter(|known| **known == end).count() as u64
    }
}

/// Reads until the end, or until it was told to leave. In order, if that is promised.
async fn read(results: Results<Job, u64, u64>, leaves_after: usize, in_order: bool, ends: Ends) {
    let mut results = results;
    let mut last = None;
    for _ in 0..leaves_after {
        let Some(completion) = results.next().await else { return };
        if in_order {
            assert!(last.replace(completion.id) < Some(completion.id));
        }
        ends.read(completion);
    }
}

async fn work(job: Job, clock: Clock) -> Result<u64, u64> {
    for _ in 0..job.does % 3 {
        yield_now().await;
    }
    match job.does % 11 {
        0 => panic!("as told"),
        1 | 2 => Err(job.name),
        3 => {
            clock.sleep(Duration::from_micros(1 + job.does % 50)).await;
            Ok(job.name)
        }
        4 if job.does % 4 == 0 => std::future::pending().await,
        _ => Ok(job.name),
    }
}

/// Workers come and go by chance.
struct AnyNumber(Clock);

impl Controller for AnyNumber {
    fn workers(&mut self, _: &Window) -> usize {
        self.0.random_below(6) as usize
    }

    fn window(&self) -> Duration {
        Duration::from_micros(5)
    }
}

#[apply(runtime_test)]
async fn every_job_ends_exactly_once(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let below = |bound| clock.random_below(bound);
    let alive = Arc::new(AtomicI64::new(0));
    let (ordered, stops, discards) = (below(2) == 0, below(6) == 0, below(8) == 0);
    let pool = {
        let (clock, controls) = (clock.clone(), clock.clone());
        let mut builder = WorkerPool::builder(move |job| work(job, clock.clone()))
            .workers(1 + below(4) as usize)
            .queue(1 + below(6) as usize)
            .unread(below(6) as usize);
        if ordered {
            builder = builder.ordered();
        }
        if stops {
            builder = builder.stop_on_error();
        }
        if discards {
            builder = builder.discard_results();
        }
        if below(3) == 0 {
            builder = builder.by_key(|job: &Job| job.name % 3);
        }
        if below(3) == 0 {
            builder = builder.measured();
        }
        if below(3) == 0 {
            builder = builder.retries(1 + below(2) as u32);
        }
        if below(3) == 0 {
            builder = builder.adaptive(1..=4, AnyNumber(controls));
        }
        builder.build(&runtime).unwrap()
    };
    let ends = Ends::default();
    let readers = below(3);
    let mut others = Vec::new();
    for number in 0..readers {
        let leaves_after = if number == 0 && below(3) > 0 { usize::MAX } else { below(12) as usize };
        let in_order = ordered && readers == 1;
        others.push(runtime.spawn(read(pool.results(), leaves_after, in_order, ends.clone())));
    }
    // The numbers of the jobs that were submitted, and not called.
    let mut submitted = BTreeSet::new();
    let mut guessed = 0;
    for name in 0..10 + below(40) {
        let job = Job { name, does: below(1000), _alive: Alive::new(&alive) };
        match below(10) {
            0 => match pool.try_submit(job) {
                Ok(id) => assert!(submitted.insert(id.number())),
                Err(error) => assert_eq!(error.into_inner().name, name),
            },
            1 => {
                let patience = if below(3) == 0 { below(6) } else { u64::MAX };
                others.push(runtime.spawn(call(pool.intake(), job, patience, ends.clone())));
            }
            2 => {
                let more = (0..below(9)).map(|_| Job { name, does: below(1000), _alive: Alive::new(&alive) });
                let before = pool.stats().counts.taken;
                let mut many = pool.submit_many(more.collect::<Vec<_>>());
                or(async { _ = (&mut many).await }, yields(4)).await;
                // Which numbers they have is not told; calls may be among them.
                let (number, after) = (many.submitted(), pool.stats().counts.taken);
                assert!(number <= after - before);
                drop(many);
                guessed += number;
            }
            _ => {
                let deadline = clock.now() + Duration::from_micros(below(100));
                let submit = pool.submit(job);
                let submit = if below(4) == 0 { submit.by(deadline) } else { submit };
                let patience = if below(4) == 0 { below(5) } else { 10 };
                let tires = async {
                    yields(patience as usize).await;
                    None
                };
                if let Some(Ok(id)) = or(async { Some(submit.await) }, tires).await {
                    assert!(submitted.insert(id.number()));
                }
            }
        }
        if below(60) == 0 {
            drop(pool.close());
        }
        if below(20) == 0 {
            drop(pool.results());
        }
    }
    let limit = Duration::from_micros(below(60));
    let report = match below(4) {
        0 => {
            // Dropped: nobody hears of what was not begun.
            let intake = pool.intake();
            drop(pool);
            assert!(intake.is_closed());
            None
        }
        1 => Some(pool.abort().await),
        _ => Some(pool.shutdown(limit).await),
    };
    for task in others {
        task.await.unwrap();
    }
    let dropped = report.is_none();
    if let Some(report) = report {
        for (id, _) in &report.handed_back {
            ends.put(id.number() as i64, End::HandedBack);
        }
        for completion in report.unread {
            ends.read(completion);
        }
        let counts = &report.settled;
        assert_eq!(counts.ended(), counts.taken, "{counts:?}");
        for (counted, end) in [
            (counts.done, End::Done),
            (counts.failed, End::Failed),
            (counts.panicked, End::Panicked),
            (counts.expired, End::Expired),
            (counts.interrupted, End::Interrupted),
            (counts.handed_back, End::HandedBack),
        ] {
            assert!(ends.count(end) <= counted, "{end:?} {counts:?}");
        }
        // Everything that was submitted was heard of, or discarded and counted.
        let ends = ends.0.lock().unwrap();
        let heard = ends.keys().filter(|number| **number >= 0).count() as u64;
        assert_eq!(heard + counts.discarded, submitted.len() as u64 + guessed, "{counts:?}");
    }
    // A shutdown has waited for the workers. A drop can only cancel them: one in the middle of a poll on
    // another thread lets go of its job at the end of that.
    while dropped && alive.load(Ordering::Relaxed) > 0 {
        yield_now().await;
    }
    assert_eq!(alive.load(Ordering::Relaxed), 0, "no job is left behind");
}

/// Calls, and gives up when out of patience.
async fn call(intake: Intake<Job, u64, u64>, job: Job, patience: u64, ends: Ends) {
    let name = job.name;
    let call = async {
        match intake.call(job).await {
            Ok(value) => {
                assert_eq!(value, name);
                Some(End::Done)
            }
            Err(CallError::Failed(_)) => Some(End::Failed),
            Err(CallError::Panicked(_)) => Some(End::Panicked),
            Err(CallError::Interrupted) => Some(End::Interrupted),
            Err(CallError::Closed(job)) => {
                assert_eq!(job.name, name);
                None
            }
            Err(other) => panic!("{other:?}"),
        }
    };
    let tires = async {
        for _ in 0..patience {
            yields(1).await;
        }
        None
    };
    let end = if patience == u64::MAX { call.await } else { or(call, tires).await };
    if let Some(end) = end {
        ends.put(-1 - name as i64, end);
    }
}
