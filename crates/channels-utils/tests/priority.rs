//! Levels: the urgent first, in order within a level, and nothing starves.

mod common;

use std::sync::Arc;

use common::{Counted, Woken, live, poll, some};
use futures::StreamExt;
use weirs_channels_utils::{Closed, SendError, TryRecvError, priority};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn smoke(_: Runtime) {
    let (sender, receiver) = priority::channel(some(3), some(9));
    for (level, item) in [(2, 'e'), (1, 'c'), (0, 'a'), (1, 'd'), (0, 'b')] {
        sender.send(level, item).await.unwrap();
    }
    drop(sender);
    assert_eq!(receiver.collect::<String>().await, "abcde");
}

#[test]
fn nothing_starves() {
    let (sender, mut receiver) = priority::builder(some(3), some(10)).aging(some(5)).build();
    for level in 0..3 {
        sender.try_send(level, level).unwrap();
        sender.try_send(level, level).unwrap();
    }
    let mut taken = Vec::new();
    for _ in 0..30 {
        taken.push(receiver.try_recv().unwrap());
        sender.try_send(0, 0).unwrap();
    }
    // Each of the lower levels has its turn after five, or one later when both are overdue.
    for level in [1, 2] {
        let first = taken.iter().position(|item| *item == level).unwrap();
        assert!(first <= 6, "{taken:?}");
        assert_eq!(taken.iter().filter(|item| **item == level).count(), 2);
    }
    assert_eq!(sender.stats().aged, 4);
}

#[test]
fn strict_is_strict() {
    let (sender, mut receiver) = priority::builder(some(2), some(4)).strict().build();
    sender.try_send(1, 1).unwrap();
    for _ in 0..1_000 {
        sender.try_send(0, 0).unwrap();
        assert_eq!(receiver.try_recv(), Ok(0));
    }
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn the_room_is_shared_or_each_has_its_own() {
    let (sender, _receiver) = priority::channel(some(2), some(2));
    sender.try_send(0, 1).unwrap();
    sender.try_send(1, 2).unwrap();
    assert_eq!(sender.try_send(0, 3), Err(SendError::Full(3)));
    let (sender, _receiver) = priority::builder(some(2), some(1)).per_level().build();
    sender.try_send(1, 1).unwrap();
    assert_eq!(sender.try_send(1, 2), Err(SendError::Full(2)));
    sender.try_send(0, 3).unwrap();
    assert_eq!(sender.stats().levels, [1, 1]);
}

#[test]
fn room_goes_to_the_urgent_who_wait() {
    let (sender, mut receiver) = priority::channel(some(2), some(1));
    sender.try_send(1, 0).unwrap();
    let (low, high) = (Woken::new(), Woken::new());
    let (mut later, mut urgent) = (sender.send(1, 1), sender.send(0, 2));
    assert!(poll(&mut later, &low).is_pending() && poll(&mut urgent, &high).is_pending());
    assert_eq!(sender.stats().senders_waiting, 2);
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!((low.times(), high.times()), (0, 1));
    drop(urgent);
    assert_eq!(low.times(), 1, "the grant goes on");
    assert!(poll(&mut later, &low).is_ready());
}

#[test]
fn the_end_is_as_of_any_channel() {
    let count = Arc::new(());
    let (sender, mut receiver) = priority::channel(some(2), some(2));
    sender.try_send(1, Counted::new(&count)).unwrap();
    sender.close();
    assert!(sender.try_send(0, Counted::new(&count)).unwrap_err().is_closed());
    assert!(receiver.try_recv().is_ok());
    assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Closed);
    let (sender, receiver) = priority::channel(some(2), some(1));
    sender.try_send(1, Counted::new(&count)).unwrap();
    let woken = Woken::new();
    let mut sends: Vec<_> = (0..50).map(|at| sender.send(at % 2, Counted::new(&count))).collect();
    assert!(sends.iter_mut().all(|send| poll(send, &woken).is_pending()));
    drop(receiver);
    assert_eq!((woken.times(), live(&count)), (50, 50));
    let closed = |send| matches!(poll(send, &woken), std::task::Poll::Ready(Err(Closed(_))));
    assert!(sends.iter_mut().all(closed));
    assert_eq!(live(&count), 0);
}

#[test]
#[should_panic(expected = "there is no level 2 among 2")]
fn a_level_that_is_not_there_panics() {
    let (sender, _receiver) = priority::channel(some(2), some(1));
    drop(sender.send(2, ()));
}

#[apply(sim_test)]
async fn random_scripts_lose_nothing_and_keep_the_order(runtime: Runtime) {
    let clock = runtime.clock();
    let (sender, receiver) = priority::builder(some(3), some(3)).aging(some(2)).build();
    let senders: Vec<_> = (0..3_u64)
        .map(|who| {
            let (sender, clock) = (sender.clone(), clock.clone());
            runtime.spawn(async move {
                let mut sent = Vec::new();
                for number in 0..12 {
                    let level = clock.random_below(3) as usize;
                    let item = (level, who, number);
                    let mut send = sender.send(level, item);
                    let done = futures::poll!(&mut send).is_ready();
                    if done || clock.random_below(3) > 0 && send.await.is_ok() {
                        sent.push(item);
                    }
                }
                sent
            })
        })
        .collect();
    drop(sender);
    let receivers: Vec<_> = (0..2)
        .map(|who| {
            let (mut receiver, clock) = (receiver.clone(), clock.clone());
            runtime.spawn(async move {
                let mut received = Vec::new();
                loop {
                    if who == 1 && clock.random_below(2) == 0 {
                        received.extend(receiver.try_recv());
                        let mut given_up = receiver.recv();
                        if let std::task::Poll::Ready(item) = futures::poll!(&mut given_up) {
                            received.extend(item);
                        }
                        yields(1).await;
                    }
                    match receiver.recv().await {
                        Some(item) => received.push(item),
                        None => return received,
                    }
                }
            })
        })
        .collect();
    drop(receiver);
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for task in senders {
        sent.extend(task.await.unwrap());
    }
    for task in receivers {
        let part: Vec<_> = task.await.unwrap();
        for (level, who) in (0..3).flat_map(|level| (0..3).map(move |who| (level, who))) {
            let of_one = part.iter().filter(|item| (item.0, item.1) == (level, who));
            assert!(of_one.is_sorted(), "{part:?}");
        }
        received.extend(part);
    }
    sent.sort_unstable();
    received.sort_unstable();
    assert_eq!(sent, received);
}
