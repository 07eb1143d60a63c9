//! Receiving from any of several channels.

mod routing;

use std::collections::BTreeMap;

use routing::size;
use weirs_channels_utils::{ReceiveAny, Receiver, Sender, TryRecvError, bounded};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, cancel_at_every_poll, cancel_at_every_wake, runtime_test, sim_test, yields};

fn channels<T>(number: usize, capacity: usize) -> (Vec<Sender<T>>, ReceiveAny<T>) {
    let (senders, receivers): (Vec<_>, Vec<Receiver<T>>) =
        (0..number).map(|_| bounded(size(capacity))).unzip();
    (senders, ReceiveAny::new(receivers))
}

#[apply(runtime_test)]
async fn every_item_with_its_channel_then_the_end(runtime: Runtime) {
    let (senders, mut any) = channels(5, 1);
    for (number, sender) in senders.into_iter().enumerate() {
        runtime
            .spawn(async move {
                for n in 0..20 {
                    sender.send((number, n)).await.unwrap();
                }
            })
            .detach();
    }
    let mut next = BTreeMap::new();
    while let Some((at, (number, n))) = any.recv().await {
        assert_eq!(at, number);
        assert_eq!(std::mem::replace(next.entry(at).or_insert(0), n + 1), n);
    }
    assert!(next.len() == 5 && next.values().all(|next| *next == 20));
    assert_eq!(any.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn it_takes_turns_and_biased_it_does_not() {
    let (senders, mut any) = channels(3, 4);
    let fill = || senders.iter().for_each(|sender| (0..2).for_each(|n| assert!(sender.try_send(n).is_ok())));
    fill();
    let order: Vec<_> = (0..6).map(|_| block_on(any.recv()).unwrap().0).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    fill();
    let mut any = any.biased();
    let order: Vec<_> = (0..6).map(|_| any.try_recv().unwrap().0).collect();
    assert_eq!(order, [0, 0, 1, 1, 2, 2]);
    assert_eq!(any.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(block_on(ReceiveAny::<u8>::new([]).recv()), None);
}

#[apply(runtime_test)]
async fn dropped_at_every_poll_nothing_is_lost_and_others_are_called(runtime: Runtime) {
    let (sender, receiver) = bounded(size(1));
    let (_idle, idle_receiver) = bounded::<u32>(size(1));
    let make = || {
        let mut any = ReceiveAny::new([receiver.clone(), idle_receiver.clone()]);
        let sender = sender.clone();
        async move {
            let (received, ()) = futures::join!(any.recv(), async {
                yields(2).await;
                sender.send(1).await.unwrap();
            });
            received
        }
    };
    let check = async |_| {
        assert_eq!(sender.stats().receivers_waiting, 0);
        let mut other = receiver.clone();
        let other = runtime.spawn(async move { other.recv().await });
        let _ = sender.try_send(2);
        assert!(other.await.unwrap().is_some());
        while receiver.clone().try_recv().is_ok() {}
    };
    cancel_at_every_poll(make, check).await;
    cancel_at_every_wake(make, check).await;
}

#[apply(runtime_test)]
async fn an_item_taken_leaves_no_call_unanswered_in_the_other_channels(runtime: Runtime) {
    let (senders, mut any) = channels(2, 1);
    let mut competitor = any.receivers()[1].clone();
    let first = senders[0].clone();
    runtime.spawn(async move { first.send(0).await.unwrap() }).detach();
    assert_eq!(any.recv().await, Some((0, 0)));
    // Nobody asks `any` now: the other channel's item is the competitor's.
    let task = runtime.spawn(async move { competitor.recv().await });
    senders[1].send(1).await.unwrap();
    assert_eq!(task.await.unwrap(), Some(1));
}

#[apply(sim_test)]
async fn no_message_is_lost_under_a_select_loop(runtime: Runtime) {
    let clock = runtime.clock();
    let (senders, mut any) = channels(3, 1);
    for sender in senders {
        let clock = clock.clone();
        runtime
            .spawn(async move {
                for n in 0..15 {
                    yields(clock.random_below(4) as usize).await;
                    sender.send(n).await.unwrap();
                }
            })
            .detach();
    }
    let mut got = 0;
    loop {
        // The other arm wins again and again, and drops the receive.
        let other = async {
            yields(clock.random_below(3) as usize).await;
            None
        };
        match futures_lite::future::or(async { Some(any.recv().await) }, other).await {
            Some(Some(_)) => got += 1,
            Some(None) => break,
            None => {}
        }
    }
    assert_eq!(got, 45);
}
