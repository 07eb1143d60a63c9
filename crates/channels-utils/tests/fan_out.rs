//! Fan-out: each item to one, or to all.

mod routing;

use std::collections::BTreeMap;

use futures::stream;
use routing::{at_random, size, yielding};
use weirs_channels_utils::{Closed, Receiver, Route, Sender, bounded, fan_out, send_to_all, stable_hash};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test};

fn channels<T>(number: usize, capacity: usize) -> (Vec<Sender<T>>, Vec<Receiver<T>>) {
    (0..number).map(|_| bounded(size(capacity))).unzip()
}

fn left<T>(receivers: &mut [Receiver<T>]) -> Vec<Vec<T>> {
    receivers.iter_mut().map(|receiver| receiver.remaining().collect()).collect()
}

#[apply(runtime_test)]
async fn every_route_sends_each_item_once_and_closes(runtime: Runtime) {
    let clock = runtime.clock();
    let routes = [
        Route::round_robin(),
        Route::round_robin_skip_full(),
        Route::shortest_queue(),
        Route::random(clock),
        Route::by_key(|n: &u32| n % 7),
    ];
    for route in routes {
        let (senders, receivers) = channels(4, 2);
        let collect = |mut receiver: Receiver<u32>| async move {
            let mut items = Vec::new();
            while let Some(item) = receiver.recv().await {
                items.push(item);
            }
            items
        };
        let workers: Vec<_> =
            receivers.into_iter().map(|receiver| runtime.spawn(collect(receiver))).collect();
        assert_eq!(fan_out(yielding(0..100), senders, route).await, Ok(100));
        let mut all = Vec::new();
        for worker in workers {
            let items = worker.await.unwrap();
            assert!(items.is_sorted());
            all.extend(items);
        }
        all.sort();
        assert!(all.into_iter().eq(0..100));
    }
}

#[apply(runtime_test)]
async fn strict_round_robin_waits_for_whose_turn_it_is(_runtime: Runtime) {
    let (senders, mut receivers) = channels(2, 1);
    let mut sending = fan_out(stream::iter(0..5), senders, Route::round_robin());
    assert!(futures::poll!(&mut sending).is_pending());
    assert_eq!(receivers[1].try_recv(), Ok(1));
    assert!(futures::poll!(&mut sending).is_pending());
    assert_eq!(left(&mut receivers), [vec![0], vec![]]);
    let (_, item) = sending.into_parts();
    assert_eq!(item, Some(2));
}

#[apply(runtime_test)]
async fn skipping_passes_over_those_that_are_full(_runtime: Runtime) {
    let (senders, mut receivers) = channels(2, 2);
    let mut sending = fan_out(stream::iter(0..7), senders, Route::round_robin_skip_full());
    assert!(futures::poll!(&mut sending).is_pending());
    assert_eq!((receivers[1].try_recv(), receivers[1].try_recv()), (Ok(1), Ok(3)));
    assert!(futures::poll!(&mut sending).is_pending());
    // The full one keeps what it has, and nothing is reserved in it.
    assert_eq!(left(&mut receivers), [vec![0, 2], vec![4, 5]]);
    assert_eq!(sending.await, Ok(7));
    assert_eq!(left(&mut receivers).concat(), [6]);
}

#[test]
fn the_shortest_queue_gets_the_next() {
    let (senders, mut receivers) = channels(3, 8);
    for n in 0..3 {
        senders[0].try_send(100 + n).unwrap();
    }
    senders[1].try_send(200).unwrap();
    block_on(fan_out(stream::iter(0..5), senders, Route::shortest_queue())).unwrap();
    let lens: Vec<_> = left(&mut receivers).iter().map(Vec::len).collect();
    assert_eq!(lens, [3, 3, 3]);
}

#[test]
fn keys_stay_where_they_are_when_another_output_leaves() {
    let places = |gone: Option<usize>| {
        let (senders, mut receivers) = channels(5, 2_000);
        let mut lost = Vec::new();
        if let Some(gone) = gone {
            lost.push(std::mem::replace(&mut receivers[gone], bounded(size(1)).1));
            lost.clear();
        }
        block_on(fan_out(stream::iter(0..1_000_u32), senders, Route::by_key(|n: &u32| *n))).unwrap();
        let mut places = BTreeMap::new();
        for (at, items) in left(&mut receivers).into_iter().enumerate() {
            places.extend(items.into_iter().map(|item| (item, at)));
        }
        places
    };
    let (before, after) = (places(None), places(Some(2)));
    assert!(after.values().all(|at| *at != 2) && after.len() == 1_000);
    assert!(before.iter().all(|(item, at)| *at == 2 || after[item] == *at));
    let each = (0..5).map(|at| before.values().filter(|place| **place == at).count());
    assert!(each.clone().all(|number| (140..260).contains(&number)), "{:?}", each.collect::<Vec<_>>());
}

#[test]
fn the_hash_is_the_same_everywhere() {
    assert_eq!(stable_hash(&1_u32), 0xad2aca7747985764);
    assert_eq!(stable_hash("key"), 0x5818fbd75cbc5049);
    assert_eq!(stable_hash(&5_usize), stable_hash(&5_u64));
}

#[test]
fn outputs_that_are_gone_leave_the_ring_and_the_last_gives_the_item_back() {
    let (senders, mut receivers) = channels(3, 9);
    drop(receivers.remove(1));
    assert_eq!(block_on(fan_out(stream::iter(0..6), senders, Route::round_robin())), Ok(6));
    assert_eq!(left(&mut receivers).concat().len(), 6);
    for route in [Route::round_robin(), Route::round_robin_skip_full(), Route::shortest_queue()] {
        let (senders, receivers) = channels(3, 9);
        drop(receivers);
        assert_eq!(block_on(fan_out(stream::iter([7]), senders, route)), Err(Closed(Some(7))));
    }
    assert_eq!(block_on(fan_out(stream::iter([7]), [], Route::round_robin())), Err(Closed(Some(7))));
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_only_the_item_in_hand_is_lost(_runtime: Runtime) {
    for skip in [false, true] {
        let (senders, receivers) = channels::<u32>(2, 1);
        let make = || {
            let (route, senders) = match skip {
                true => (Route::round_robin_skip_full(), senders.clone()),
                false => (Route::round_robin(), senders.clone()),
            };
            let receivers = receivers.clone();
            async move {
                let mut sending = std::pin::pin!(fan_out(yielding(0..4), senders, route));
                let drain = async {
                    loop {
                        for mut receiver in receivers.clone() {
                            weirs_testing::yields(1).await;
                            let _ = receiver.try_recv();
                        }
                    }
                };
                futures_lite::future::or(async { sending.as_mut().await.unwrap() }, drain).await
            }
        };
        let check = async |_| {
            for (sender, mut receiver) in senders.iter().zip(receivers.clone()) {
                while receiver.try_recv().is_ok() {}
                // No room is held, and nobody waits.
                assert!(sender.try_reserve(size(1)).is_ok());
                assert_eq!(sender.stats().senders_waiting, 0);
            }
        };
        cancel_at_every_poll(make, check).await;
        cancel_at_every_wake(make, check).await;
    }
}

#[apply(sim_test)]
async fn random_outputs_lose_nothing(runtime: Runtime) {
    let clock = runtime.clock();
    let (senders, receivers) = channels(3, 1 + clock.random_below(3) as usize);
    let route = match clock.random_below(4) {
        0 => Route::round_robin(),
        1 => Route::round_robin_skip_full(),
        2 => Route::shortest_queue(),
        _ => Route::by_key(|n: &u32| *n),
    };
    let workers: Vec<_> = receivers
        .into_iter()
        .map(|mut receiver| {
            let clock = clock.clone();
            runtime.spawn(async move {
                let mut items = Vec::new();
                while let Some(item) = receiver.recv().await {
                    items.push(item);
                    weirs_testing::yields(clock.random_below(4) as usize).await;
                }
                items
            })
        })
        .collect();
    assert_eq!(fan_out(at_random(0..60, clock), senders, route).await, Ok(60));
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    all.sort();
    assert!(all.into_iter().eq(0..60));
}

#[apply(runtime_test)]
async fn send_to_all_gives_each_item_to_all_and_leaves_out_who_is_gone(runtime: Runtime) {
    let (senders, mut receivers) = channels(3, 1);
    drop(receivers.remove(0));
    let tasks: Vec<_> = receivers
        .into_iter()
        .map(|receiver| runtime.spawn(futures::StreamExt::collect::<Vec<_>>(receiver)))
        .collect();
    assert_eq!(send_to_all(yielding(0..50), senders).await, Ok(50));
    for task in tasks {
        assert!(task.await.unwrap().into_iter().eq(0..50));
    }
    let (senders, receivers) = channels(2, 1);
    drop(receivers);
    assert_eq!(send_to_all(stream::iter([1]), senders).await, Err(Closed(Some(1))));
}

#[test]
fn send_to_all_leaves_out_an_output_whose_clone_panics() {
    struct Bad(std::sync::Arc<std::sync::atomic::AtomicU32>);
    impl Clone for Bad {
        fn clone(&self) -> Self {
            if self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                panic!("clone");
            }
            Self(self.0.clone())
        }
    }
    let (senders, mut receivers) = channels(3, 4);
    let mut sending = send_to_all(stream::iter([Bad(Default::default())]), senders);
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block_on(&mut sending).is_ok()));
    assert!(polled.is_err());
    assert!(matches!(block_on(&mut sending), Ok(1)));
    let lens: Vec<_> = left(&mut receivers).iter().map(Vec::len).collect();
    assert_eq!(lens, [0, 1, 1]);
}
