//! Resilient pipelines in bad company.

use std::convert::Infallible;
use std::future::pending;
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Sink;
use futures_lite::StreamExt;
use futures_lite::future::{or, yield_now};
use weirs_pipelines::{Answer, DeadLetter, Reason, RedriveError, ResilientPipeline};
use weirs_resilience::{Backoff, Breaker, Class, Error};
use weirs_runtime::Runtime;
use weirs_testing::{apply, cancel_at_every_poll, runtime_test, yields};

#[apply(runtime_test)]
async fn one_that_is_tried_again_for_ever_lets_others_run(runtime: Runtime) {
    let (tried, mended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let work = {
        let (tried, mended) = (Arc::clone(&tried), Arc::clone(&mended));
        move |n: u64| {
            tried.fetch_add(1, Ordering::Relaxed);
            let result = if mended.load(Ordering::Relaxed) { Ok(n) } else { Err("not yet") };
            async move { result }
        }
    };
    let pipeline =
        ResilientPipeline::builder(work).workers(1).retry(u32::MAX, Backoff::none()).build(&runtime).unwrap();
    pipeline.submit(7).await.unwrap();
    while tried.load(Ordering::Relaxed) < 10 {
        yield_now().await;
    }
    mended.store(true, Ordering::Relaxed);
    assert_eq!(pipeline.close().await.done, 1);
}

#[apply(runtime_test)]
async fn a_letter_goes_round_as_often_as_the_cap_allows(runtime: Runtime) {
    let work = async |n: u64| if n == 0 { panic!("zero") } else { Err::<u64, _>("no") };
    for cap in [0, 1, 3, u32::MAX] {
        let builder = ResilientPipeline::builder(work).workers(1);
        let builder = if cap == 3 { builder } else { builder.redrive_cap(cap) };
        let pipeline = builder.build(&runtime).unwrap();
        let mut results = pipeline.results();
        for n in 0..2 {
            pipeline.submit(n).await.unwrap();
            let mut sent = 0;
            loop {
                let Answer::GivenUp(letter) = results.next().await.unwrap().answer else {
                    panic!("it fails")
                };
                assert_eq!((letter.job, letter.redrives, letter.attempts), (n, sent, 1));
                if sent == 5 {
                    break;
                }
                let late = runtime.clock().now() + Duration::MAX;
                match pipeline.redrive(*letter).by(late).await {
                    Ok(_) => sent += 1,
                    // With all its history.
                    Err(RedriveError::TooOften(letter)) => {
                        assert_eq!((letter.job, letter.redrives), (n, cap));
                        assert_eq!((letter.error.is_some(), letter.panic.is_some()), (n == 1, n == 0));
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(sent, cap.min(5));
        }
        pipeline.close().await;
        let mut letter = DeadLetter::new(7, Reason::Panicked, runtime.clock().now());
        letter.error = Some(Error::Inner("no"));
        if cap > 0 {
            let Err(RedriveError::Closed(letter)) = pipeline.redrive(letter).await else { panic!("closed") };
            assert_eq!((letter.job, letter.redrives, letter.error.is_some()), (7, 0, true));
        }
    }
}

#[apply(runtime_test)]
async fn a_redrive_dropped_at_every_poll_hands_in_nothing(runtime: Runtime) {
    let pipeline = ResilientPipeline::builder(async |_: u64| pending::<Result<u64, ()>>().await)
        .workers(1)
        .queue(1)
        .build(&runtime)
        .unwrap();
    pipeline.submit(0).await.unwrap();
    while pipeline.stats().in_hand == 0 {
        yield_now().await;
    }
    pipeline.submit(1).await.unwrap();
    let redrive = || async {
        let letter = DeadLetter::new(7, Reason::Panicked, runtime.clock().now());
        or(async { _ = pipeline.redrive(letter).await }, yields(2)).await;
    };
    cancel_at_every_poll(redrive, async |_| assert_eq!(pipeline.stats().counts.taken, 2)).await;
}

#[apply(runtime_test)]
async fn a_drain_dropped_halfway_leaves_nothing(runtime: Runtime) {
    let (watching, watched) = runtime.watched();
    let alive = Arc::new(());
    let drain = || async {
        let work = async |(n, _alive): (u64, Arc<()>)| {
            match n % 3 {
                0 => pending().await,
                1 => yields(2).await,
                _ => return Err("it failed"),
            }
            Ok(n)
        };
        let breaker = Breaker::consecutive(2).clock(watching.clock()).build().unwrap();
        let pipeline = ResilientPipeline::builder(work)
            .workers(2)
            .queue(8)
            .breaker(&breaker)
            .retry(1, Backoff::none())
            .build(&watching)
            .unwrap();
        for n in 0..6 {
            pipeline.submit((n, Arc::clone(&alive))).await.unwrap();
        }
        let drained = pipeline.drain(Duration::from_micros(10)).await;
        assert_eq!(drained.counts.taken, 6);
    };
    let check = async |_| {
        watched.idle().await;
        assert_eq!(Arc::strong_count(&alive), 1);
    };
    cancel_at_every_poll(drain, check).await;
}

/// A place for dead letters that panics where it is told to.
struct Panicky(&'static str);

impl Panicky {
    fn at(&self, here: &'static str) -> Result<(), std::fmt::Error> {
        if self.0 == here {
            panic_any(here);
        }
        Ok(())
    }
}

impl<E> Sink<DeadLetter<u64, E>> for Panicky {
    type Error = std::fmt::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(self.at("ready"))
    }

    fn start_send(self: Pin<&mut Self>, _: DeadLetter<u64, E>) -> Result<(), Self::Error> {
        self.at("send")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(self.at("flush"))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

#[apply(runtime_test)]
async fn a_place_for_letters_that_panics_loses_no_job(runtime: Runtime) {
    for place in ["ready", "send", "flush"] {
        let work = async |n: u64| if n % 2 == 0 { Ok(n) } else { Err("odd") };
        let pipeline =
            ResilientPipeline::builder(work).workers(2).dead_letters(Panicky(place)).build(&runtime).unwrap();
        let mut results = pipeline.results();
        for n in 0..8 {
            pipeline.submit(n).await.unwrap();
        }
        let counts = pipeline.close().await;
        let in_place = if place == "flush" { 4 } else { 0 };
        assert_eq!(
            (counts.done, counts.dead_lettered, counts.given_up),
            (4, in_place, 4 - in_place),
            "{place}"
        );
        let mut back = Vec::new();
        while let Some(end) = results.next().await {
            match end.answer {
                Answer::GivenUp(letter) => back.push(letter.job),
                Answer::DeadLettered(reason) => assert_eq!((place, reason), ("flush", Reason::Exhausted)),
                _ => {}
            }
        }
        back.sort_unstable();
        assert_eq!(back, if place == "flush" { vec![] } else { vec![1, 3, 5, 7] });
    }
}

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor");
    }
}

#[apply(runtime_test)]
async fn a_judge_that_panics_and_what_it_judged_too(runtime: Runtime) {
    let work = async |n: u64| if n == 0 { Ok(Some(Bomb)) } else { Ok::<_, Infallible>(None) };
    let judge = |result: &Result<Option<Bomb>, Error<Infallible>>| match result {
        Ok(Some(_)) => panic!("a judge"),
        _ => Class::Success,
    };
    let pipeline = ResilientPipeline::builder(work).workers(1).classify(judge).build(&runtime).unwrap();
    let mut results = pipeline.results();
    for n in 0..3 {
        pipeline.submit(n).await.unwrap();
    }
    let counts = pipeline.close().await;
    assert_eq!((counts.done, counts.given_up, counts.handed_back), (2, 1, 0));
    assert_eq!(results.next().await.unwrap().answer.reason(), Some(Reason::Panicked));
}

#[apply(runtime_test)]
async fn numbers_without_measure(runtime: Runtime) {
    let endless = Duration::MAX;
    let work = async |n: u64| if n == 0 { Err("zero") } else { Ok(n) };
    let pipeline = ResilientPipeline::builder(work)
        .queue(usize::MAX)
        .unread(usize::MAX)
        .timeout(endless)
        .retry(1, Backoff::constant(Duration::from_nanos(1)))
        .spare_probes(u32::MAX)
        .build(&runtime)
        .unwrap();
    let late = runtime.clock().now() + endless;
    for n in 0..9 {
        pipeline.submit(n).by(late).await.unwrap();
    }
    let drained = pipeline.drain(endless).await;
    assert_eq!((drained.counts.done, drained.counts.given_up, drained.unread.len()), (8, 1, 9));
    let built = ResilientPipeline::builder(work).workers(usize::MAX).build(&runtime);
    assert!(built.is_err());
}
