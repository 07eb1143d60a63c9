//! A hundred thousand of everything, and how often a full edge wakes.

mod common;

use std::collections::VecDeque;
use std::task::Poll;

use common::{Woken, poll, some};
use futures::{FutureExt, StreamExt, stream};
use weirs_channels_utils::{Merge, Route, StreamUtil, bounded, broadcast, fan_out, merge, watch};
use weirs_runtime::block_on;

const MANY: usize = 100_000;

/// Whatever grows with the square of their number would take minutes.
#[test]
fn a_hundred_thousand_of_everything() {
    let woken = Woken::new();
    // Waiters, which give up in an order of their own.
    let (sender, mut receiver) = bounded(some(1));
    sender.try_send(0).unwrap();
    let mut waiting: Vec<_> = (0..MANY).map(|n| sender.send(n)).collect();
    waiting.iter_mut().for_each(|send| assert!(poll(send, &woken).is_pending()));
    let mut n = 0;
    waiting.retain(|_| {
        n += 7_919;
        n % 3 == 0
    });
    let left = waiting.len();
    assert_eq!(sender.stats().senders_waiting, left);
    assert_eq!(receiver.try_recv(), Ok(0));
    drop(receiver);
    assert!(waiting.iter_mut().all(|send| poll(send, &woken).is_ready()));
    drop(waiting);

    // Inputs.
    let (mut ends, inputs): (Vec<_>, Vec<_>) = (0..MANY).map(|_| bounded(some(1))).unzip();
    let mut merged = merge(inputs);
    let mut merged_keys = Merge::new();
    while poll(&mut merged.next(), &woken).is_pending() && woken.times() > 0 && merged.len() < MANY {}
    for _ in 0..MANY / 16 {
        let _ = poll(&mut merged.next(), &woken);
    }
    ends[MANY / 2].try_send(1_u32).unwrap();
    assert_eq!(block_on(merged.next()), Some(1));
    ends.clear();
    assert_eq!(block_on(merged.next()), None);
    for _ in 0..MANY {
        let key = merged_keys.push(stream::pending::<()>());
        merged_keys.discard(key);
    }

    // Consumers.
    let (sender, receiver) = bounded(some(2));
    let hub = receiver.tee_hub(some(2));
    let mut consumers: Vec<_> = (0..MANY).map(|_| hub.subscribe()).collect();
    sender.try_send(1).unwrap();
    for consumer in &mut consumers {
        assert_eq!(consumer.next().now_or_never(), Some(Some(1)));
    }
    drop(consumers);
    let (sender, receiver) = broadcast::channel(some(2));
    let mut receivers: Vec<_> = (0..MANY).map(|_| sender.subscribe()).collect();
    sender.try_send(1).unwrap();
    assert!(receivers.iter_mut().all(|receiver| receiver.try_recv() == Ok(Ok(1))));
    drop((receivers, receiver));
    let (sender, receiver) = watch::channel(0);
    let mut receivers: Vec<_> = (0..MANY).map(|_| receiver.clone()).collect();
    let mut changed: Vec<_> = receivers.iter_mut().map(|receiver| receiver.changed()).collect();
    assert!(changed.iter_mut().all(|changed| poll(changed, &woken).is_pending()));
    sender.send(1);
    assert!(changed.iter_mut().all(|changed| poll(changed, &woken).is_ready()));

    // Work, and keys.
    let ids = || stream::iter(0..MANY);
    assert_eq!(block_on(ids().map_concurrent(some(MANY), async |n| n).count()), MANY);
    assert_eq!(block_on(ids().map_by_key(|n| *n, some(MANY), some(1), async |n| n).count()), MANY);
    assert_eq!(block_on(ids().map(|n| stream::iter([n])).bridge_unordered(some(MANY)).count()), MANY);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..1_000).map(|_| bounded(some(MANY))).unzip();
    assert_eq!(block_on(fan_out(ids(), senders, Route::round_robin_skip_full())), Ok(MANY as u64));
    assert_eq!(receivers.iter().map(|receiver| receiver.len()).sum::<usize>(), MANY);
}

/// Consumers that wait for a silent source cost an item no more than their number.
#[test]
fn ten_thousand_consumers_that_are_told_of_an_item_look_once_each() {
    let (sender, receiver) = bounded(some(1));
    let hub = receiver.tee_hub(some(1));
    let mut consumers: Vec<_> = (0..10_000).map(|_| hub.subscribe()).collect();
    let woken = Woken::new();
    for item in 0..20 {
        consumers.iter_mut().for_each(|consumer| assert!(poll(&mut consumer.next(), &woken).is_pending()));
        sender.try_send(item).unwrap();
        for consumer in &mut consumers {
            assert_eq!(poll(&mut consumer.next(), &woken), Poll::Ready(Some(item)));
        }
    }
    assert_eq!(woken.times() % 10_000, 0);
}

/// On a full edge both ends work by the batch: neither is woken for each item.
#[test]
fn a_full_edge_wakes_seldom() {
    const ITEMS: usize = 12_800;
    let (sender, receiver) = bounded(some(128));
    let mut batches = receiver.batches(some(64));
    let (to_send, to_take) = (Woken::new(), Woken::new());
    let mut items: VecDeque<usize> = (0..ITEMS).collect();
    let mut all = sender.send_all(&mut items);
    let (mut taken, mut sent) = (0, false);
    while taken < ITEMS {
        sent = sent || poll(&mut all, &to_send).is_ready();
        while poll(&mut batches.next(), &to_take).is_ready() {
            taken += 1;
            if taken == ITEMS {
                break;
            }
        }
    }
    let of_an_item = |woken: &Woken| woken.times() as f64 / ITEMS as f64;
    assert!(of_an_item(&to_take) <= 0.05, "{} for each item at the receiver", of_an_item(&to_take));
    assert!(of_an_item(&to_send) <= 0.05, "{} for each item at the sender", of_an_item(&to_send));
}
