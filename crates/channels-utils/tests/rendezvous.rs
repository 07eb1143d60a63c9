//! Handing over: a send has completed when its item was taken, not before.

mod common;

use std::sync::Arc;
use std::task::Poll;

use common::{Counted, Woken, live, poll};
use futures::StreamExt;
use weirs_channels_utils::{Closed, TryRecvError, rendezvous};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test, yields};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (sender, receiver) = rendezvous::channel();
    let task = runtime.spawn(async move {
        for number in 0..50 {
            sender.send(number).await.unwrap();
        }
    });
    assert_eq!(receiver.collect::<Vec<_>>().await, (0..50).collect::<Vec<_>>());
    task.await.unwrap();
}

#[test]
fn a_send_completes_when_its_item_was_taken() {
    let (sender, mut receiver) = rendezvous::channel();
    let (one, two) = (Woken::new(), Woken::new());
    let mut receive = receiver.recv();
    assert!(poll(&mut receive, &two).is_pending());
    let mut send = sender.send(1);
    assert!(poll(&mut send, &one).is_pending(), "somebody waits, but has not taken it");
    assert_eq!((one.times(), two.times()), (0, 1));
    assert_eq!(poll(&mut receive, &two), Poll::Ready(Some(1)));
    assert_eq!(one.times(), 1);
    assert_eq!(poll(&mut send, &one), Poll::Ready(Ok(())));
}

/// What the receiver was told of is not sent when it goes.
#[test]
fn a_cancelled_receiver_has_not_received() {
    let (sender, mut receiver) = rendezvous::channel();
    let woken = Woken::new();
    let mut receive = receiver.recv();
    assert!(poll(&mut receive, &woken).is_pending());
    let mut send = sender.send(1);
    assert!(poll(&mut send, &woken).is_pending());
    drop(receive);
    drop(receiver);
    assert_eq!(poll(&mut send, &woken), Poll::Ready(Err(Closed(1))));
}

#[test]
fn an_offer_can_be_taken_back_until_it_is_taken() {
    let (sender, mut receiver) = rendezvous::channel();
    let woken = Woken::new();
    let (mut one, mut two) = (sender.send(1), sender.send(2));
    assert!(poll(&mut one, &woken).is_pending() && poll(&mut two, &woken).is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!((one.take_back(), two.take_back()), (None, Some(2)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.send(3).take_back(), Some(3), "it was not offered yet");
}

#[test]
fn both_sides_are_first_come_first_served() {
    let (sender, receiver) = rendezvous::channel();
    let woken = Woken::new();
    let mut receivers = [(); 3].map(|()| receiver.clone());
    let mut receives: Vec<_> = receivers.iter_mut().map(|receiver| receiver.recv()).collect();
    assert!(receives.iter_mut().all(|receive| poll(receive, &woken).is_pending()));
    let mut sends: Vec<_> = (0..3).map(|number| sender.send(number)).collect();
    assert!(sends.iter_mut().all(|send| poll(send, &woken).is_pending()));
    let mut late = receiver.clone();
    assert_eq!(late.try_recv(), Err(TryRecvError::Empty), "all are promised");
    for (number, receive) in receives.iter_mut().enumerate() {
        assert_eq!(poll(receive, &woken), Poll::Ready(Some(number)));
    }
}

/// Called, and the offer was withdrawn: it does not lose its place.
#[test]
fn who_was_called_in_vain_is_first_again() {
    let (sender, receiver) = rendezvous::channel();
    let woken = Woken::new();
    let (mut one, mut two) = (receiver.clone(), receiver.clone());
    let (mut first, mut second) = (one.recv(), two.recv());
    assert!(poll(&mut first, &woken).is_pending() && poll(&mut second, &woken).is_pending());
    let mut send = sender.send(1);
    assert!(poll(&mut send, &woken).is_pending());
    assert_eq!(send.take_back(), Some(1));
    assert!(poll(&mut first, &woken).is_pending());
    let mut send = sender.send(2);
    assert!(poll(&mut send, &woken).is_pending());
    assert!(poll(&mut second, &woken).is_pending());
    assert_eq!(poll(&mut first, &woken), Poll::Ready(Some(2)));
}

#[test]
fn an_abandoned_receiver_gives_every_item_back() {
    let (sender, receiver) = rendezvous::channel();
    let woken = Woken::new();
    let mut sends: Vec<_> = (0..50).map(|number| sender.send(number)).collect();
    assert!(sends.iter_mut().all(|send| poll(send, &woken).is_pending()));
    drop(receiver);
    assert_eq!(woken.times(), 50);
    for (number, send) in sends.iter_mut().enumerate() {
        assert_eq!(poll(send, &woken), Poll::Ready(Err(Closed(number))));
    }
}

#[apply(runtime_test)]
async fn the_last_sender_ends_it(runtime: Runtime) {
    let (sender, mut receiver) = rendezvous::channel::<u8>();
    let task = runtime.spawn(async move { receiver.recv().await });
    yields(2).await;
    drop(sender);
    assert_eq!(task.await.unwrap(), None);
}

#[test]
fn a_dropped_send_drops_its_item() {
    let count = Arc::new(());
    let (sender, _receiver) = rendezvous::channel();
    let mut send = sender.send(Counted::new(&count));
    assert!(poll(&mut send, &Woken::new()).is_pending());
    drop(send);
    assert_eq!(live(&count), 0);
}

#[apply(sim_test)]
async fn random_scripts_hand_over_exactly(runtime: Runtime) {
    let clock = runtime.clock();
    let (sender, receiver) = rendezvous::channel::<u64>();
    let senders: Vec<_> = (0..3)
        .map(|who| {
            let (sender, clock) = (sender.clone(), clock.clone());
            runtime.spawn(async move {
                let mut sent = Vec::new();
                for number in 0..10 {
                    let mut send = sender.send(who * 100 + number);
                    let done = futures::poll!(&mut send).is_ready();
                    yields(clock.random_below(4) as usize).await;
                    if !done && clock.random_below(3) > 0 {
                        if send.await.is_ok() {
                            sent.push(who * 100 + number);
                        }
                    } else if send.take_back().is_none() {
                        sent.push(who * 100 + number);
                    }
                }
                sent
            })
        })
        .collect();
    drop(sender);
    let receivers: Vec<_> = (0..3)
        .map(|who| {
            let (mut receiver, clock) = (receiver.clone(), clock.clone());
            runtime.spawn(async move {
                let mut received = Vec::new();
                loop {
                    if who > 0 && clock.random_below(2) == 0 {
                        let mut receive = receiver.recv();
                        if let Poll::Ready(Some(number)) = futures::poll!(&mut receive) {
                            received.push(number);
                        }
                        yields(1).await;
                    }
                    match receiver.recv().await {
                        Some(number) => received.push(number),
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
        received.extend(task.await.unwrap());
    }
    sent.sort_unstable();
    received.sort_unstable();
    assert_eq!(sent, received);
}
