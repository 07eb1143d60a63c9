//! Whatever waits at a channel, dropped at each of its polls and wakes.

mod common;

use std::cell::RefCell;
use std::collections::VecDeque;

use common::some;
use futures::StreamExt;
use futures::future::join;
use weirs_channels_utils::{Receiver, Sender, bounded, broadcast, oneshot, priority, rendezvous, watch};
use weirs_runtime::block_on;
use weirs_testing::{cancel_at_every_poll, cancel_at_every_wake, yields};

type Ends = RefCell<Option<(Sender<u32>, Receiver<u32>)>>;

/// A channel that is full with two, and a task that takes both after a while.
fn full(ends: &Ends) -> (Sender<u32>, Receiver<u32>) {
    let (sender, receiver) = bounded(some(2));
    sender.try_send(0).unwrap();
    sender.try_send(1).unwrap();
    *ends.borrow_mut() = Some((sender.clone(), receiver.clone()));
    (sender, receiver)
}

async fn take(mut receiver: Receiver<u32>, number: usize) {
    for _ in 0..number {
        yields(1).await;
        receiver.try_recv().ok();
    }
}

/// What is left is of whole items, and all room that nobody uses is free.
fn check(ends: &Ends) -> Vec<u32> {
    let (sender, mut receiver) = ends.take().unwrap();
    let left: Vec<u32> = receiver.remaining().collect();
    assert!(left.is_sorted(), "{left:?}");
    for item in [8, 9] {
        assert!(sender.try_send(item).is_ok(), "room was lost");
    }
    assert!(sender.try_send(10).is_err(), "room was won");
    assert_eq!(receiver.try_recv(), Ok(8));
    assert_eq!((sender.stats().senders_waiting, sender.stats().receivers_waiting), (0, 0));
    left
}

macro_rules! at_every_point {
    ($make:expr, $check:expr) => {{
        block_on(cancel_at_every_poll($make, async |_| $check));
        block_on(cancel_at_every_wake($make, async |_| $check));
    }};
}

#[test]
fn a_dropped_send_did_not_send() {
    let ends = Ends::default();
    let sent = RefCell::new(false);
    at_every_point!(
        || {
            let (sender, receiver) = full(&ends);
            *sent.borrow_mut() = false;
            let sent = &sent;
            async move {
                let send = async {
                    sender.send(2).await.unwrap();
                    *sent.borrow_mut() = true;
                };
                join(send, take(receiver, 1)).await;
            }
        },
        assert_eq!(check(&ends).contains(&2), *sent.borrow())
    );
}

#[test]
fn a_dropped_send_all_sent_what_is_not_there_any_more() {
    let ends = Ends::default();
    let items = RefCell::new(VecDeque::new());
    block_on(cancel_at_every_poll(
        || {
            let (sender, receiver) = full(&ends);
            let items = &items;
            async move {
                let mut mine = VecDeque::from([2, 3, 4]);
                {
                    let all = async { sender.send_all(&mut mine).await.unwrap() };
                    join(all, take(receiver, 5)).await;
                }
                *items.borrow_mut() = mine;
            }
        },
        async |_| drop(check(&ends)),
    ));
    assert!(items.borrow().is_empty());

    // The items are the caller's: they are all somewhere.
    for polls in 0..6 {
        let (sender, mut receiver) = bounded(some(1));
        let mut mine: VecDeque<u32> = (0..4).collect();
        let mut got = Vec::new();
        {
            let woken = common::Woken::new();
            let mut all = sender.send_all(&mut mine);
            for _ in 0..polls {
                if common::poll(&mut all, &woken).is_ready() {
                    break;
                }
                got.extend(receiver.try_recv());
            }
        }
        got.extend(receiver.remaining());
        got.extend(mine);
        assert_eq!(got, [0, 1, 2, 3], "dropped after {polls} polls");
    }
}

#[test]
fn a_dropped_reserve_holds_nothing() {
    let ends = Ends::default();
    at_every_point!(
        || {
            let (sender, receiver) = full(&ends);
            async move {
                let reserve = async {
                    let permits = sender.reserve(some(2)).await.unwrap();
                    yields(2).await;
                    drop(permits);
                };
                join(reserve, take(receiver, 2)).await;
            }
        },
        drop(check(&ends))
    );
}

#[test]
fn a_dropped_receive_took_nothing() {
    let ends = Ends::default();
    let got = RefCell::new(Vec::new());
    at_every_point!(
        || {
            let (sender, mut receiver) = bounded(some(2));
            *ends.borrow_mut() = Some((sender.clone(), receiver.clone()));
            got.borrow_mut().clear();
            let got = &got;
            async move {
                let send = async {
                    for item in 0..2 {
                        yields(1).await;
                        sender.send(item).await.unwrap();
                    }
                };
                let receive = async {
                    let item = receiver.recv().await.unwrap();
                    got.borrow_mut().push(item);
                    let mut many = Vec::new();
                    receiver.recv_many(&mut many, 4).await;
                    got.borrow_mut().extend(many);
                };
                join(send, receive).await;
            }
        },
        {
            let mut all = got.borrow().clone();
            let sent = ends.borrow().as_ref().unwrap().0.stats().sent as usize;
            all.extend(check(&ends));
            assert_eq!(all, [0, 1][..sent]);
        }
    );
}

#[test]
fn a_dropped_batch_is_back_in_front() {
    let ends = Ends::default();
    let got = RefCell::new(Vec::new());
    at_every_point!(
        || {
            let (sender, receiver) = full(&ends);
            got.borrow_mut().clear();
            let got = &got;
            async move {
                let mut batches = receiver.batches(some(2));
                drop(sender);
                for _ in 0..2 {
                    let item = batches.next().await.unwrap();
                    got.borrow_mut().push(item);
                    yields(1).await;
                }
            }
        },
        {
            let mut all = got.borrow().clone();
            all.extend(check(&ends));
            assert_eq!(all, [0, 1]);
        }
    );
}

#[test]
fn a_dropped_wait_for_the_end_leaves_nothing() {
    at_every_point!(
        || async {
            let (sender, receiver) = bounded::<u8>(some(1));
            let mut receiver = Some(receiver);
            join(sender.closed(), async {
                yields(2).await;
                drop(receiver.take());
            })
            .await;
        },
        ()
    );
}

#[test]
fn a_rendezvous_dropped_on_either_side_loses_nothing() {
    type State = (Option<u8>, Option<u8>, Option<(rendezvous::Sender<u8>, rendezvous::Receiver<u8>)>);
    let state = RefCell::<State>::default();
    at_every_point!(
        || {
            let (sender, mut receiver) = rendezvous::channel();
            *state.borrow_mut() = (None, None, Some((sender.clone(), receiver.clone())));
            let state = &state;
            async move {
                let send = async {
                    yields(1).await;
                    let sent = sender.send(7).await;
                    state.borrow_mut().0 = sent.ok().map(|()| 7);
                };
                let receive = async {
                    let got = receiver.recv().await;
                    state.borrow_mut().1 = got;
                };
                join(send, receive).await;
            }
        },
        {
            let (sent, got, ends) = state.take();
            assert!(sent.is_none() || got.is_some(), "sent and not received");
            let stats = ends.unwrap().0.stats();
            assert_eq!((stats.senders_waiting, stats.receivers_waiting), (0, 0));
            assert_eq!(stats.sent, u64::from(got.is_some()));
        }
    );
}

#[test]
fn the_other_channels_are_left_clean() {
    at_every_point!(
        || async {
            let (mut sender, receiver) = oneshot::channel::<u8>();
            let mut receiver = Some(receiver);
            let drop_it = async {
                yields(2).await;
                drop(receiver.take());
            };
            join(sender.closed(), drop_it).await;
        },
        ()
    );
    at_every_point!(
        || async {
            let (sender, mut receiver) = watch::channel(0);
            let send = async {
                yields(2).await;
                sender.send(1);
            };
            let (value, ()) = join(receiver.changed(), send).await;
            assert_eq!(*value.unwrap(), 1);
        },
        ()
    );
}

#[test]
fn a_dropped_broadcast_goes_to_all_or_none() {
    type Three = (broadcast::Sender<u8>, broadcast::Receiver<u8>, broadcast::Receiver<u8>);
    let ends = RefCell::<Option<Three>>::default();
    let make = || {
        let (sender, one) = broadcast::channel(some(1));
        let two = sender.subscribe();
        sender.try_send(0).unwrap();
        *ends.borrow_mut() = Some((sender.clone(), one, two));
        let ends = &ends;
        async move {
            let receive = async {
                for _ in 0..2 {
                    yields(1).await;
                    ends.borrow_mut().as_mut().map(|ends| ends.1.try_recv().ok());
                    ends.borrow_mut().as_mut().map(|ends| ends.2.try_recv().ok());
                }
            };
            join(sender.send(1), receive).await.0.unwrap();
            sender.send_all(&mut VecDeque::from([2])).await.ok();
        }
    };
    let check = || {
        let (sender, mut one, mut two) = ends.take().unwrap();
        let mut of_one: Vec<_> = std::iter::from_fn(|| one.try_recv().ok()).collect();
        let mut of_two: Vec<_> = std::iter::from_fn(|| two.try_recv().ok()).collect();
        assert_eq!(of_one.pop(), of_two.pop());
        assert_eq!(sender.stats().senders_waiting, 0);
        assert_eq!(sender.try_send(9), Ok(2), "nobody's turn is left");
    };
    at_every_point!(make, check());
}

#[test]
fn a_dropped_priority_send_leaves_its_room() {
    let ends = RefCell::<Option<(priority::Sender<u8>, priority::Receiver<u8>)>>::default();
    at_every_point!(
        || {
            let (sender, mut receiver) = priority::channel(some(2), some(1));
            sender.try_send(1, 0).unwrap();
            *ends.borrow_mut() = Some((sender.clone(), receiver.clone()));
            async move {
                let receive = async {
                    yields(2).await;
                    receiver.recv().await.unwrap();
                    receiver.recv().await.unwrap();
                };
                join(sender.send(0, 1), receive).await.0.unwrap();
            }
        },
        {
            let (sender, mut receiver) = ends.take().unwrap();
            while receiver.try_recv().is_ok() {}
            sender.try_send(0, 1).unwrap();
            let stats = sender.stats();
            assert_eq!((stats.senders_waiting, stats.receivers_waiting), (0, 0));
        }
    );
}
