//! What becomes of queued jobs when their worker crashes again and again?
//!
//! An actor works off forty jobs. It panics in the middle of some, before or after the job's entry is in the
//! ledger; job 13 kills it every time; and for some seconds its disk is gone, so that it cannot even start.
//! Its supervisor restarts it, with pauses. What waits in the queue stays there. Who asked for the job that was
//! being done hears of the crash at once, and asks again; the ledger knows what it has. In simulated time; then
//! the same for two hundred other seeds.
#![allow(clippy::print_stdout, reason = "a program that shows something")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::join_all;
use weirs_actors::actor::{Actor, Addr, AskError, Context, Mailbox, Reply};
use weirs_actors::supervise::{Spec, Supervisor, What};
use weirs_resilience::Backoff;
use weirs_runtime::{Clock, Instant, Runtime};
use weirs_testing::sim::Sim;

const JOBS: u32 = 40;
const POISON: u32 = 13;
/// How often a job is asked for.
const ATTEMPTS: u32 = 4;

fn main() {
    // Every crash would tell its story on standard error.
    std::panic::set_hook(Box::new(|_| {}));
    let story = |seed| Sim::new(seed).run(work).expect("it ends").output;
    print!("{}", story(1).text);
    let (mut lives, mut given_up) = (0, 0);
    for seed in 2..=201 {
        let end = story(seed);
        lives += end.lives;
        given_up += end.given_up.len();
        assert!(end.given_up.contains(&POISON), "seed {seed}");
    }
    println!("200 other seeds: {lives} lives, {given_up} jobs given up, none lost, none done twice");
}

/// What came of it.
struct End {
    text: String,
    lives: u64,
    given_up: Vec<u32>,
}

async fn work(runtime: Runtime) -> End {
    let clock = runtime.clock().clone();
    let ledger = Arc::new(Ledger::default());
    let outage = clock.now() + Duration::from_secs(3);
    let (worker, spec) = Spec::actor_with("worker", Mailbox::bounded(8), {
        let ledger = Arc::clone(&ledger);
        move || Worker { ledger: Arc::clone(&ledger), outage }
    });
    let told = Arc::new(Mutex::new(BTreeMap::new()));
    let heard = Arc::clone(&told);
    let pauses = Backoff::exponential(Duration::from_millis(100)).cap(Duration::from_secs(2));
    let tree = Supervisor::one_for_one()
        .name("queue")
        .intensity(100, Duration::from_secs(60))
        .observe(move |event| {
            let what = match event.what {
                What::Ended(exit) if exit.is_abnormal() => exit.to_string(),
                What::DeadLetters { count, reason, .. } => {
                    assert_eq!(count, 1);
                    format!("message: {reason}")
                }
                _ => return,
            };
            *lock(&heard).entry(what).or_insert(0) += 1;
        })
        .child(spec.backoff(pauses))
        .start(&runtime)
        .await
        .expect("the first start is before the outage");

    let asks = (1..=JOBS).map(|job| ask(&worker, job));
    let ends: Vec<Result<u32, u32>> = join_all(asks).await;
    let took = clock.now().saturating_since(outage) + Duration::from_secs(3);
    let lives = tree.snapshot().child("worker").expect("it is permanent").incarnation;
    let report = tree.shutdown().await;
    assert!(report.is_clean(), "{report}");

    let given_up: Vec<u32> =
        (1..=JOBS).zip(&ends).filter(|(_, end)| end.is_err()).map(|(job, _)| job).collect();
    let crashes: u32 = ends.iter().map(|end| end.map_or_else(|asked| asked, |asked| asked - 1)).sum();
    let entries = lock(&ledger.0).clone();
    for (job, end) in (1..=JOBS).zip(&ends) {
        let times = entries.iter().filter(|&&entry| entry == job).count();
        assert!(times == 1 || (times == 0 && end.is_err()), "job {job} was done {times} times");
    }
    let told = lock(&told);
    assert_eq!(told["message: the actor crashed over it"], crashes, "each crash was told to who had asked");

    let mut text = String::new();
    for (what, times) in &*told {
        writeln!(text, "{times:3} times {what}").expect("text");
    }
    let again = ends.iter().filter(|end| end.is_ok_and(|asked| asked > 1)).count();
    writeln!(text, "{} jobs are in the ledger, {again} of them were asked for again", entries.len())
        .expect("text");
    writeln!(text, "given up, and told so: {given_up:?}").expect("text");
    writeln!(text, "the worker had {lives} lives in {} seconds", took.as_secs()).expect("text");
    End { text, lives, given_up }
}

/// Asks until the job is done, and gives how often that was; an error if it was too often.
async fn ask(worker: &Addr<Job>, job: u32) -> Result<u32, u32> {
    for attempt in 1..=ATTEMPTS {
        match worker.ask(|reply| Job { job, reply }).await {
            Ok(()) => return Ok(attempt),
            // It may be done, or not: only asking again tells.
            Err(AskError::Crashed(_)) => {}
            Err(other) => unreachable!("the supervisor goes on: {other}"),
        }
    }
    Err(ATTEMPTS)
}

struct Job {
    job: u32,
    reply: Reply<()>,
}

struct Worker {
    ledger: Arc<Ledger>,
    outage: Instant,
}

impl Actor for Worker {
    type Message = Job;
    type Error = &'static str;

    async fn started(&mut self, context: &mut Context<Self>) -> Result<(), &'static str> {
        let now = context.runtime().clock().now();
        let outage = self.outage..self.outage + Duration::from_secs(4);
        if outage.contains(&now) { Err("the disk is gone") } else { Ok(()) }
    }

    async fn handle(
        &mut self,
        Job { job, reply }: Job,
        context: &mut Context<Self>,
    ) -> Result<(), &'static str> {
        let clock = context.runtime().clock();
        clock.sleep(Duration::from_millis(100)).await;
        if clock.now() >= self.outage && self.started(context).await.is_err() {
            return Err("the disk went away");
        }
        let clock = context.runtime().clock();
        assert!(!unlucky(clock) && job != POISON, "before it is written");
        if !self.ledger.has(job) {
            clock.sleep(Duration::from_millis(50)).await;
            lock(&self.ledger.0).push(job);
        }
        assert!(!unlucky(clock), "after it is written");
        reply.send(());
        Ok(())
    }
}

/// Once in ten times.
fn unlucky(clock: &Clock) -> bool {
    clock.random_below(10) == 0
}

/// Which jobs are done. It outlives the worker, as a database would.
#[derive(Default)]
struct Ledger(Mutex<Vec<u32>>);

impl Ledger {
    fn has(&self, job: u32) -> bool {
        lock(&self.0).contains(&job)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}
