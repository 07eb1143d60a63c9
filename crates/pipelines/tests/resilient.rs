//! The promises of a resilient pipeline.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Sink;
use futures_lite::StreamExt;
use futures_lite::future::{or, yield_now};
use weirs_limiters::{Quota, Rate, RateLimiter, Semaphore};
use weirs_pipelines::{
    Answer, BuildError, DeadLetter, DeadLetterRing, Reason, ResilientEvent, ResilientPipeline,
};
use weirs_resilience::{Backoff, Breaker, Circuit, Class, Error};
use weirs_runtime::{Clock, Runtime};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, sim_test, yields};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ring<J, E>() -> DeadLetterRing<J, E> {
    DeadLetterRing::new(NonZeroUsize::new(1000).unwrap())
}

fn breaker(clock: &Clock, failures: u32, open_for: Duration) -> Arc<Breaker> {
    Breaker::consecutive(failures).open_for(open_for).clock(clock).build().unwrap()
}

/// Something outside that is ill until a time.
fn ill_until(
    clock: &Clock,
    at: Duration,
) -> impl Fn(u32) -> std::future::Ready<Result<u32, &'static str>> + use<> {
    let (clock, well) = (clock.clone(), clock.now() + at);
    move |n| std::future::ready(if clock.now() >= well { Ok(n) } else { Err("ill") })
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let work = async |n: u32| if n % 3 == 0 { Err("three") } else { Ok(n) };
    let letters = ring();
    let pipeline = ResilientPipeline::builder(work)
        .workers(3)
        .queue(4)
        .limit(Semaphore::new(2))
        .breaker(&breaker(runtime.clock(), 1000, ms(1)))
        .timeout(Duration::from_secs(50))
        .retry(2, Backoff::none())
        .fallback(|n, _| (*n == 9).then_some(0))
        .dead_letters(letters.clone())
        .build(&runtime)
        .unwrap();
    let mut results = pipeline.results();
    let feed = async {
        for n in 0..30 {
            pipeline.submit(n).await.unwrap();
        }
        pipeline.close().await
    };
    let read = async {
        let mut sum = 0;
        while let Some(answered) = results.next().await {
            match answered.answer {
                Answer::Done(n) => assert_eq!(answered.id.number(), u64::from(n)),
                Answer::Fallback(0) => assert_eq!(answered.id.number(), 9),
                Answer::DeadLettered(reason) => assert_eq!(reason, Reason::Exhausted),
                other => panic!("{other:?}"),
            }
            sum += 1;
        }
        sum
    };
    let (counts, read) = futures::join!(feed, read);
    assert_eq!(read, 30);
    assert_eq!((counts.done, counts.fallback, counts.dead_lettered), (20, 1, 9));
    assert_eq!(counts.attempts, 20 + 10 * 3);
    for letter in letters.take() {
        assert_eq!((letter.attempts, letter.error), (3, Some(Error::Inner("three"))));
    }
}

#[apply(sim_test)]
async fn an_open_circuit_makes_the_workers_wait_and_no_job_is_given_up(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let breaker = breaker(&clock, 2, ms(1000));
    let letters = ring::<u32, Error<&str>>();
    let start = clock.now();
    let pipeline = ResilientPipeline::builder(ill_until(&clock, ms(2500)))
        .workers(2)
        .breaker(&breaker)
        .retry(5, Backoff::none())
        .dead_letters(letters.clone())
        .build(&runtime)
        .unwrap();
    for n in 0..50 {
        pipeline.submit(n).await.unwrap();
    }
    clock.sleep(ms(500)).await;
    let stats = pipeline.stats();
    assert_eq!((stats.circuit, stats.paused, stats.counts.attempts), (Some(Circuit::Open), 2, 2));
    let counts = pipeline.close().await;
    // It opened at 0, was probed at 1000 and 2000 in vain, and at 3000.
    assert_eq!(clock.now() - start, ms(3000));
    assert_eq!((counts.done, counts.attempts, letters.len()), (50, 2 + 2 + 50, 0));
}

#[apply(sim_test)]
async fn an_outage_of_an_hour_uses_up_no_job_if_somebody_probes(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let breaker = breaker(&clock, 1, ms(1000));
    let hour = Duration::from_secs(3600);
    let well = clock.now() + hour;
    let pipeline = ResilientPipeline::builder(ill_until(&clock, hour))
        .workers(1)
        .breaker(&breaker)
        .retry(1, Backoff::none())
        .build(&runtime)
        .unwrap();
    for n in 0..20 {
        pipeline.submit(n).await.unwrap();
    }
    let probe = || std::future::ready(if clock.now() >= well { Ok(()) } else { Err(()) });
    let close = pipeline.close();
    let counts = or(close, async { match breaker.probe_with(probe).await {} }).await;
    assert_eq!((counts.done, counts.attempts), (20, 21));
}

#[apply(sim_test)]
async fn a_job_that_always_fails_does_not_keep_the_circuit_open(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let pipeline = ResilientPipeline::builder(async |n: u32| if n == 0 { Err("poison") } else { Ok(n) })
        .workers(1)
        .breaker(&breaker(&clock, 1, ms(10)))
        .retry(1, Backoff::none())
        .spare_probes(3)
        .build(&runtime)
        .unwrap();
    for n in 0..5 {
        pipeline.submit(n).await.unwrap();
    }
    let counts = pipeline.close().await;
    assert_eq!((counts.done, counts.given_up, counts.attempts), (4, 1, 5 + 4));
}

#[apply(sim_test)]
async fn a_full_limiter_makes_the_workers_wait(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let quota = Quota::new(Rate::per_second(10), 1).unwrap();
    let limiter = RateLimiter::builder(quota).clock(clock.clone()).build();
    let start = clock.now();
    let pipeline = ResilientPipeline::builder(async |n: u32| Ok::<_, ()>(n))
        .workers(3)
        .limit(limiter)
        .build(&runtime)
        .unwrap();
    for n in 0..21 {
        pipeline.submit(n).await.unwrap();
    }
    clock.sleep(ms(50)).await;
    assert_eq!(pipeline.stats().limited, 3);
    assert_eq!(pipeline.close().await.done, 21);
    assert_eq!(clock.now() - start, ms(2000));
}

#[apply(sim_test)]
async fn while_the_circuit_is_open_nothing_of_the_limiter_is_held(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let limit = Arc::new(Semaphore::new(1));
    let breaker = breaker(&clock, 1, ms(1000));
    breaker.try_acquire().unwrap().failure();
    let pipeline = ResilientPipeline::builder(async |n: u32| Ok::<_, ()>(n))
        .limit(Arc::clone(&limit))
        .breaker(&breaker)
        .build(&runtime)
        .unwrap();
    for n in 0..8 {
        pipeline.submit(n).await.unwrap();
    }
    clock.sleep(ms(500)).await;
    assert_eq!(limit.available(), 1);
    assert_eq!(pipeline.close().await.done, 8);
    assert_eq!(limit.available(), 1);
}

#[apply(sim_test)]
async fn a_late_job_is_not_begun_wherever_it_waits(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let breaker = breaker(&clock, 1, ms(1000));
    breaker.try_acquire().unwrap().failure();
    let letters = ring();
    let pipeline = ResilientPipeline::builder(async |n: u32| Ok::<_, ()>(n))
        .workers(1)
        .breaker(&breaker)
        .fallback(|_, _| Some(99))
        .dead_letters(letters.clone())
        .build(&runtime)
        .unwrap();
    let start = clock.now();
    // The first is late in the worker's hand, the second in the queue; the third is in time.
    for (n, by) in [(1, 500), (2, 400), (3, 1500)] {
        pipeline.submit(n).by(start + ms(by)).await.unwrap();
    }
    let counts = pipeline.close().await;
    assert_eq!((counts.done, counts.expired, counts.attempts), (1, 2, 1));
    let letters = letters.take();
    let seen: Vec<_> = letters.iter().map(|letter| (letter.job, letter.reason, letter.attempts)).collect();
    assert_eq!(seen, [(1, Reason::Expired, 0), (2, Reason::Expired, 0)]);
    assert_eq!(letters[0].last_at - start, ms(500));
}

#[apply(sim_test)]
async fn a_slow_reader_of_results_never_opens_the_breaker(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let breaker = Breaker::consecutive(1).slow_rate(0.01).slow_after(ms(10)).clock(&clock).build().unwrap();
    let work = {
        let clock = clock.clone();
        move |n: u32| {
            let sleep = clock.sleep(ms(5));
            async move {
                sleep.await;
                Ok::<_, ()>(n)
            }
        }
    };
    let pipeline = ResilientPipeline::builder(work)
        .workers(2)
        .queue(2)
        .unread(1)
        .timeout(ms(10))
        .breaker(&breaker)
        .build(&runtime)
        .unwrap();
    let mut results = pipeline.results();
    let feed = async {
        for n in 0..20 {
            pipeline.submit(n).await.unwrap();
        }
        pipeline.close().await
    };
    let read = async {
        while let Some(answered) = results.next().await {
            assert!(matches!(answered.answer, Answer::Done(_)));
            clock.sleep(ms(1000)).await;
        }
    };
    let (counts, ()) = futures::join!(feed, read);
    assert_eq!((counts.done, counts.attempts, breaker.state()), (20, 20, Circuit::Closed));
    assert_eq!(breaker.stats().openings, 0);
}

#[apply(sim_test)]
async fn a_slow_or_failing_place_for_letters_never_opens_the_breaker(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let breaker = breaker(&clock, 1000, ms(1));
    let place = Failing { fails: Arc::new(AtomicUsize::new(2)), got: Arc::default() };
    let got = Arc::clone(&place.got);
    let told = Arc::new(Mutex::new(Vec::new()));
    let pipeline = ResilientPipeline::builder(async |_: u32| Err::<u32, _>("no"))
        .workers(1)
        .breaker(&breaker)
        .dead_letters(place)
        .on_event({
            let told = Arc::clone(&told);
            move |event| {
                if let ResilientEvent::PlaceFailed { after, .. } = event {
                    told.lock().unwrap().push(*after);
                }
            }
        })
        .build(&runtime)
        .unwrap();
    let start = clock.now();
    for n in 0..3 {
        pipeline.submit(n).await.unwrap();
    }
    let counts = pipeline.close().await;
    assert_eq!((counts.dead_lettered, counts.place_failures), (3, 2));
    assert_eq!(*got.lock().unwrap(), [0, 1, 2]);
    assert_eq!(*told.lock().unwrap(), [ms(100), ms(200)]);
    assert_eq!(clock.now() - start, ms(300));
    assert_eq!(breaker.stats().openings, 0);
}

/// A place that is not ready so many times.
struct Failing {
    fails: Arc<AtomicUsize>,
    got: Arc<Mutex<Vec<u32>>>,
}

impl<E> Sink<DeadLetter<u32, E>> for Failing {
    type Error = std::io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let left = self.fails.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Ok(()));
        }
        self.fails.store(left - 1, Ordering::Relaxed);
        Poll::Ready(Err(std::io::Error::other("disk full")))
    }

    fn start_send(self: Pin<&mut Self>, letter: DeadLetter<u32, E>) -> std::io::Result<()> {
        if letter.job == 1000 {
            return Err(std::io::Error::other("it fell"));
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

#[apply(runtime_test)]
async fn a_job_whose_letter_the_place_breaks_comes_back(runtime: Runtime) {
    let place = Failing { fails: Arc::default(), got: Arc::default() };
    let pipeline = ResilientPipeline::builder(async |_: u32| Err::<u32, _>("no"))
        .dead_letters(place)
        .build(&runtime)
        .unwrap();
    let mut results = pipeline.results();
    pipeline.submit(1000).await.unwrap();
    let counts = pipeline.close().await;
    assert_eq!((counts.given_up, counts.place_failures), (1, 1));
    let Answer::GivenUp(letter) = results.next().await.unwrap().answer else { panic!("it is broken") };
    assert_eq!((letter.job, letter.attempts, letter.reason), (1000, 1, Reason::Exhausted));
}

#[apply(runtime_test)]
async fn a_drain_hands_back_what_waits_for_the_circuit(runtime: Runtime) {
    let breaker = breaker(runtime.clock(), 1, ms(1));
    breaker.force_open("a drill");
    let letters = ring::<u32, Error<()>>();
    let pipeline = ResilientPipeline::builder(async |n: u32| Ok::<_, ()>(n))
        .workers(2)
        .queue(8)
        .breaker(&breaker)
        .dead_letters(letters.clone())
        .build(&runtime)
        .unwrap();
    for n in 0..8 {
        pipeline.submit(n).await.unwrap();
    }
    let intake = pipeline.intake();
    let drained = pipeline.drain(ms(5)).await;
    let mut jobs: Vec<_> = drained.handed_back.iter().map(|left| (left.job, left.attempts)).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (0..8).map(|n| (n, 0)).collect::<Vec<_>>());
    assert_eq!((drained.counts.handed_back, drained.counts.attempts, letters.len()), (8, 0, 0));
    assert!(drained.unread.is_empty());
    assert_eq!(intake.submit(9).await.unwrap_err().into_inner(), 9);
}

#[apply(sim_test)]
async fn a_drain_ends_by_its_limit_and_hands_back_what_was_in_the_middle(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let work = {
        let clock = clock.clone();
        move |n: u64| {
            let sleep = clock.sleep(ms(n));
            async move {
                sleep.await;
                Ok::<_, ()>(n)
            }
        }
    };
    let pipeline = ResilientPipeline::builder(work).workers(2).build(&runtime).unwrap();
    for n in [1, 2, 50, 60, 70] {
        pipeline.submit(n).await.unwrap();
    }
    let start = clock.now();
    let drained = pipeline.drain(ms(20)).await;
    assert_eq!(clock.now() - start, ms(20));
    let mut jobs: Vec<_> = drained.handed_back.iter().map(|left| (left.job, left.attempts)).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, [(50, 1), (60, 1), (70, 0)]);
    assert_eq!((drained.unread.len(), drained.counts.done, drained.counts.handed_back), (2, 2, 3));
}

#[apply(sim_test)]
async fn a_call_that_takes_too_long_is_a_failure_and_is_tried_again(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let calls = Arc::new(AtomicUsize::new(0));
    let work = {
        let (clock, calls) = (clock.clone(), Arc::clone(&calls));
        move |n: u32| {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            let sleep = clock.sleep(ms(if first { 5000 } else { 5 }));
            async move {
                sleep.await;
                Ok::<_, ()>(n)
            }
        }
    };
    let pipeline = ResilientPipeline::builder(work)
        .timeout(ms(100))
        .retry(1, Backoff::constant(ms(30)))
        .build(&runtime)
        .unwrap();
    let start = clock.now();
    pipeline.submit(1).await.unwrap();
    assert_eq!(pipeline.close().await.done, 1);
    assert_eq!(clock.now() - start, ms(135));
}

#[apply(runtime_test)]
async fn a_panic_is_a_letter_with_its_job(runtime: Runtime) {
    let breaker = breaker(runtime.clock(), 1000, ms(1));
    let work = async |n: u32| if n == 3 { panic!("the third") } else { Ok::<_, ()>(n) };
    let pipeline =
        ResilientPipeline::builder(work).breaker(&breaker).retry(3, Backoff::none()).build(&runtime);
    let pipeline = pipeline.unwrap();
    let mut results = pipeline.results();
    for n in 0..6 {
        pipeline.submit(n).await.unwrap();
    }
    let counts = pipeline.close().await;
    assert_eq!((counts.done, counts.given_up, counts.attempts), (5, 1, 6));
    while let Some(answered) = results.next().await {
        if let Answer::GivenUp(letter) = answered.answer {
            assert_eq!((letter.job, letter.reason), (3, Reason::Panicked));
            assert_eq!(letter.panic.unwrap().message(), "the third");
            pipeline.redrive(DeadLetter::new(7, Reason::Panicked, letter.last_at)).await.unwrap_err();
        }
    }
}

#[apply(runtime_test)]
async fn what_will_not_mend_is_not_tried_again(runtime: Runtime) {
    let work = async |n: u32| Err::<u32, _>(n);
    let judge = |result: &Result<u32, Error<u32>>| match result {
        Err(Error::Inner(404)) => Class::Permanent,
        _ => Class::Failure,
    };
    let pipeline = ResilientPipeline::builder(work).retry(2, Backoff::none()).classify(judge).build(&runtime);
    let pipeline = pipeline.unwrap();
    let mut results = pipeline.results();
    for n in [404, 500] {
        pipeline.submit(n).await.unwrap();
    }
    assert_eq!(pipeline.close().await.attempts, 1 + 3);
    while let Some(answered) = results.next().await {
        let Answer::GivenUp(letter) = answered.answer else { panic!("nothing works") };
        let reason = if letter.job == 404 { Reason::Permanent } else { Reason::Exhausted };
        assert_eq!(letter.reason, reason);
    }
}

#[apply(runtime_test)]
async fn a_closed_limiter_ends_jobs_and_hangs_nobody(runtime: Runtime) {
    let limit = Arc::new(Semaphore::new(1));
    let build = |limit: &Arc<Semaphore>| {
        ResilientPipeline::builder(async |n: u32| Ok::<_, ()>(n)).limit(Arc::clone(limit)).build(&runtime)
    };
    let pipeline = build(&limit).unwrap();
    limit.close();
    pipeline.submit(1).await.unwrap();
    let mut results = pipeline.results();
    assert_eq!(pipeline.close().await.given_up, 1);
    assert_eq!(results.next().await.unwrap().answer.reason(), Some(Reason::Shutdown));
}

#[apply(runtime_test)]
async fn what_makes_no_sense_is_an_error_at_once(runtime: Runtime) {
    let new = || ResilientPipeline::builder(async |n: u32| Ok::<_, ()>(n));
    let bad = Backoff::constant(ms(5)).cap(ms(1));
    for (builder, field) in [
        (new().workers(0), "resilient.workers"),
        (new().queue(0), "resilient.queue"),
        (new().timeout(Duration::ZERO), "resilient.timeout"),
        (new().retry(1, bad), "resilient.retry"),
        (new().limit(Semaphore::new(0)), "resilient.limit"),
    ] {
        match builder.build(&runtime) {
            Err(BuildError::Invalid(invalid)) => assert_eq!(invalid.field(), field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[apply(runtime_test)]
async fn a_dropped_submit_has_taken_nothing(runtime: Runtime) {
    let go = Arc::new(AtomicBool::new(false));
    let work = {
        let go = Arc::clone(&go);
        move |n: u32| {
            let go = Arc::clone(&go);
            async move {
                while !go.load(Ordering::Relaxed) {
                    yield_now().await;
                }
                Ok::<_, ()>(n)
            }
        }
    };
    let pipeline = ResilientPipeline::builder(work).workers(1).queue(1).build(&runtime).unwrap();
    pipeline.submit(1).await.unwrap();
    pipeline.submit(2).await.unwrap();
    let make = || async { or(async { _ = pipeline.submit(3).await }, yields(2)).await };
    cancel_at_every_poll(make, async |_| assert_eq!(pipeline.stats().counts.taken, 2)).await;
    go.store(true, Ordering::Relaxed);
    assert_eq!(pipeline.close().await.done, 2);
}

#[apply(runtime_test)]
async fn a_dropped_read_or_close_has_taken_nothing(runtime: Runtime) {
    let work = async |n: u32| {
        yields(2).await;
        Ok::<_, ()>(n)
    };
    let pipeline = ResilientPipeline::builder(work).workers(2).build(&runtime).unwrap();
    let mut results = pipeline.results();
    for n in 0..6 {
        pipeline.submit(n).await.unwrap();
    }
    drop(pipeline.close());
    let mut seen = Vec::new();
    for patience in (0..4).cycle() {
        // Dropped in the middle, and asked again.
        or(async { _ = pipeline.close().await }, yields(patience)).await;
        let tires = async {
            yields(patience).await;
            None
        };
        match or(async { Some(results.next().await) }, tires).await {
            Some(Some(answered)) => seen.push(answered.id.number()),
            Some(None) => break,
            None => {}
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
}

#[apply(sim_test)]
async fn what_jobs_wait_and_take_is_measured_if_told_to(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let work = move |n: u32| {
        let sleep = clock.sleep(ms(10));
        async move {
            sleep.await;
            Ok::<_, &str>(n)
        }
    };
    let pipeline = ResilientPipeline::builder(work.clone()).workers(1).measured().build(&runtime).unwrap();
    for n in 0..3 {
        pipeline.submit(n).await.unwrap();
    }
    runtime.clock().sleep(ms(5)).await;
    let table = pipeline.stats().to_string();
    assert!(table.starts_with("2 wait, 1 in hand, 0 unread\n3 taken, 0 done, 1 calls\nwait"), "{table}");
    pipeline.close().await;
    let times = pipeline.stats().times.unwrap();
    assert_eq!((times.wait.count, times.work.count), (3, 3));
    assert!((ms(10)..ms(11)).contains(&times.work.p50), "{times:?}");
    assert!((ms(20)..ms(22)).contains(&times.wait.p99), "{times:?}");

    let pipeline = ResilientPipeline::builder(work).build(&runtime).unwrap();
    pipeline.submit(1).await.unwrap();
    pipeline.close().await;
    assert_eq!(pipeline.stats().times, None);
}
