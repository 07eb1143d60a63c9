//! What becomes of jobs that fail: rules, retries, dead letters and the way back; and that no job is lost.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::sink::Sink;
use futures_lite::{StreamExt, future::yield_now, stream};
use proptest::prelude::*;
use weirs_pipelines::{
    Cause, DeadLetter, DeadLetterRing, Left, ParMap, Pipeline, PipelineEvent, Reason, Retry,
};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

async fn no_sevens(n: u64) -> Result<u64, String> {
    yield_now().await;
    if n % 7 == 6 { Err(format!("{n} is not wanted")) } else { Ok(n) }
}

#[apply(runtime_test)]
async fn the_first_failure_stops_and_what_came_before_comes_through(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    for workers in [1, 3] {
        let plan =
            Pipeline::source(stream::iter(0..)).stage("check", workers, no_sevens).keep().buffer(2).collect();
        let mut error = plan.run(&runtime).unwrap().await.unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.output),
            ("check: 6 is not wanted", Some((0..6).collect()))
        );
        assert_eq!(error.unprocessed.take::<u64>("check", Left::Failed), [6]);
        // What had been taken besides is there.
        let stats = error.stats.stage("check").unwrap();
        assert_eq!(stats.taken, stats.given + stats.failed + stats.interrupted + stats.handed_back);
        assert_eq!(stats.in_flight, 0);
        watched.idle().await;
    }
}

#[apply(runtime_test)]
async fn skipped_failures_are_counted(runtime: Runtime) {
    for workers in [1, 3] {
        let plan = Pipeline::source(stream::iter(0..70))
            .stage("check", workers, no_sevens)
            .skip_failures()
            .collect();
        let summary = plan.run(&runtime).unwrap().await.unwrap();
        assert_eq!(summary.output, (0..70).filter(|n| n % 7 != 6).collect::<Vec<_>>());
        let stats = summary.stats.stage("check").unwrap();
        assert_eq!((stats.taken, stats.given, stats.failed, stats.skipped), (70, 60, 10, 10));
    }
}

#[apply(sim_test)]
async fn retries_wait_and_are_told(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let attempts = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&attempts);
    let third_time = move |n: u64| {
        let attempt = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move { if attempt < 3 { Err("not yet") } else { Ok(n) } }
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let plan = Pipeline::source(stream::iter([1_u64]))
        .stage("work", 1, third_time)
        .retry(Retry::times(5).after(ms(10)).doubling_to(ms(1000)))
        .collect()
        .on_event(move |event| {
            if let PipelineEvent::Retried { attempts, after, .. } = event {
                tell.lock().unwrap().push((*attempts, *after));
            }
        });
    let start = clock.now();
    let summary = plan.run(&runtime).unwrap().await.unwrap();
    assert_eq!((summary.output, clock.now() - start), (vec![1], ms(30)));
    assert_eq!(summary.stats.stage("work").unwrap().retried, 2);
    assert_eq!(*told.lock().unwrap(), [(1, ms(10)), (2, ms(20))]);
}

#[apply(sim_test)]
async fn dead_letters_say_why(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let sleep = clock.clone();
    let work = move |n: u64| {
        let sleep = sleep.sleep(ms(10));
        async move {
            sleep.await;
            match n {
                0 => Ok(n),
                1 => Err("busy"),
                2 => Err("wrong"),
                _ => panic!("three"),
            }
        }
    };
    let ring = DeadLetterRing::new(some(8));
    let start = clock.now();
    let plan = Pipeline::source(stream::iter(0..4))
        .stage("work", 1, work)
        .retry(Retry::times(2).after(ms(5)))
        .retry_if(|error| *error == "busy")
        .dead_letters(ring.clone())
        .collect();
    let summary = plan.run(&runtime).unwrap().await.unwrap();
    assert_eq!(summary.output, [0]);
    let stats = summary.stats.stage("work").unwrap();
    assert_eq!((stats.failed, stats.dead_lettered, stats.retried), (3, 3, 2));
    let seen: Vec<_> = ring
        .take()
        .into_iter()
        .map(|letter| {
            let took = (letter.first_at - start, letter.last_at - start);
            (
                letter.job,
                letter.error,
                letter.panic.map(|panic| panic.message().to_owned()),
                letter.attempts,
                took,
                letter.reason,
            )
        })
        .collect();
    let expected = [
        (1, Some("busy"), None, 3, (ms(10), ms(50)), Reason::Exhausted),
        (2, Some("wrong"), None, 1, (ms(50), ms(60)), Reason::Permanent),
        (3, None, Some("three".to_owned()), 1, (ms(60), ms(70)), Reason::Panicked),
    ];
    assert_eq!(seen, expected);
}

#[apply(runtime_test)]
async fn redriven_jobs_go_through_their_stage_again_as_often_as_the_cap_allows(runtime: Runtime) {
    let ring = DeadLetterRing::new(some(8)).redrive_cap(2);
    let outage = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&outage);
    let work = move |n: u64| {
        let outage = Arc::clone(&seen);
        async move { if n == 9 || n % 2 == 0 && outage.load(Ordering::Relaxed) { Err("no") } else { Ok(n) } }
    };
    // A source that is silent for ever: the jobs come back while the stage waits for it.
    let source = stream::iter([2, 3, 9]).chain(stream::pending());
    let running = Pipeline::source(source)
        .stage("work", 2, work)
        .dead_letters_in(&ring)
        .collect()
        .run(&runtime)
        .unwrap();
    for round in 0..4 {
        while ring.len() < if round == 0 { 2 } else { 1 } || ring.stats().returning > 0 {
            yield_now().await;
        }
        outage.store(false, Ordering::Relaxed);
        let sent = ring.redrive(|_| true);
        assert_eq!(sent, [2, 1, 0, 0][round], "{round}");
        while running.stats().stage("work").unwrap().in_flight > 0 {
            yield_now().await;
        }
    }
    running.stop();
    let mut output = running.await.unwrap().output;
    output.sort_unstable();
    assert_eq!(output, [2, 3]);
    let letter = &ring.take()[0];
    assert_eq!((letter.job, letter.redrives), (9, 2));
}

#[test]
fn no_more_jobs_are_on_their_way_back_than_the_ring_has_places() {
    let ring = DeadLetterRing::new(some(2));
    let at = weirs_runtime::Clock::default().now();
    let put = |job: u64| {
        let mut place = ring.clone();
        let Ok(()) = Pin::new(&mut place).start_send(DeadLetter::<_, &str>::new(job, Reason::Shed, at));
    };
    let jobs =
        |ring: &DeadLetterRing<u64, &str>| ring.take().iter().map(|letter| letter.job).collect::<Vec<_>>();
    [1, 2].into_iter().for_each(put);
    // What panics on the way keeps no place.
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ring.redrive(|_| panic!("asked"))));
    assert!(panicked.is_err() && ring.len() == 2);
    // Nor has another one room who comes in the middle, though nothing is on its way yet.
    let sent = ring.redrive(|letter| {
        if letter.job == 1 {
            put(3);
            assert_eq!(ring.redrive(|_| true), 0);
        }
        letter.job == 1
    });
    assert_eq!((sent, ring.stats().returning), (1, 1));
    put(4);
    assert_eq!((ring.redrive(|_| true), ring.redrive(|_| panic!("there is no room"))), (1, 0));
    put(5);
    assert_eq!((ring.stats().returning, ring.redrive(|_| true), ring.len()), (2, 0, 2));
    // A stage takes them, and there is room again.
    let pass = async |n: u64| Ok::<_, &str>(n);
    let plan = Pipeline::source(stream::empty()).stage("pass", 1, pass).dead_letters_in(&ring).collect();
    assert_eq!(block_on(plan.drive().unwrap()).unwrap().output, [1, 3]);
    assert_eq!((ring.redrive(|letter| letter.job == 5), jobs(&ring)), (1, vec![4]));
}

/// A place that fails some times, and says when it was asked.
struct Shaky {
    fails: u32,
    got: Arc<Mutex<Vec<u64>>>,
}

impl Sink<DeadLetter<u64, String>> for Shaky {
    type Error = std::io::Error;
    fn poll_ready(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.fails = self.fails.wrapping_sub(1);
        Poll::Ready(if self.fails < 100 { Err(std::io::Error::other("disk full")) } else { Ok(()) })
    }
    fn start_send(self: Pin<&mut Self>, letter: DeadLetter<u64, String>) -> std::io::Result<()> {
        if letter.job == 20 {
            return Err(std::io::Error::other("broken"));
        }
        self.got.lock().unwrap().push(letter.job);
        Ok(())
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[apply(sim_test)]
async fn a_place_that_fails_is_waited_for_and_one_that_loses_a_letter_stops_all(runtime: Runtime) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::new(AtomicU32::new(0));
    let tell = Arc::clone(&told);
    let plan = Pipeline::source(stream::iter(0..30))
        .stage("work", 1, no_sevens)
        .dead_letters(Shaky { fails: 3, got: Arc::clone(&got) })
        .collect()
        .on_event(move |event| {
            if let PipelineEvent::PlaceFailed { error, .. } = event {
                assert_eq!(error.to_string(), "disk full");
                tell.fetch_add(1, Ordering::Relaxed);
            }
        });
    let start = runtime.clock().now();
    let error = plan.run(&runtime).unwrap().await.unwrap_err();
    assert_eq!(runtime.clock().now() - start, ms(100 + 200 + 400));
    assert_eq!((error.stage, told.load(Ordering::Relaxed)), ("work", 3));
    assert!(matches!(error.cause, Cause::DeadLetters(_)));
    assert_eq!(*got.lock().unwrap(), [6, 13]);
    assert_eq!(error.stats.stage("work").unwrap().place_failures, 3);
}

#[apply(runtime_test)]
async fn a_full_ring_makes_room_or_makes_the_stage_wait(runtime: Runtime) {
    let fails = async |n: u64| if true { Err::<u64, _>(n.to_string()) } else { Ok(n) };
    let ring = DeadLetterRing::new(some(3));
    let plan = |ring: &DeadLetterRing<u64, String>| {
        Pipeline::source(stream::iter(0..10)).stage("work", 1, fails).dead_letters_in(ring).collect()
    };
    plan(&ring).drive().unwrap().await.unwrap();
    let jobs = |ring: &DeadLetterRing<u64, String>| -> Vec<u64> {
        ring.take().into_iter().map(|letter| letter.job).collect()
    };
    assert_eq!((ring.stats().evicted, jobs(&ring)), (7, vec![7, 8, 9]));

    let ring = DeadLetterRing::new(some(3)).wait_when_full();
    let running = plan(&ring).run(&runtime).unwrap();
    let mut all = Vec::new();
    while all.len() < 10 {
        all.extend(jobs(&ring));
        yield_now().await;
    }
    running.await.unwrap();
    assert_eq!((all, ring.stats().evicted), ((0..10).collect(), 0));
}

#[apply(runtime_test)]
async fn par_map_in_order_and_not_and_by_key(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let work = async |n: u64| {
        for _ in 0..(n * 5) % 7 {
            yield_now().await;
        }
        assert!(n != 13, "unlucky");
        n * 2
    };
    let numbers = || stream::iter(0..40_u64);
    for workers in [1, 4] {
        let all: Vec<_> = numbers().par_map(some(workers), work, &runtime).collect().await;
        for (n, result) in all.into_iter().enumerate() {
            match result {
                Ok(doubled) => assert_eq!(doubled, 2 * n as u64),
                Err(panic) => assert_eq!((n, panic.message()), (13, "unlucky")),
            }
        }
    }
    let mut all: Vec<_> =
        numbers().par_map_unordered(some(3), work, &runtime).filter_map(Result::ok).collect().await;
    all.sort_unstable();
    assert_eq!(all, (0..40).filter(|n| *n != 13).map(|n| n * 2).collect::<Vec<_>>());
    let by_key: Vec<_> =
        numbers().par_map_by_key(some(3), |n| n % 4, work, &runtime).filter_map(Result::ok).collect().await;
    for key in 0..4 {
        assert!(by_key.iter().filter(|n| *n / 2 % 4 == key).is_sorted());
    }
    // A consumer that stops.
    let mut some_of_all = stream::iter(0_u64..).par_map(some(2), work, &runtime);
    assert_eq!(some_of_all.next().await.unwrap().unwrap(), 0);
    drop(some_of_all);
    watched.idle().await;
}

#[apply(sim_test)]
async fn par_map_works_on_while_the_consumer_is_busy(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let sleep = clock.clone();
    let mut results = stream::iter(0..6).par_map(
        some(2),
        move |n| {
            let sleep = sleep.sleep(ms(10));
            async move {
                sleep.await;
                n
            }
        },
        &runtime,
    );
    assert_eq!(results.next().await.unwrap().unwrap(), 0);
    clock.sleep(ms(100)).await;
    let start = clock.now();
    for expected in 1..6 {
        assert_eq!(results.next().await.unwrap().unwrap(), expected);
    }
    // All were ready.
    assert_eq!(clock.now(), start);
}

/// What a job does in a random script.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Done,
    Fails,
    Panics,
}

/// A job whose life is watched: each is told of exactly once.
#[derive(Clone, Debug)]
struct Job {
    number: u64,
    fate: Fate,
    waits: u64,
}

async fn do_job(job: Job) -> Result<Job, &'static str> {
    for _ in 0..job.waits {
        yield_now().await;
    }
    match job.fate {
        Fate::Done => Ok(job),
        Fate::Fails => Err("told to"),
        Fate::Panics => panic!("told to"),
    }
}

#[apply(sim_test)]
async fn no_job_is_lost_whatever_happens(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let (runtime, watched) = runtime.watched();
    let chance = |of: u64| clock.random_below(of);
    let jobs: Vec<Job> = (0..chance(60))
        .map(|number| {
            let fate = match chance(10) {
                0 => Fate::Fails,
                1 if chance(3) == 0 => Fate::Panics,
                _ => Fate::Done,
            };
            Job { number, fate, waits: chance(4) }
        })
        .collect();
    let taken = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&taken);
    let letters = DeadLetterRing::new(some(100));
    let (workers, others) = (1 + chance(4) as usize, 1 + chance(3) as usize);
    let source = stream::iter(jobs).inspect(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
    let first = Pipeline::source(source).stage("first", workers, do_job).unread(chance(4) as usize);
    let first = match chance(4) {
        0 => first.dead_letters(letters.clone()),
        1 => first.dead_letters_in(&letters).unordered(),
        2 => first.skip_failures().keep(),
        _ => first.keep(),
    };
    let again = async |mut job: Job| {
        job.waits /= 2;
        do_job(job).await
    };
    let plan = first
        .buffer(1 + chance(5) as usize)
        .stage_by_key("second", others, |job| job.number % 5, again)
        .keep();
    let plan = plan.stage("third", 1, do_job).keep().collect().clock(&clock);
    let script = async |handle: weirs_pipelines::PipelineHandle, what: u64, after: u64| {
        for _ in 0..after {
            yield_now().await;
        }
        match what {
            0 => handle.stop(),
            1 | 2 => handle.abort(),
            _ => {}
        }
    };
    let (what, after) = (chance(5), chance(80));
    let ended = if chance(2) == 0 {
        let running = plan.run(&runtime).unwrap();
        futures::join!(script(running.handle(), what, after), running).1
    } else {
        let drive = plan.drive().unwrap();
        futures::join!(script(drive.handle(), what, after), drive).1
    };
    let (output, stats, mut unprocessed) = match ended {
        Ok(summary) => (summary.output, summary.stats, summary.unprocessed),
        Err(error) => (error.output.unwrap(), error.stats, error.unprocessed),
    };
    // Where each came out.
    let mut ends: BTreeMap<u64, u32> = BTreeMap::new();
    let mut told =
        |jobs: Vec<Job>| jobs.into_iter().for_each(|job| *ends.entry(job.number).or_default() += 1);
    told(output);
    told(letters.take().into_iter().map(|letter| letter.job).collect());
    for stage in ["first", "buffer", "second", "third", "sink"] {
        for left in [Left::Waiting, Left::Interrupted, Left::Failed, Left::Finished] {
            told(unprocessed.take::<Job>(stage, left));
        }
    }
    assert!(unprocessed.is_empty(), "{unprocessed:?}");
    let skipped = stats.stage("first").unwrap().skipped;
    assert!(ends.values().all(|times| *times == 1), "{ends:?}");
    assert_eq!(ends.len() as u64 + skipped, u64::from(taken.load(Ordering::Relaxed)), "{stats}{ends:?}");
    for stage in &stats.stages {
        assert_eq!(stage.in_flight, 0, "{stats}");
    }
    watched.idle().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_computes_what_a_loop_computes(
        items in proptest::collection::vec(0_u32..50, 0..60),
        workers in [1_usize..4, 1..4],
        buffer in 1_usize..5,
        batch in 1_usize..5,
    ) {
        let step = async |n: u32| {
            for _ in 0..n % 3 {
                yield_now().await;
            }
            if n % 11 == 10 { Err("ten") } else { Ok(n + 1) }
        };
        let plan = Pipeline::source(stream::iter(items.clone()))
            .filter(|n| n % 5 != 4)
            .stage("one", workers[0], step)
            .skip_failures()
            .buffer(buffer)
            .map(|n| n * 2)
            .stage("two", workers[1], async |n: u32| { yield_now().await; Ok::<_, Infallible>(n + 1) })
            .batch(batch, Duration::from_secs(3600))
            .collect();
        let expected: Vec<u32> = items
            .into_iter()
            .filter(|n| n % 5 != 4 && n % 11 != 10)
            .map(|n| (n + 1) * 2 + 1)
            .collect();
        let expected: Vec<Vec<u32>> = expected.chunks(batch).map(<[u32]>::to_vec).collect();
        prop_assert_eq!(block_on(plan.drive().unwrap()).unwrap().output, expected);
    }
}
