//! The promises of a bulkhead.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{poll_once, yield_now};
use weirs_limiters::QueueDelay;
use weirs_resilience::{Bulkhead, Reason, Stack, bulkhead};
use weirs_runtime::Runtime;
use weirs_testing::{InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[apply(runtime_test)]
async fn so_many_at_once_of_all_stacks_that_share_it(runtime: Runtime) {
    let (shared, lives) = (Arc::new(Bulkhead::new(3).queue(1_000)), InFlight::new());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let stack =
                Stack::builder().clock(runtime.clock()).bulkhead(Arc::clone(&shared)).build().unwrap();
            let lives = lives.clone();
            runtime.spawn(async move {
                stack
                    .call(async |_| {
                        let _lives = lives.enter();
                        yield_now().await;
                        yield_now().await;
                        Ok::<_, ()>(())
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    assert!(lives.peak() <= 3);
    assert_eq!((lives.entered(), shared.stats().taken, shared.stats().rejected), (100, 0, 0));
}

#[apply(runtime_test)]
async fn without_a_queue_nobody_waits(runtime: Runtime) {
    let full = Bulkhead::new(1);
    let stack = Stack::builder().clock(runtime.clock()).bulkhead(&full).build().unwrap();
    let place = full.try_enter().unwrap();
    assert_eq!(full.try_enter().unwrap_err().reason(), Reason::BulkheadFull);
    assert_eq!(full.enter().await.unwrap_err().reason(), Reason::BulkheadFull);
    let refused = stack.call(async |_| Ok::<_, ()>(())).await.unwrap_err();
    assert_eq!(refused.rejected(), Some(Reason::BulkheadFull));
    assert_eq!((full.stats().taken, full.stats().rejected), (1, 3));
    drop(place);
    assert_eq!(stack.call(async |_| Ok::<_, ()>(1)).await, Ok(1));
    full.close();
    let closed = stack.call(async |_| Ok::<_, ()>(())).await.unwrap_err();
    assert_eq!(closed.rejected(), Some(Reason::Closed));
}

#[apply(runtime_test)]
async fn a_full_queue_refuses(runtime: Runtime) {
    let full = Bulkhead::new(1).queue(1);
    let stack = Stack::builder().clock(runtime.clock()).bulkhead(&full).build().unwrap();
    let place = full.try_enter().unwrap();
    let mut waits = std::pin::pin!(stack.call(async |_| Ok::<_, ()>(1)));
    assert!(poll_once(waits.as_mut()).await.is_none());
    let refused = stack.call(async |_| Ok::<_, ()>(2)).await.unwrap_err();
    assert_eq!(refused.rejected(), Some(Reason::BulkheadFull));
    drop(place);
    assert_eq!(waits.await, Ok(1));
    assert_eq!(full.stats().taken, 0);
}

#[apply(sim_test)]
async fn a_wait_ends_in_time(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let full = Bulkhead::new(1).wait_at_most(ms(20));
    let stack = Stack::builder().clock(&clock).bulkhead(&full).build().unwrap();
    let place = full.try_enter().unwrap();
    let (start, work) = (clock.now(), async |_| Ok::<_, ()>(()));
    let refused = stack.call(work).await.unwrap_err();
    assert_eq!((refused.rejected(), clock.now() - start), (Some(Reason::BulkheadFull), ms(20)));
    // The call's own deadline comes first.
    let refused = stack.call(work).by(clock.now() + ms(5)).await.unwrap_err();
    assert_eq!((refused.rejected(), clock.now() - start), (Some(Reason::Deadline), ms(25)));
    let within = Stack::builder().clock(&clock).timeout(ms(10)).bulkhead(&full).build().unwrap();
    let refused = within.call(work).await.unwrap_err();
    assert_eq!((refused.rejected(), clock.now() - start), (Some(Reason::Deadline), ms(35)));
    assert_eq!(full.stats().waiting, 0);
    drop(place);
    assert_eq!(stack.call(work).await, Ok(()));
}

/// R4J#332, failsafe#393: a place is lost to a waiter that was abandoned.
#[apply(runtime_test)]
async fn an_abandoned_waiter_loses_no_place(runtime: Runtime) {
    let places = Bulkhead::new(1).queue(10).wait_at_most(ms(60_000));
    let stack = Stack::builder().clock(runtime.clock()).bulkhead(&places).build().unwrap();
    let work = async |_| {
        yield_now().await;
        Ok::<_, ()>(())
    };
    let make = || {
        futures_lite::future::zip(
            stack.call(work),
            futures_lite::future::zip(stack.call(work), async {
                let place = places.enter().await;
                yield_now().await;
                place.is_ok()
            }),
        )
    };
    let check = async |_| {
        assert_eq!((places.stats().taken, places.stats().waiting), (0, 0));
        drop(places.try_enter().unwrap());
    };
    assert!(cancel_at_every_poll(make, check).await > 2);
    cancel_at_every_wake(make, check).await;
    // Its turn has come, and it does not take it.
    let place = places.try_enter().unwrap();
    {
        let mut waits = std::pin::pin!(stack.call(work));
        assert!(poll_once(waits.as_mut()).await.is_none());
        drop(place);
    }
    check(0).await;
}

#[apply(runtime_test)]
async fn a_panic_gives_the_place_back(runtime: Runtime) {
    let places = Arc::new(Bulkhead::new(1));
    let stack = Stack::builder().clock(runtime.clock()).bulkhead(Arc::clone(&places)).build().unwrap();
    let task = runtime.spawn(async move {
        stack
            .call(async |_| if stack.name().is_empty() { panic!("on purpose") } else { Ok::<(), ()>(()) })
            .await
    });
    assert!(task.await.is_err());
    assert_eq!(places.stats().taken, 0);
}

#[apply(runtime_test)]
async fn places_may_become_more_and_fewer(runtime: Runtime) {
    let places = Bulkhead::new(2).queue(2);
    let stack = Stack::builder().clock(runtime.clock()).bulkhead(&places).build().unwrap();
    let two = (places.try_enter().unwrap(), places.try_enter().unwrap());
    places.set_places(1);
    drop(two.0);
    let mut waits = std::pin::pin!(stack.call(async |_| Ok::<_, ()>(1)));
    assert!(poll_once(waits.as_mut()).await.is_none());
    places.set_places(2);
    assert_eq!(waits.await, Ok(1));
    assert_eq!((places.stats().places, places.stats().taken), (2, 1));
}

/// A queue that does not get shorter is shed; one in which somebody gets through is not.
#[apply(sim_test)]
async fn a_standing_queue_is_shed(runtime: Runtime) {
    let clock = runtime.clock().clone();
    let delay = QueueDelay::new(ms(5), ms(100), clock.clone());
    let places = Bulkhead::new(1).queue(1_000).shed_standing(delay);
    let stack = Stack::builder().clock(&clock).bulkhead(&places).build().unwrap();
    let work = async |_| {
        clock.sleep(ms(10)).await;
        Ok::<_, ()>(())
    };
    // All come at once: from an interval on some are turned away.
    let results = futures::future::join_all((0..60).map(|_| stack.call(work))).await;
    let shed = results.iter().flat_map(|result| result.as_ref().err()).map(|error| error.rejected());
    let shed: Vec<_> = shed.collect();
    assert!((3..30).contains(&shed.len()) && shed.iter().all(|reason| *reason == Some(Reason::Shed)));
    assert_eq!(places.stats().taken, 0);
    // One after another nobody waits, and all is well again.
    for _ in 0..60 {
        assert_eq!(stack.call(work).await, Ok(()));
    }
    assert_eq!(futures_lite::future::zip(stack.call(work), stack.call(work)).await, (Ok(()), Ok(())));
}

#[test]
fn no_place_at_all_is_an_error_at_build() {
    let invalid = Stack::builder().bulkhead(Bulkhead::new(0)).build().unwrap_err();
    assert_eq!(invalid.field(), "bulkhead.places");
    let refused = weirs_runtime::block_on(bulkhead(Bulkhead::new(0)).call(async |_| Ok::<_, ()>(())));
    assert_eq!(refused.unwrap_err().rejected(), Some(Reason::Invalid));
    let plan = bulkhead(Bulkhead::new(u64::MAX).wait_at_most(ms(5))).plan().to_string();
    assert_eq!(plan, "bulkhead: 1152921504606846976 at once, 1024 may wait for at most 5ms\n");
}
