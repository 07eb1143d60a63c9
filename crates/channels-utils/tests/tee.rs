//! Tee: every item for every consumer, and what a slow one means.

mod routing;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use routing::{at_random, panic_of, poll, size, yielding};
use weirs_channels_utils::{Missed, Slow, StreamUtil, bounded};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{
    InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields,
};

#[apply(runtime_test)]
async fn each_gets_every_item_in_order(runtime: Runtime) {
    for bound in [1, 2, 7, 100] {
        let consumers = yielding(0..200).tee::<4>(size(bound));
        let tasks = consumers.map(|consumer| runtime.spawn(consumer.collect::<Vec<_>>()));
        for task in tasks {
            assert!(task.await.unwrap().into_iter().eq(0..200));
        }
    }
}

#[test]
fn the_slowest_is_never_more_than_the_bound_behind() {
    for bound in [1, 2, 3, 8, 50] {
        let [mut fast, mut slow] = stream::iter(0..).tee(size(bound));
        for n in 0..bound {
            assert_eq!(poll(&mut fast), Poll::Ready(Some(n)));
        }
        assert_eq!(poll(&mut fast), Poll::Pending, "with a bound of {bound}");
        assert_eq!(slow.queued(), bound);
        for n in 0..bound {
            assert_eq!(poll(&mut slow), Poll::Ready(Some(n)));
        }
        assert_eq!(poll(&mut fast), Poll::Ready(Some(bound)));
    }
}

#[apply(runtime_test)]
async fn who_waits_for_room_is_woken(runtime: Runtime) {
    let [fast, mut slow] = stream::iter(0..100).tee(size(1));
    let fast = runtime.spawn(fast.collect::<Vec<_>>());
    for n in 0..100 {
        yields(2).await;
        assert_eq!(slow.next().await, Some(n));
    }
    assert_eq!(fast.await.unwrap().len(), 100);
}

#[apply(runtime_test)]
async fn a_dropped_consumer_stops_nobody(runtime: Runtime) {
    let [fast, slow] = stream::iter(0..100).tee(size(1));
    let fast = runtime.spawn(fast.collect::<Vec<_>>());
    yields(3).await;
    drop(slow);
    assert_eq!(fast.await.unwrap().len(), 100);
}

#[test]
fn the_last_one_gone_drops_the_source() {
    let in_flight = InFlight::new();
    let guard = in_flight.enter();
    let source = stream::repeat(1).map(move |n| {
        let _ = &guard;
        n
    });
    let hub = source.tee_hub(size(4));
    let (one, two) = (hub.subscribe(), hub.subscribe_with(Slow::DropOldest));
    drop(one);
    drop(two);
    assert_eq!((in_flight.now(), hub.consumers()), (1, 0));
    let mut late = hub.subscribe();
    drop(hub);
    assert_eq!(poll(&mut late), Poll::Ready(Some(1)));
    drop(late);
    assert_eq!(in_flight.now(), 0);
}

#[test]
fn a_late_one_gets_what_comes_from_then_on() {
    let hub = stream::iter(0..5).tee_hub(size(1));
    let mut early = hub.subscribe();
    assert_eq!(block_on(early.next()), Some(0));
    let late = hub.subscribe();
    drop(early);
    assert_eq!(block_on(late.collect::<Vec<_>>()), [1, 2, 3, 4]);
    assert_eq!(block_on(hub.subscribe().next()), None);
}

#[test]
fn one_that_lags_misses_the_oldest_and_is_told() {
    let hub = stream::iter(0..10).tee_hub(size(3));
    let (all, mut lags) = (hub.subscribe(), hub.subscribe_with(Slow::DropOldest));
    assert_eq!(block_on(all.count()), 10);
    assert_eq!((lags.missed(), lags.queued()), (7, 3));
    assert_eq!(block_on(lags.next()), Some(Err(Missed::Lagged(7))));
    assert_eq!(block_on(lags.collect::<Vec<_>>()), [Ok(7), Ok(8), Ok(9)]);
}

#[test]
fn a_tap_misses_the_newest_and_is_told() {
    let hub = stream::iter(0..10).tee_hub(size(3));
    let (mut all, mut tap) = (hub.subscribe(), hub.subscribe_with(Slow::DropNewest));
    for n in 0..6 {
        assert_eq!(block_on(all.next()), Some(n));
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(block_on(tap.next()).unwrap());
    }
    assert_eq!(seen, [Ok(0), Ok(1), Ok(2)]);
    let missed = tap.missed();
    assert!(missed >= 3);
    drop(all);
    assert_eq!(block_on(tap.next()), Some(Err(Missed::Lagged(missed))));
    let rest = block_on(tap.collect::<Vec<_>>());
    assert_eq!(rest, (3 + missed..10).map(Ok).collect::<Vec<_>>());
}

#[test]
fn one_that_is_disconnected_gets_what_it_has_and_is_told() {
    let hub = stream::iter(0..10).tee_hub(size(3));
    let (all, slow) = (hub.subscribe(), hub.subscribe_with(Slow::Disconnect));
    assert_eq!(block_on(all.count()), 10);
    let expected = [Ok(0), Ok(1), Ok(2), Err(Missed::Disconnected)];
    assert_eq!(block_on(slow.collect::<Vec<_>>()), expected);
}

#[apply(sim_test)]
async fn one_that_is_slow_for_too_long_is_let_go(runtime: Runtime) {
    let clock = runtime.clock();
    let hub = stream::iter(0..10).tee_hub(size(3)).clock(clock);
    let (all, slow) = (hub.subscribe(), hub.subscribe_for(Duration::from_secs(5)));
    let start = clock.now();
    assert_eq!(all.count().await, 10);
    assert_eq!(clock.now() - start, Duration::from_secs(5));
    let expected = [Ok(0), Ok(1), Ok(2), Err(Missed::Disconnected)];
    assert_eq!(slow.collect::<Vec<_>>().await, expected);
}

#[derive(Debug)]
struct PanicsAt(u32, Arc<AtomicUsize>);

impl Clone for PanicsAt {
    fn clone(&self) -> Self {
        if self.0 == 2 && self.1.fetch_add(1, Ordering::Relaxed) == 0 {
            panic!("clone");
        }
        Self(self.0, Arc::clone(&self.1))
    }
}

#[test]
fn a_panic_of_clone_ends_that_consumer_alone() {
    let panics = Arc::new(AtomicUsize::new(0));
    let [mut one, two, three] = stream::iter((0..5).map(|n| PanicsAt(n, Arc::clone(&panics)))).tee(size(8));
    assert_eq!(block_on(one.next()).map(|item| item.0), Some(0));
    assert_eq!(block_on(one.next()).map(|item| item.0), Some(1));
    assert_eq!(panic_of(&mut one), "clone");
    assert!(block_on(one.next()).is_none());
    for other in [two, three] {
        assert_eq!(block_on(other.map(|item| item.0).collect::<Vec<_>>()), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_panic_of_the_source_ends_it_for_all_after_what_came_before() {
    let source = stream::iter(0..5).map(|n| if n == 3 { panic!("source") } else { n });
    let [mut one, two] = source.tee(size(8));
    assert_eq!(panic_of(&mut one), "source");
    assert_eq!(block_on(one.collect::<Vec<_>>()), [0, 1, 2]);
    assert_eq!(block_on(two.collect::<Vec<_>>()), [0, 1, 2]);
}

#[apply(runtime_test)]
async fn when_the_one_that_polls_goes_the_others_are_woken(runtime: Runtime) {
    let (sender, receiver) = bounded(size(1));
    let hub = receiver.tee_hub(size(1));
    let other = hub.subscribe();
    let other = runtime.spawn(other.collect::<Vec<_>>());
    let mut sent = Vec::new();
    for round in 0..10 {
        let mut one = hub.subscribe();
        // It takes the source's waker, and goes with it.
        let _ = one.next().now_or_never();
        yields(round % 3).await;
        drop(one);
        sender.send(round).await.unwrap();
        sent.push(round);
    }
    drop(sender);
    assert_eq!(other.await.unwrap(), sent);
}

#[apply(runtime_test)]
async fn a_consumer_that_is_woken_and_not_polled_stops_nobody(runtime: Runtime) {
    let (sender, receiver) = bounded(size(1));
    let [mut idle, other] = receiver.tee(size(4));
    assert!(idle.next().now_or_never().is_none());
    let other = runtime.spawn(other.take(2).collect::<Vec<_>>());
    sender.send(1).await.unwrap();
    sender.send(2).await.unwrap();
    assert_eq!(other.await.unwrap(), [1, 2]);
    drop(idle);
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_nobody_hangs_and_nothing_is_lost(runtime: Runtime) {
    let make = || async {
        let [one, two] = yielding(0..4).tee(size(1));
        let two = runtime.spawn(two.collect::<Vec<_>>());
        let items = one.collect::<Vec<_>>().await;
        assert_eq!((items, two.await.unwrap()), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
    };
    cancel_at_every_poll(make, async |_| {}).await;
    cancel_at_every_wake(make, async |_| {}).await;
}

#[apply(sim_test)]
async fn random_consumers_follow_the_model(runtime: Runtime) {
    let clock = runtime.clock();
    let bound = 1 + clock.random_below(6) as usize;
    let hub = at_random(0..60_u64, clock).tee_hub(size(bound)).clock(clock);
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (policy, leaves, nap) = (clock.random_below(5), clock.random_below(80), clock.clone());
        let mut consumer = match policy {
            0 | 1 => hub.subscribe_with(Slow::Wait),
            2 => hub.subscribe_with(Slow::DropOldest),
            3 => hub.subscribe_with(Slow::DropNewest),
            _ => hub.subscribe_for(Duration::from_millis(1)),
        };
        tasks.push(runtime.spawn(async move {
            let mut next = None;
            let mut taken = 0;
            while let Some(item) = consumer.next().await {
                assert!(consumer.queued() <= bound);
                match item {
                    Ok(item) => {
                        assert!(next.is_none_or(|next| next == item), "{next:?} {item} {policy}");
                        next = Some(item + 1);
                    }
                    Err(Missed::Lagged(number)) => {
                        assert!(matches!(policy, 2 | 3));
                        next = Some(next.unwrap_or(0) + number);
                    }
                    Err(_) => {
                        assert!(policy > 3);
                        assert!(consumer.next().await.is_none());
                        return;
                    }
                }
                taken += 1;
                if taken == leaves {
                    return;
                }
                yields(nap.random_below(3) as usize).await;
                if nap.random_below(10) == 0 {
                    nap.sleep(Duration::from_millis(nap.random_below(4))).await;
                }
            }
            assert_eq!(next, Some(60), "{policy}");
        }));
    }
    drop(hub);
    for task in tasks {
        task.await.unwrap();
    }
}

#[apply(runtime_test)]
async fn divided_each_item_goes_one_way(runtime: Runtime) {
    for bound in [1, 3, 100] {
        let (even, odd) = yielding(0..100).divide(|n| n % 2 == 0, size(bound));
        let odd = runtime.spawn(odd.collect::<Vec<_>>());
        assert!(even.collect::<Vec<_>>().await.into_iter().eq((0..100).step_by(2)));
        assert!(odd.await.unwrap().into_iter().eq((1..100).step_by(2)));
    }
}

#[test]
fn divided_a_part_waits_for_the_other_and_not_for_one_that_is_gone() {
    let (mut small, large) = stream::iter(0..100).divide(|n| *n < 1, size(4));
    assert_eq!(poll(&mut small), Poll::Ready(Some(0)));
    (0..9).for_each(|_| assert_eq!(poll(&mut small), Poll::Pending));
    assert_eq!(large.queued(), 4);
    drop(large);
    assert_eq!(block_on(small.next()), None);
}

#[test]
fn divided_a_panic_of_the_question_loses_that_item_alone() {
    let question = |n: &u32| if *n == 2 { panic!("question") } else { *n < 4 };
    let (mut small, large) = stream::iter(0..8).divide(question, size(8));
    assert_eq!(panic_of(&mut small), "question");
    assert_eq!(block_on(small.collect::<Vec<_>>()), [0, 1, 3]);
    assert_eq!(block_on(large.collect::<Vec<_>>()), [4, 5, 6, 7]);
}
