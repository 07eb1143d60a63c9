//! Bridge: streams of streams.

mod routing;

use futures::{StreamExt, stream};
use routing::{Polls, at_random, panic_of, poll, size, yielding};
use weirs_channels_utils::{StreamUtil, bounded};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{InFlight, apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

#[apply(runtime_test)]
async fn one_after_the_other_in_order(_runtime: Runtime) {
    let streams = yielding((0..20).map(|n| yielding(n * 10..n * 10 + n)));
    let expected: Vec<_> = (0..20).flat_map(|n| n * 10..n * 10 + n).collect();
    assert_eq!(streams.bridge().collect::<Vec<_>>().await, expected);
}

#[test]
fn the_next_stream_is_asked_for_when_the_one_at_hand_has_ended() {
    let polls = Polls::default();
    let outer = polls.of(stream::iter([stream::iter(vec![1, 2]), stream::iter(vec![3])]));
    let mut bridge = outer.bridge();
    assert_eq!((block_on(bridge.next()), polls.now()), (Some(1), 1));
    assert_eq!((block_on(bridge.next()), polls.now()), (Some(2), 1));
    assert_eq!((block_on(bridge.next()), polls.now()), (Some(3), 2));
    assert_eq!(block_on(bridge.next()), None);
}

#[test]
fn errors_are_items() {
    let streams = stream::iter([stream::iter(vec![Ok(1), Err("bad"), Ok(2)]), stream::iter(vec![Ok(3)])]);
    assert_eq!(block_on(streams.bridge().collect::<Vec<_>>()), [Ok(1), Err("bad"), Ok(2), Ok(3)]);
}

#[test]
fn empty_streams_without_end_let_others_have_their_turn() {
    let mut bridge = stream::repeat_with(stream::empty::<u8>).bridge();
    assert!(poll(&mut bridge).is_pending());
}

#[test]
fn a_panic_of_an_inner_stream_ends_that_one() {
    let bad = stream::poll_fn(|_| panic!("inner")).boxed();
    let mut bridge = stream::iter([bad, stream::iter([1]).boxed()]).bridge();
    assert_eq!(panic_of(&mut bridge), "inner");
    assert_eq!(block_on(bridge.collect::<Vec<_>>()), [1]);
}

#[apply(sim_test)]
async fn several_at_once_lose_nothing_and_keep_their_number(runtime: Runtime) {
    let clock = runtime.clock();
    let in_flight = InFlight::new();
    let most = 1 + clock.random_below(5) as usize;
    let gauge = in_flight.clone();
    let inner_clock = clock.clone();
    let streams = at_random(0..30_u32, clock).map(move |n| {
        let guard = gauge.enter();
        at_random((0..inner_clock.random_below(6)).map(move |i| (n, i)), &inner_clock).map(move |item| {
            let _ = &guard;
            item
        })
    });
    let items = streams.bridge_unordered(size(most)).collect::<Vec<_>>().await;
    assert!(in_flight.peak() <= most && in_flight.entered() == 30);
    for n in 0..30 {
        assert!(items.iter().filter(|item| item.0 == n).enumerate().all(|(i, item)| item.1 == i as u64));
    }
}

#[apply(runtime_test)]
async fn a_new_stream_gets_its_turn_beside_one_that_is_always_ready(_runtime: Runtime) {
    let streams = stream::iter([stream::repeat(0).boxed(), stream::iter([1]).boxed()]);
    let mut items = streams.bridge_unordered(size(2));
    let first = items.by_ref().take(50).collect::<Vec<_>>().await;
    assert!(first.contains(&1));
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_the_sources_keep_their_items(_runtime: Runtime) {
    let (sender, receiver) = bounded(size(8));
    for unordered in [false, true] {
        let make = || {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            async move {
                sender.send(1).await.unwrap();
                let streams = yielding([yielding([]).boxed(), receiver.boxed()]);
                let items = if unordered {
                    streams.bridge_unordered(size(2)).boxed()
                } else {
                    streams.bridge().boxed()
                };
                items.take(1).next().await
            }
        };
        let check = async |_| {
            assert_eq!(sender.stats().receivers_waiting, 0);
            while receiver.clone().try_recv().is_ok() {}
        };
        cancel_at_every_poll(make, check).await;
        cancel_at_every_wake(make, check).await;
        assert_eq!(sender.stats().sent, sender.stats().received);
    }
}
