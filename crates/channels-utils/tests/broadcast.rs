//! Every item to every receiver: one order, a bound, and what a slow receiver means.

mod common;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use common::{Woken, live, poll, some};
use futures::StreamExt;
use weirs_channels_utils::broadcast::{self, Missed, Slow};
use weirs_channels_utils::{Closed, SendError, TryRecvError};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test, yields};

fn all<T: Clone>(receiver: &mut broadcast::Receiver<T>) -> Vec<Result<T, Missed>> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (sender, one) = broadcast::channel(some(4));
    let receivers = [one, sender.subscribe(), sender.subscribe()];
    let tasks = receivers.map(|receiver| runtime.spawn(receiver.collect::<Vec<_>>()));
    for number in 0..50 {
        assert_eq!(sender.send(number).await, Ok(3));
    }
    sender.send_all(&mut (50..100).collect()).await.unwrap();
    assert!(sender.stats().high_water <= 4);
    drop(sender);
    for task in tasks {
        assert_eq!(task.await.unwrap(), (0..100).map(Ok).collect::<Vec<_>>());
    }
}

#[apply(runtime_test)]
async fn the_slowest_receiver_holds_the_senders(_: Runtime) {
    let (sender, mut fast) = broadcast::channel(some(2));
    let mut slow = sender.subscribe();
    let mut items = VecDeque::from([1, 2, 3]);
    let mut sends = sender.send_all(&mut items);
    assert!(futures::poll!(&mut sends).is_pending());
    assert_eq!(all(&mut fast), [Ok(1), Ok(2)]);
    assert!(futures::poll!(&mut sends).is_pending());
    assert_eq!(slow.recv().await, Some(Ok(1)));
    assert_eq!(sends.await, Ok(()));
    assert_eq!(all(&mut slow), [Ok(2), Ok(3)]);
    assert_eq!(all(&mut fast), [Ok(3)]);
}

#[test]
fn a_receiver_that_goes_frees_its_room() {
    let (sender, fast) = broadcast::channel(some(1));
    let mut other = sender.subscribe();
    sender.try_send(1).unwrap();
    other.try_recv().unwrap().unwrap();
    let woken = Woken::new();
    let mut send = sender.send(2);
    assert!(poll(&mut send, &woken).is_pending());
    assert_eq!(sender.try_send(3), Err(SendError::Full(3)));
    drop(fast);
    assert_eq!(woken.times(), 1);
    assert_eq!(poll(&mut send, &woken), Poll::Ready(Ok(1)));
    assert_eq!(all(&mut other), [Ok(2)]);
}

#[apply(runtime_test)]
async fn without_receivers_items_are_dropped(_: Runtime) {
    let (sender, receiver) = broadcast::channel(some(1));
    drop(receiver);
    for number in 0..5 {
        assert_eq!(sender.send(number).await, Ok(0));
    }
    sender.send_all(&mut VecDeque::from([5, 6])).await.unwrap();
    assert!(!sender.is_closed());
    let mut late = sender.subscribe();
    assert_eq!(sender.send(9).await, Ok(1));
    assert_eq!(late.recv().await, Some(Ok(9)), "from the tail");
}

#[apply(runtime_test)]
async fn senders_may_wait_for_receivers(runtime: Runtime) {
    let (sender, receiver) = broadcast::builder(some(1)).wait_for_receivers().build();
    drop(receiver);
    let other = sender.clone();
    let task = runtime.spawn(async move { other.send(1).await });
    yields(3).await;
    let mut late = sender.subscribe();
    assert_eq!(late.recv().await, Some(Ok(1)));
    assert_eq!(task.await.unwrap(), Ok(1));
}

#[test]
fn a_sender_whose_receiver_goes_as_it_is_called_keeps_its_turn() {
    let (sender, receiver) = broadcast::builder(some(1)).wait_for_receivers().build();
    drop(receiver);
    let woken = Woken::new();
    let (mut one, mut two) = (sender.send(1), sender.send(2));
    assert!(poll(&mut one, &woken).is_pending() && poll(&mut two, &woken).is_pending());
    drop(sender.subscribe());
    assert_eq!(woken.times(), 1);
    assert!(poll(&mut one, &woken).is_pending());
    let mut receiver = sender.subscribe();
    assert!(poll(&mut two, &woken).is_pending());
    assert!(poll(&mut one, &woken).is_ready());
    assert_eq!(all(&mut receiver), [Ok(1)]);
    assert!(poll(&mut two, &woken).is_ready());
}

#[test]
fn the_last_items_are_replayed() {
    let (sender, mut early) = broadcast::builder(some(8)).replay(2).build();
    for number in 0..5 {
        sender.try_send(number).unwrap();
    }
    let mut late = sender.subscribe();
    sender.try_send(5).unwrap();
    assert_eq!(late.len(), 3);
    assert_eq!(all(&mut late), [Ok(3), Ok(4), Ok(5)]);
    assert_eq!(all(&mut early).len(), 6);
    drop((early, late));
    sender.try_send(6).unwrap();
    let mut later = sender.subscribe();
    let mut many = Vec::new();
    assert_eq!(futures::executor::block_on(later.recv_many(&mut many, 8)), Ok(2));
    assert_eq!(many, [5, 6]);
}

#[test]
fn the_slow_lose_and_hear_how_many() {
    let (sender, mut wait) = broadcast::channel(some(2));
    let mut oldest = sender.subscribe_with(Slow::DropOldest);
    let mut newest = sender.subscribe_with(Slow::DropNewest);
    let mut gone = sender.subscribe_with(Slow::Disconnect);
    for number in 0..4 {
        assert_eq!(sender.try_send(number), Ok(if number < 3 { 4 } else { 3 }));
        assert_eq!(wait.try_recv(), Ok(Ok(number)));
    }
    assert_eq!(all(&mut oldest), [Err(Missed::Lagged(2)), Ok(2), Ok(3)]);
    assert_eq!(newest.try_recv(), Ok(Ok(0)));
    sender.try_send(4).unwrap();
    assert_eq!(all(&mut newest), [Ok(1), Err(Missed::Lagged(2)), Ok(4)]);
    assert_eq!(all(&mut gone), [Ok(0), Ok(1), Err(Missed::Disconnected)]);
    assert_eq!(gone.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(sender.stats().missed, 2 + 2 + 1);
}

#[test]
fn gaps_that_fall_out_are_counted_in() {
    let (sender, mut keeper) = broadcast::channel(some(3));
    let mut slow = sender.subscribe_with(Slow::DropOldest);
    let mut items = VecDeque::new();
    for number in 0..30 {
        items.push_back(number);
        futures::executor::block_on(sender.send_all(&mut items)).unwrap();
        keeper.try_recv().unwrap().unwrap();
    }
    assert_eq!(all(&mut slow), [Err(Missed::Lagged(27)), Ok(27), Ok(28), Ok(29)]);
}

#[test]
fn a_batch_in_hand_counts() {
    let (sender, receiver) = broadcast::channel(some(4));
    let mut batches = receiver.batches(some(4));
    (0..4).for_each(|number| assert_eq!(sender.try_send(number), Ok(1)));
    for number in 0..4 {
        assert_eq!(futures::executor::block_on(batches.next()), Some(Ok(number)));
        assert!(sender.try_send(9).is_err());
    }
    assert!(poll(&mut batches.next(), &Woken::new()).is_pending());
    assert_eq!(sender.try_send(4), Ok(1));
    drop(batches);
    assert_eq!(sender.receivers(), 0);
}

#[test]
fn the_end_comes_after_all_items() {
    let (sender, mut receiver) = broadcast::channel(some(2));
    let woken = Woken::new();
    let mut others: Vec<_> = (0..20).map(|_| sender.subscribe()).collect();
    let mut waits: Vec<_> = others.iter_mut().map(|receiver| receiver.recv()).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait, &woken).is_pending()));
    let closer = sender.clone();
    closer.close();
    assert_eq!(woken.times(), 20);
    assert!(waits.iter_mut().all(|wait| poll(wait, &woken) == Poll::Ready(None)));
    assert_eq!(futures::executor::block_on(sender.send(1)), Err(Closed(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

/// Clones are user code: a panic in one sends to nobody, and loses nothing else.
#[test]
fn a_clone_that_panics_sends_to_nobody() {
    struct Shy(u8, Arc<AtomicUsize>);
    impl Clone for Shy {
        fn clone(&self) -> Self {
            if self.1.fetch_add(1, Ordering::Relaxed) == 3 {
                std::panic::resume_unwind(Box::new("not me"));
            }
            Self(self.0, Arc::clone(&self.1))
        }
    }
    let clones = Arc::new(AtomicUsize::new(0));
    let shy = |number| Shy(number, Arc::clone(&clones));
    let (sender, mut one) = broadcast::channel(some(8));
    let mut rest = [sender.subscribe(), sender.subscribe()];
    let mut items: VecDeque<_> = (0..3).map(shy).collect();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        futures::executor::block_on(sender.send_all(&mut items)).unwrap();
    }));
    assert!(failed.is_err());
    assert_eq!((items.len(), one.len()), (3, 0));
    futures::executor::block_on(sender.send_all(&mut items)).unwrap();
    for receiver in rest.iter_mut().chain([&mut one]) {
        let got: Vec<_> = all(receiver).into_iter().map(|shy| shy.unwrap().0).collect();
        assert_eq!(got, [0, 1, 2]);
    }
}

#[test]
fn items_go_with_their_receivers() {
    let count = Arc::new(());
    let (sender, one) = broadcast::builder(some(4)).replay(1).build();
    let two = sender.subscribe();
    for _ in 0..3 {
        sender.try_send(Arc::clone(&count)).unwrap();
    }
    assert_eq!(live(&count), 3 * 2 + 1);
    drop(one);
    assert_eq!(live(&count), 3 + 1);
    drop(two);
    assert_eq!(live(&count), 1);
    drop(sender);
    assert_eq!(live(&count), 0);
}

#[apply(sim_test)]
async fn random_scripts_have_one_order(runtime: Runtime) {
    let clock = runtime.clock();
    let capacity = 1 + clock.random_below(4) as usize;
    let (sender, first) = broadcast::builder(some(capacity)).replay(clock.random_below(3) as usize).build();
    let mut senders = Vec::new();
    for who in 0..3_u64 {
        let (sender, clock) = (sender.clone(), clock.clone());
        senders.push(runtime.spawn(async move {
            let mut sent = Vec::new();
            for number in 0..8 {
                let item = who * 100 + number * 3;
                if clock.random_below(2) == 0 {
                    let mut send = sender.send(item);
                    let mut done = futures::poll!(&mut send).is_ready();
                    if !done && clock.random_below(4) > 0 {
                        done = send.await.is_ok();
                    }
                    sent.extend(done.then_some(item));
                } else {
                    let mut items = VecDeque::from([item, item + 1, item + 2]);
                    let mut sends = sender.send_all(&mut items);
                    let done = futures::poll!(&mut sends).is_ready();
                    if !done && clock.random_below(4) > 0 {
                        sends.await.unwrap();
                    } else {
                        drop(sends);
                    }
                    let left = items.len() as u64;
                    sent.extend(item..item + 3 - left);
                }
                yields(clock.random_below(2) as usize).await;
            }
            sent
        }));
    }
    let reads = |receiver: broadcast::Receiver<u64>, leaves: bool| {
        let clock = clock.clone();
        runtime.spawn(async move {
            let mut got = Vec::new();
            if clock.random_below(2) == 0 {
                let mut batches = receiver.batches(some(1 + clock.random_below(3) as usize));
                while let Some(item) = batches.next().await {
                    got.push(item.unwrap());
                    if leaves && clock.random_below(8) == 0 {
                        break;
                    }
                    yields(clock.random_below(2) as usize).await;
                }
                return got;
            }
            let mut receiver = receiver;
            loop {
                if clock.random_below(3) == 0 {
                    let mut given_up = receiver.recv();
                    if let Poll::Ready(Some(item)) = futures::poll!(&mut given_up) {
                        got.push(item.unwrap());
                    }
                }
                match receiver.recv().await {
                    Some(item) => got.push(item.unwrap()),
                    None => return got,
                }
            }
        })
    };
    let whole = reads(first, false);
    let mut parts = Vec::new();
    for number in 0..3 {
        yields(clock.random_below(4) as usize).await;
        parts.push(reads(sender.subscribe(), number > 0));
    }
    let spy = sender.clone();
    drop(sender);
    let mut sent = Vec::new();
    for task in senders {
        sent.extend(task.await.unwrap());
    }
    assert!(spy.stats().high_water <= capacity);
    drop(spy);
    let whole = whole.await.unwrap();
    for part in parts {
        let part = part.await.unwrap();
        let is_part = part.is_empty() || whole.windows(part.len()).any(|window| window == part);
        assert!(is_part, "{part:?} is no part of {whole:?}");
    }
    let mut sorted = whole.clone();
    sorted.sort_unstable();
    sent.sort_unstable();
    assert_eq!(sorted, sent, "what was sent, and nothing else");
}
