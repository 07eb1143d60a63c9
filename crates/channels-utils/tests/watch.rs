//! The latest value: never the one before when there is a newer, and always the last.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use common::{Woken, poll};
use futures::StreamExt;
use weirs_channels_utils::{Closed, watch};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (sender, mut receiver) = watch::channel(0);
    let task = runtime.spawn(async move {
        let mut last = 0;
        while let Ok(value) = receiver.changed().await {
            assert!(*value > last);
            last = *value;
        }
        last
    });
    for number in 1..=20 {
        sender.send(number);
        yields(number % 3).await;
    }
    drop(sender);
    assert_eq!(task.await.unwrap(), 20, "the last is always seen");
}

#[test]
fn a_new_receiver_has_seen_what_there_is() {
    let (sender, receiver) = watch::channel(1);
    drop(receiver);
    assert_eq!(*sender.send(2), 1, "stored though nobody watches");
    let mut receiver = sender.subscribe();
    assert_eq!((*receiver.latest(), receiver.has_changed(), receiver.seen()), (2, false, Some(1)));
    receiver.mark_unseen();
    assert!(receiver.has_changed() && receiver.seen().is_none());
    let mut clone = receiver.clone();
    drop(sender);
    assert_eq!(*futures::executor::block_on(clone.changed()).unwrap(), 2);
    assert_eq!(futures::executor::block_on(clone.changed()), Err(Closed(())));
    assert_eq!(futures::executor::block_on(receiver.collect::<Vec<_>>()).len(), 1);
}

#[test]
fn all_who_wait_are_woken_once() {
    let (sender, receiver) = watch::channel(0);
    let woken = Woken::new();
    let mut receivers: Vec<_> = (0..100).map(|_| receiver.clone()).collect();
    let mut waits: Vec<_> = receivers.iter_mut().map(|receiver| receiver.changed()).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait, &woken).is_pending()));
    sender.send(1);
    assert_eq!(woken.times(), 100);
    assert!(waits.iter_mut().all(|wait| poll(wait, &woken).is_ready()));
    assert_eq!(Arc::strong_count(&woken), 1, "no waker is kept");
}

#[test]
fn a_panic_keeps_the_old_value() {
    let (sender, receiver) = watch::channel(1);
    let panics = || drop(sender.update(|_| std::panic::resume_unwind(Box::new("no"))));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!((*receiver.latest(), receiver.has_changed()), (1, false));
    assert_eq!(sender.try_update(|_| None), None);
    assert_eq!(sender.version(), 0);
    assert_eq!(*sender.update(|old| old + 1), 2);
}

#[test]
fn an_update_may_use_the_channel() {
    let (sender, _receiver) = watch::channel(1);
    let mut calls = 0;
    sender.update(|old| {
        calls += 1;
        if calls == 1 {
            sender.send(10);
        }
        old + 1
    });
    assert_eq!((*sender.latest(), calls), (11, 2), "made again of what was sent meanwhile");
}

#[apply(runtime_test)]
async fn a_condition_is_waited_for(runtime: Runtime) {
    let (sender, mut receiver) = watch::channel(3);
    assert_eq!(*receiver.wait_for(|value| *value == 3).await.unwrap(), 3, "it is so already");
    let task = runtime.spawn(async move {
        let seven = receiver.wait_for(|value| *value == 7).await.map(|value| *value);
        (seven, receiver.wait_for(|value| *value == 1).await.is_err())
    });
    for number in [4, 7] {
        sender.send(number);
        yields(2).await;
    }
    drop(sender);
    let (seven, ended) = task.await.unwrap();
    assert!(ended && seven.is_ok_and(|value| value == 7));
}

#[apply(runtime_test)]
async fn senders_hear_that_nobody_watches(runtime: Runtime) {
    let (sender, receiver) = watch::channel(0);
    let other = sender.clone();
    let task = runtime.spawn(async move { other.closed().await });
    yields(2).await;
    drop(receiver);
    task.await.unwrap();
    assert_eq!(sender.subscribe().seen(), Some(0), "and may be watched again");
}

#[apply(sim_test)]
async fn updates_of_many_all_count(runtime: Runtime) {
    let (sender, receiver) = watch::channel(0_u64);
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (sender, clock) = (sender.clone(), runtime.clock().clone());
            runtime.spawn(async move {
                for _ in 0..10 {
                    sender.update(|old| old + 1);
                    yields(clock.random_below(2) as usize).await;
                }
            })
        })
        .collect();
    let watcher = runtime.spawn(receiver.map(|value| *value).collect::<Vec<_>>());
    drop(sender);
    for task in tasks {
        task.await.unwrap();
    }
    let seen = watcher.await.unwrap();
    assert!(seen.is_sorted() && seen.last() == Some(&40), "{seen:?}");
}
