//! Stages whose work goes through a stack: what it took, what is refused, and who waits.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{future::yield_now, stream};
use weirs_limiters::Semaphore;
use weirs_pipelines::{Cause, DeadLetterRing, Left, Pipeline, PipelineEvent, Reason};
use weirs_resilience::{Attempt, Breaker, Error, Reason as Refusal, Retry, Stack};
use weirs_runtime::{Instant, Runtime};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ring<E>() -> DeadLetterRing<u64, Error<E>> {
    DeadLetterRing::new(NonZeroUsize::new(1000).unwrap())
}

#[apply(runtime_test)]
async fn what_a_stack_gives_counts_and_letters_tell_the_attempts(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let retry = Retry::immediate().retries(2).when(|error: &&str| *error == "busy");
    let stack = Stack::builder().clock(runtime.clock()).retry(retry).build().unwrap();
    let work = async |n: u64, at: Attempt| {
        yields(n as usize % 3).await;
        match n % 5 {
            1 if at.number() < 3 => Err("busy"),
            2 => Err("busy"),
            3 => Err("wrong"),
            4 if at.number() == 1 => Err("busy"),
            4 => panic!("four"),
            _ => Ok(n),
        }
    };
    for workers in [1, 4] {
        let letters = ring();
        let plan = Pipeline::source(stream::iter(0..20_u64))
            .stage_through("call", workers, stack.clone(), work)
            .dead_letters(letters.clone())
            .collect();
        let summary = plan.run(&runtime).unwrap().await.unwrap();
        assert_eq!(summary.output, (0..20).filter(|n| n % 5 < 2).collect::<Vec<_>>());
        let stats = summary.stats.stage("call").unwrap();
        // Two each for those that are done at the third, and for those that never are; one before a panic.
        assert_eq!((stats.given, stats.failed, stats.retried), (8, 12, 4 * (2 + 2 + 1)));
        for letter in letters.take() {
            let (reason, attempts, error) = match letter.job % 5 {
                2 => (Reason::Exhausted, 3, Some(Error::Inner("busy"))),
                3 => (Reason::Permanent, 1, Some(Error::Inner("wrong"))),
                _ => (Reason::Panicked, 2, None),
            };
            assert_eq!((letter.reason, letter.attempts, letter.error), (reason, attempts, error));
            assert_eq!(letter.panic.is_some(), letter.reason == Reason::Panicked);
        }
    }
    watched.idle().await;
}

#[apply(runtime_test)]
async fn the_first_failure_stops_with_the_error_of_the_stack(runtime: Runtime) {
    let stack = Stack::builder().retry(Retry::immediate().retries(1)).build().unwrap();
    let work = async |n: u64, _: Attempt| if n == 2 { Err("two") } else { Ok(n) };
    let plan =
        Pipeline::source(stream::iter(0..9_u64)).stage_through("call", 1, stack, work).keep().collect();
    let mut error = plan.run(&runtime).unwrap().await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.output), ("call: two", Some(vec![0, 1])));
    assert_eq!(error.unprocessed.take::<u64>("call", Left::Failed), [2]);

    // What a policy has to say, too.
    let closed = Semaphore::new(1);
    closed.close();
    let stack = Stack::builder().limit(Arc::new(closed)).build().unwrap();
    let work = async |n: u64, _: Attempt| Ok::<_, &str>(n);
    let source = Pipeline::source(stream::iter(0..9_u64));
    let plan = source.stage_through("call", 1, stack, work).wait_when_refused().collect();
    let error = plan.run(&runtime).unwrap().await.unwrap_err();
    assert_eq!(error.to_string(), "call: what admits was closed");
    assert!(matches!(error.cause, Cause::Failed(_)));
}

#[apply(sim_test)]
async fn a_timeout_cuts_the_call_short_and_is_an_attempt(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let stack = Stack::builder()
        .clock(&clock)
        .retry(Retry::constant(ms(5)).retries(1).jitter(weirs_resilience::Jitter::None))
        .timeout(ms(10))
        .build()
        .unwrap();
    let sleeper = clock.clone();
    let work = move |n: u64, _: Attempt| {
        let sleep = sleeper.sleep(ms(n));
        async move {
            sleep.await;
            Ok::<_, &str>(n)
        }
    };
    let letters = ring();
    let plan = Pipeline::source(stream::iter([3_u64, 30]))
        .stage_through("call", 1, stack, work)
        .dead_letters(letters.clone())
        .collect()
        .measured();
    let start = clock.now();
    let summary = plan.run(&runtime).unwrap().await.unwrap();
    assert_eq!((summary.output, clock.now() - start), (vec![3], ms(3 + 10 + 5 + 10)));
    let letter = letters.take().remove(0);
    assert!(letter.error.unwrap().is_timeout());
    assert_eq!((letter.attempts, letter.first_at, letter.last_at), (2, start + ms(3), start + ms(28)));
    assert_eq!(summary.stats.stage("call").unwrap().times.unwrap().work.count, 2);
}

/// A server that is ill for a second, behind a breaker.
async fn through_an_outage(
    runtime: &Runtime,
    waits: bool,
    workers: usize,
) -> (usize, Vec<Reason>, u32, Duration) {
    let clock = runtime.clock().clone();
    let start = clock.now();
    let breaker = Breaker::consecutive(3).open_for(ms(200)).clock(&clock).build().unwrap();
    let stack = Stack::builder().clock(&clock).breaker(&breaker).build().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let (count, timer) = (Arc::clone(&calls), clock.clone());
    let work = move |n: u64, _: Attempt| {
        count.fetch_add(1, Ordering::Relaxed);
        let (ill, answer) = (timer.now() < start + ms(1000), timer.sleep(ms(1)));
        async move {
            answer.await;
            if ill { Err("ill") } else { Ok(n) }
        }
    };
    let letters = ring();
    let stage = Pipeline::source(stream::iter(0..100_u64)).stage_through("call", workers, stack, work);
    let stage = if waits { stage.wait_when_refused() } else { stage };
    let plan = stage.dead_letters(letters.clone()).collect();
    let summary = plan.run(runtime).unwrap().await.unwrap();
    let letters = letters.take();
    for letter in &letters {
        let refused = letter.error.as_ref().unwrap().rejected();
        assert_eq!(refused.is_some_and(Refusal::is_circuit), letter.reason == Reason::Refused);
        assert_eq!(letter.attempts, u32::from(refused.is_none()));
    }
    let reasons = letters.into_iter().map(|letter| letter.reason).collect();
    (summary.output.len(), reasons, calls.load(Ordering::Relaxed), clock.now() - start)
}

#[apply(sim_test)]
async fn an_open_circuit_burns_jobs_or_makes_them_wait_as_is_said(runtime: Runtime) {
    for workers in [1, 5] {
        let (done, letters, calls, _) = through_an_outage(&runtime, false, workers).await;
        // All are refused before the server is well.
        assert_eq!((done, letters.len()), (0, 100));
        assert!(letters.iter().filter(|reason| **reason == Reason::Refused).count() >= 90, "{letters:?}");
        assert!(calls <= 10, "{calls}");

        let (done, letters, calls, time) = through_an_outage(&runtime, true, workers).await;
        // Given up are those that were called: the first ones, and a probe each time that the circuit is
        // half open.
        assert_eq!(done + letters.len(), 100);
        assert!(letters.iter().all(|reason| *reason == Reason::Exhausted), "{letters:?}");
        assert!((4..=13).contains(&letters.len()), "{letters:?}");
        assert_eq!(calls, 100);
        assert!((ms(1000)..ms(4000)).contains(&time), "{time:?}");
    }
}

#[apply(sim_test)]
async fn who_waits_is_late_in_the_end_and_the_stack_knows_the_deadline(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let start = clock.now();
    let full = Arc::new(Semaphore::builder(1).max_waiters(0).clock(clock.clone()).build());
    let _held = full.try_acquire(1).unwrap();
    let stack = Stack::builder().clock(&clock).limit(Arc::clone(&full)).build().unwrap();
    let letters = ring();
    let told = Arc::new(AtomicU64::new(0));
    let tell = Arc::clone(&told);
    let plan = Pipeline::source(stream::iter(0..2_u64))
        .stage_through("call", 2, stack, async |n: u64, _: Attempt| Ok::<_, &str>(n))
        .wait_when_refused()
        .expires(move |n| start + ms(100 * (n + 1)))
        .dead_letters(letters.clone())
        .collect()
        .on_event(move |event| {
            tell.fetch_add(u64::from(matches!(event, PipelineEvent::Expired { .. })), Ordering::Relaxed);
        });
    let stats = plan.run(&runtime).unwrap().await.unwrap().stats;
    assert_eq!((stats.stage("call").unwrap().expired, told.load(Ordering::Relaxed)), (2, 2));
    assert!(letters.take().iter().all(|letter| (letter.reason, letter.attempts) == (Reason::Expired, 0)));
    assert!(clock.now() < start + ms(200));

    // The work is told how much time it has.
    let stack = Stack::builder().clock(&clock).build().unwrap();
    let deadline = clock.now() + ms(70);
    let plan = Pipeline::source(stream::iter(0..1_u64))
        .stage_through("call", 1, stack, async |_: u64, at: Attempt| at.remaining().ok_or("none"))
        .expires(move |_| deadline)
        .collect();
    assert_eq!(plan.run(&runtime).unwrap().await.unwrap().output, [ms(70)]);
}

/// Told of when it is cloned for an attempt, and when it is gone.
#[derive(Clone, Debug)]
struct Job {
    number: u64,
    _alive: Arc<()>,
}

#[apply(sim_test)]
async fn no_job_is_lost_through_a_stack(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let clock = runtime.clock().clone();
    let chance = |of: u64| clock.random_below(of);
    let breaker = Breaker::consecutive(2).open_for(ms(20)).clock(&clock).build().unwrap();
    let stack = Stack::builder()
        .clock(&clock)
        .retry(Retry::exponential(ms(1)).retries(1 + chance(3) as u32))
        .breaker(&breaker)
        .timeout(ms(8))
        .build()
        .unwrap();
    let fates: Vec<u64> = (0..chance(50)).map(|_| chance(12)).collect();
    let number = fates.len() as u64;
    let sleeper = clock.clone();
    let work = move |job: Job, at: Attempt| {
        let fate = fates[job.number as usize];
        let sleep = sleeper.sleep(ms(fate));
        async move {
            sleep.await;
            match fate {
                0 => Err("always"),
                1 if at.number() == 1 => Err("at first"),
                2 => panic!("two"),
                _ => Ok(job),
            }
        }
    };
    let alive = Arc::new(());
    let job_alive = Arc::clone(&alive);
    let source = stream::iter((0..number).map(move |number| Job { number, _alive: Arc::clone(&job_alive) }));
    let letters = DeadLetterRing::new(NonZeroUsize::new(100).unwrap());
    let stage = Pipeline::source(source).stage_through("call", 1 + chance(4) as usize, stack, work);
    let stage = if chance(2) == 0 { stage.wait_when_refused() } else { stage };
    let stage = if chance(2) == 0 { stage.unordered() } else { stage };
    let start = clock.now();
    let late: Vec<Instant> = (0..number).map(|_| start + ms(chance(300))).collect();
    let stage = if chance(2) == 0 { stage.expires(move |job| late[job.number as usize]) } else { stage };
    let plan = stage.dead_letters(letters.clone()).collect().clock(&clock);
    let (time, on_runtime) = (clock.sleep(ms(chance(400))), chance(2) == 0);
    let abort = async |handle: weirs_pipelines::PipelineHandle| {
        time.await;
        handle.abort();
    };
    let mut summary = if on_runtime {
        let running = plan.run(&watching).unwrap();
        futures::join!(abort(running.handle()), running).1.unwrap()
    } else {
        let drive = plan.drive().unwrap();
        futures::join!(abort(drive.handle()), drive).1.unwrap()
    };
    let mut ends: BTreeMap<u64, u32> = BTreeMap::new();
    let mut told = |jobs: Vec<Job>| jobs.iter().for_each(|job| *ends.entry(job.number).or_default() += 1);
    told(summary.output);
    told(letters.take().into_iter().map(|letter| letter.job).collect());
    for stage in ["call", "sink"] {
        for left in [Left::Waiting, Left::Interrupted, Left::Failed, Left::Finished] {
            told(summary.unprocessed.take(stage, left));
        }
    }
    let stats = summary.stats.stage("call").unwrap();
    assert!(ends.values().all(|times| *times == 1), "{ends:?}");
    assert_eq!((ends.len() as u64, stats.in_flight), (stats.taken, 0), "{}", summary.stats);
    assert_eq!(Arc::strong_count(&alive), 1, "a job is still somewhere");
    watched.idle().await;
}

#[apply(sim_test)]
async fn dropped_at_any_point_the_stack_has_all_back(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let places = Arc::new(Semaphore::new(2));
    let stack = Stack::builder()
        .clock(runtime.clock())
        .retry(Retry::immediate().retries(2))
        .limit(Arc::clone(&places))
        .build()
        .unwrap();
    let stack = Arc::new(stack);
    let begun = Arc::new(Mutex::new(0));
    let plan = || {
        let begun = Arc::clone(&begun);
        let work = move |n: u64, at: Attempt| {
            *begun.lock().unwrap() += 1;
            async move {
                yield_now().await;
                if at.number() == 1 { Err("at first") } else { Ok(n) }
            }
        };
        let source = Pipeline::source(stream::iter(0..4_u64));
        let stage = source.stage_through("call", 3, Arc::clone(&stack), work).wait_when_refused();
        stage.collect().clock(runtime.clock())
    };
    let check = async |_| {
        watched.idle().await;
        assert_eq!(places.available(), 2);
    };
    cancel_at_every_poll(|| async { drop(plan().run(&watching).unwrap().await.unwrap()) }, check).await;
    cancel_at_every_poll(|| async { drop(plan().drive().unwrap().await.unwrap()) }, check).await;
    assert!(*begun.lock().unwrap() > 8);
}
