//! Every job of a resilient pipeline ends exactly once, whatever happens.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{or, yield_now};
use weirs_limiters::Semaphore;
use weirs_pipelines::{DeadLetterRing, ResilientPipeline};
use weirs_resilience::{Backoff, Breaker, Error};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, yields};

/// Random scripts: whatever happens, every job ends exactly once, and no permit is left behind.
#[apply(runtime_test)]
async fn every_job_ends_exactly_once(runtime: Runtime) {
    let (runtime, watched) = runtime.watched();
    let clock = runtime.clock().clone();
    let below = |bound| clock.random_below(bound);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let limit = Arc::new(Semaphore::new(1 + below(3)));
    let open_for = Duration::from_micros(1 + below(50));
    let breaker = Breaker::consecutive(1 + below(4) as u32).open_for(open_for).clock(&clock).build().unwrap();
    let work = {
        let clock = clock.clone();
        move |job: u64| {
            let clock = clock.clone();
            async move {
                for _ in 0..clock.random_below(3) {
                    yield_now().await;
                }
                match clock.random_below(10) {
                    0 => panic!("as told"),
                    1..4 => Err("no"),
                    4 => {
                        clock.sleep(Duration::from_micros(clock.random_below(60))).await;
                        Ok(job)
                    }
                    5 => std::future::pending().await,
                    _ => Ok(job),
                }
            }
        }
    };
    let letters = DeadLetterRing::<u64, Error<&str>>::new(NonZeroUsize::new(1000).unwrap());
    let has_place = below(2) == 0;
    let pipeline = {
        let mut builder = ResilientPipeline::builder(work)
            .workers(1 + below(4) as usize)
            .queue(1 + below(6) as usize)
            .unread(below(6) as usize)
            .limit(Arc::clone(&limit))
            .breaker(&breaker)
            .timeout(Duration::from_micros(1 + below(80)))
            .retry(below(3) as u32, Backoff::constant(Duration::from_micros(below(10))))
            .spare_probes(below(3) as u32);
        if below(2) == 0 {
            builder = builder.fallback(|job, _| (job % 2 == 0).then_some(*job));
        }
        if has_place {
            builder = builder.dead_letters(letters.clone());
        }
        builder.build(&runtime).unwrap()
    };
    let reader = runtime.spawn({
        let (mut results, seen, most) = (pipeline.results(), Arc::clone(&seen), below(40));
        async move {
            for _ in 0..most {
                let Some(answered) = results.next().await else { return };
                seen.lock().unwrap().push(answered.id.number());
            }
            // It keeps the rest for the drain.
            std::future::pending::<()>().await;
        }
    });
    let mut taken = 0;
    for job in 0..5 + below(30) {
        let submit = pipeline.submit(job);
        let submit = match below(4) {
            0 => submit.by(clock.now() + Duration::from_micros(below(80))),
            _ => submit,
        };
        let tires = async {
            yields(below(30) as usize).await;
            None
        };
        taken += u64::from(or(async { Some(submit.await) }, tires).await.is_some());
    }
    let drained = pipeline.drain(Duration::from_micros(below(200))).await;
    drop(reader);
    watched.idle().await;
    let counts = drained.counts;
    assert_eq!(counts.taken, taken);
    let ended = counts.done + counts.fallback + counts.dead_lettered + counts.given_up + counts.handed_back;
    assert_eq!(ended, taken, "{counts:?}");
    assert_eq!(drained.handed_back.len() as u64, counts.handed_back);
    assert_eq!(letters.len() as u64, counts.dead_lettered);
    let mut heard = seen.lock().unwrap().clone();
    heard.extend(drained.unread.iter().map(|answered| answered.id.number()));
    let number = heard.len();
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), number, "nothing is told twice");
    assert!(number as u64 <= taken - counts.handed_back);
    let mut left: Vec<_> = drained.handed_back.iter().map(|left| left.job).collect();
    left.extend(letters.take().iter().map(|letter| letter.job));
    let number = left.len();
    left.sort_unstable();
    left.dedup();
    assert_eq!(left.len(), number, "no job is in two places");
    assert_eq!(limit.available(), limit.capacity(), "nothing of the limiter is left behind");
}
