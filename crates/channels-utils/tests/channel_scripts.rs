//! Random scripts in the simulator: many senders and receivers of one channel, which send, take, give up,
//! close and go, beside a queue that is too simple to be wrong.
//!
//! The model is kept at the points where something is certain: an item is in it from the moment at which
//! a send says so. What is received is what it says, in its order.

mod common;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use common::{Counted, live, some};
use weirs_channels_utils::{Overflow, Receiver, SendError, Sender, Sent, channel};
use weirs_runtime::{Clock, Runtime};
use weirs_testing::{apply, sim_test, yields};

struct Item {
    sender: usize,
    number: u64,
    _life: Counted,
}

#[derive(Default)]
struct Log {
    /// Who said that which item was sent.
    sent: BTreeSet<(usize, u64)>,
    received: Vec<(usize, u64)>,
    /// Given back by errors, policies and closes.
    back: Vec<(usize, u64)>,
    /// Dropped with a future.
    given_up: Vec<(usize, u64)>,
}

type Shared = Arc<Mutex<Log>>;

/// Polls some times at most: a random point to give up at.
async fn some_polls<F: Future + Unpin>(mut future: F, most: u64) -> Option<F::Output> {
    let mut polls = 0;
    std::future::poll_fn(|cx| {
        if polls > most {
            return std::task::Poll::Ready(None);
        }
        polls += 1;
        let polled = std::pin::Pin::new(&mut future).poll(cx).map(Some);
        if polled.is_pending() && polls > most {
            cx.waker().wake_by_ref();
        }
        polled
    })
    .await
}

async fn sends(who: usize, sender: Sender<Item>, clock: Clock, log: Shared, count: Arc<()>) {
    let item = |number| Item { sender: who, number, _life: Counted::new(&count) };
    let mut number = 0;
    for _ in 0..clock.random_below(12) {
        yields(clock.random_below(3) as usize).await;
        match clock.random_below(8) {
            0..=2 => {
                number += 1;
                let most = if clock.random_below(2) == 0 { 1_000 } else { clock.random_below(3) };
                let sent = some_polls(sender.send(item(number)), most).await;
                said(&log, who, number, sent);
            }
            3 => {
                number += 1;
                said(&log, who, number, Some(sender.try_send(item(number))));
            }
            4 | 5 => {
                let amount = 1 + clock.random_below(4);
                let first = number + 1;
                number += amount;
                let mut items: VecDeque<Item> = (first..=number).map(item).collect();
                some_polls(sender.send_all(&mut items), clock.random_below(6)).await;
                let mut log = log.lock().unwrap();
                let left = items.len() as u64;
                log.sent.extend((first..=number - left).map(|number| (who, number)));
                log.back.extend((number - left + 1..=number).map(|number| (who, number)));
            }
            6 => {
                let amount = some(1 + clock.random_below(2) as usize);
                let permits = some_polls(sender.reserve(amount), clock.random_below(4)).await;
                if let Some(Ok(mut permits)) = permits {
                    yields(clock.random_below(3) as usize).await;
                    for _ in 0..clock.random_below(permits.left() as u64 + 1) {
                        number += 1;
                        let sent = permits.send(item(number));
                        let sent = sent.map(|()| Sent::Queued).map_err(SendError::from);
                        said(&log, who, number, Some(sent));
                    }
                }
            }
            _ if clock.random_below(16) == 0 => sender.close(),
            _ => {}
        }
    }
}

fn said(log: &Shared, who: usize, number: u64, sent: Option<Result<Sent<Item>, SendError<Item>>>) {
    let mut log = log.lock().unwrap();
    match sent {
        None => log.given_up.push((who, number)),
        // What the policy dropped is told by `on_drop`.
        Some(Ok(_)) => {
            log.sent.insert((who, number));
        }
        Some(Err(error)) => {
            let item = error.into_inner();
            assert_eq!((item.sender, item.number), (who, number), "its own comes back");
            log.back.push((who, number));
        }
    }
}

async fn receives(mut receiver: Receiver<Item>, clock: Clock, log: Shared, leaves: bool) {
    use futures::StreamExt;
    let got = |item: Item| log.lock().unwrap().received.push((item.sender, item.number));
    let rounds = if leaves { clock.random_below(12) } else { u64::MAX };
    for _ in 0..rounds {
        match clock.random_below(6) {
            0 | 1 => {
                let most = if leaves { clock.random_below(3) } else { 1_000 };
                match some_polls(receiver.recv(), most).await {
                    Some(Some(item)) => got(item),
                    Some(None) => return,
                    None => {}
                }
            }
            2 => drop(receiver.try_recv().map(got)),
            3 => {
                let mut many = Vec::new();
                some_polls(receiver.recv_many(&mut many, 3), clock.random_below(3)).await;
                many.into_iter().for_each(got);
            }
            4 => {
                let mut batches = receiver.clone().batches(some(1 + clock.random_below(4) as usize));
                for _ in 0..clock.random_below(4) {
                    if let Some(Some(item)) = some_polls(batches.next(), clock.random_below(3)).await {
                        got(item);
                    }
                    yields(clock.random_below(2) as usize).await;
                }
            }
            _ => yields(1).await,
        }
    }
}

#[apply(sim_test)]
async fn random_scripts_lose_nothing(runtime: Runtime) {
    let clock = runtime.clock();
    let policies = [
        Overflow::Block,
        Overflow::Block,
        Overflow::DropOldest,
        Overflow::DropNewest,
        Overflow::Error,
        Overflow::Latest,
        Overflow::Sample(some(2)),
        Overflow::SampleEvery(std::time::Duration::from_nanos(3)),
    ];
    let overflow = policies[clock.random_below(policies.len() as u64) as usize];
    let capacity = 1 + clock.random_below(4) as usize;
    let (log, count) = (Shared::default(), Arc::new(()));
    let seen = Arc::clone(&log);
    let (sender, receiver) = channel(some(capacity))
        .overflow(overflow)
        .clock(clock)
        .on_drop(move |item: &Item| seen.lock().unwrap().back.push((item.sender, item.number)))
        .build();
    let spy = sender.downgrade();
    let mut tasks = Vec::new();
    for who in 0..1 + clock.random_below(3) as usize {
        let log = Arc::clone(&log);
        tasks.push(runtime.spawn(sends(who, sender.clone(), clock.clone(), log, Arc::clone(&count))));
    }
    for number in 0..1 + clock.random_below(3) {
        let log = Arc::clone(&log);
        // The first stays to the end.
        tasks.push(runtime.spawn(receives(receiver.clone(), clock.clone(), log, number > 0)));
    }
    let all = !receiver.is_closed();
    drop((sender, receiver));
    while tasks.iter().any(|task| !task.is_finished()) {
        if let Some(sender) = spy.upgrade() {
            let stats = sender.stats();
            assert!(stats.len <= capacity && stats.high_water <= capacity, "{stats}");
        }
        yields(1).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(all && spy.upgrade().is_none());
    let log = log.lock().unwrap();
    assert_eq!(live(&count), 0, "an item is left somewhere");
    let mut received = log.received.clone();
    received.sort_unstable();
    assert!(received.windows(2).all(|two| two[0] != two[1]), "one was received twice");
    for (who, number) in &log.received {
        assert!(log.sent.contains(&(*who, *number)), "{who} {number} was not sent");
    }
    for item in &log.sent {
        let times = usize::from(received.contains(item)) + usize::from(log.back.contains(item));
        assert_eq!(times, 1, "{item:?} was sent and is lost");
    }
    assert!(log.given_up.iter().all(|item| !received.contains(item)), "given up and received");
}

/// One thread of control, so that the model is exact at every step.
#[apply(sim_test)]
async fn random_steps_go_as_in_a_queue(runtime: Runtime) {
    let clock = runtime.clock();
    let capacity = 1 + clock.random_below(4) as usize;
    let (sender, mut receiver) = channel(some(capacity)).build();
    let mut other = Some(receiver.clone().batches(some(2)));
    let mut model: VecDeque<u64> = VecDeque::new();
    let mut closed = false;
    for number in 0..60 {
        match clock.random_below(10) {
            0..=3 => {
                let sent = sender.try_send(number);
                if closed {
                    assert_eq!(sent, Err(SendError::Closed(number)));
                } else if model.len() == capacity {
                    assert_eq!(sent, Err(SendError::Full(number)));
                } else {
                    assert_eq!(sent, Ok(Sent::Queued));
                    model.push_back(number);
                }
            }
            4 => {
                let mut items = VecDeque::from([number, number + 1_000]);
                some_polls(sender.send_all(&mut items), 0).await;
                let fit = if closed { 0 } else { (capacity - model.len()).min(2) };
                assert_eq!(items.len(), 2 - fit);
                model.extend([number, number + 1_000].into_iter().take(fit));
            }
            5 => {
                let mut many = Vec::new();
                some_polls(receiver.recv_many(&mut many, 2), 0).await;
                let number = model.len().min(2);
                assert_eq!(many, model.drain(..number).collect::<Vec<_>>());
            }
            6 => {
                use futures::StreamExt;
                if let Some(mut batches) = other.take() {
                    let first = some_polls(batches.next(), 0).await.flatten();
                    assert_eq!(first, model.pop_front());
                    drop(batches);
                    other = Some(receiver.clone().batches(some(2)));
                }
            }
            7 if number > 40 => {
                sender.close();
                closed = true;
            }
            _ => assert_eq!(receiver.try_recv().ok(), model.pop_front()),
        }
        assert_eq!((sender.len(), sender.is_closed()), (model.len(), closed));
    }
}
