//! The bounded channel: order, bound, closing, and whose turn it is.

mod common;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use common::{Bomb, Counted, Woken, live, poll, some};
use futures::{SinkExt, StreamExt};
use weirs_channels_utils::{Closed, SendError, Sent, TryRecvError, bounded, channel};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, yields};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (sender, mut receiver) = bounded(some(3));
    let task = runtime.spawn(async move {
        for number in 0..100 {
            assert_eq!(sender.send(number).await, Ok(Sent::Queued));
        }
    });
    for number in 0..100 {
        assert_eq!(receiver.recv().await, Some(number));
    }
    assert_eq!(receiver.recv().await, None);
    task.await.unwrap();
    assert!(receiver.stats().high_water <= 3);
}

#[apply(runtime_test)]
async fn many_senders_and_receivers_lose_nothing(runtime: Runtime) {
    let (sender, receiver) = bounded(some(2));
    let senders: Vec<_> = (0..4_usize)
        .map(|number| {
            let sender = sender.clone();
            runtime.spawn(async move {
                for item in 0..50 {
                    sender.send((number, item)).await.unwrap();
                }
            })
        })
        .collect();
    let receivers: Vec<_> = (0..3)
        .map(|_| {
            let receiver = receiver.clone();
            runtime.spawn(receiver.collect::<Vec<_>>())
        })
        .collect();
    drop((sender, receiver));
    for task in senders {
        task.await.unwrap();
    }
    let mut all = Vec::new();
    for task in receivers {
        let part = task.await.unwrap();
        for number in 0..4 {
            let of_one: Vec<_> = part.iter().filter(|item| item.0 == number).collect();
            assert!(of_one.is_sorted(), "what one sent comes in order");
        }
        all.extend(part);
    }
    all.sort_unstable();
    let expected: Vec<_> = (0..4).flat_map(|number| (0..50).map(move |item| (number, item))).collect();
    assert_eq!(all, expected);
}

#[apply(runtime_test)]
async fn a_sender_waits_while_it_is_full(_: Runtime) {
    let (sender, mut receiver) = bounded(some(1));
    sender.send(1).await.unwrap();
    let mut second = sender.send(2);
    assert!(futures::poll!(&mut second).is_pending());
    assert_eq!(sender.stats().senders_waiting, 1);
    assert_eq!(receiver.recv().await, Some(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "it is granted, not sent");
    assert_eq!(sender.try_send(3), Err(SendError::Full(3)), "the room is promised");
    assert_eq!(second.await, Ok(Sent::Queued));
    assert_eq!(receiver.recv().await, Some(2));
}

#[test]
fn room_goes_to_those_who_wait_in_their_order() {
    let (sender, mut receiver) = bounded(some(1));
    sender.try_send(0).unwrap();
    let woken: Vec<_> = (0..3).map(|_| Woken::new()).collect();
    let mut sends: Vec<_> = (1..=3).map(|item| sender.send(item)).collect();
    for (send, woken) in sends.iter_mut().zip(&woken) {
        assert!(poll(send, woken).is_pending());
    }
    let mut late = sender.send(9);
    for turn in 0..3 {
        assert_eq!(receiver.try_recv(), Ok(turn));
        assert!(
            woken.iter().enumerate().all(|(at, woken)| woken.times() == usize::from(at <= turn as usize))
        );
        assert!(poll(&mut late, &Woken::new()).is_pending(), "it came later");
        assert!(poll(&mut sends[turn as usize], &woken[turn as usize]).is_ready());
    }
}

#[test]
fn a_grant_that_is_given_up_goes_on() {
    let (sender, mut receiver) = bounded(some(1));
    sender.try_send(0).unwrap();
    let (one, two) = (Woken::new(), Woken::new());
    let (mut first, mut second) = (sender.send(1), sender.send(2));
    assert!(poll(&mut first, &one).is_pending() && poll(&mut second, &two).is_pending());
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!((one.times(), two.times()), (1, 0));
    drop(first);
    assert_eq!(two.times(), 1);
    assert!(poll(&mut second, &two).is_ready());
}

#[apply(runtime_test)]
async fn the_last_sender_ends_it_after_all_items(_: Runtime) {
    let (sender, mut receiver) = bounded(some(4));
    let other = sender.clone();
    sender.send(1).await.unwrap();
    drop(sender);
    assert!(!other.is_closed());
    other.send(2).await.unwrap();
    drop(other);
    assert_eq!((receiver.recv().await, receiver.recv().await), (Some(1), Some(2)));
    assert_eq!(receiver.recv().await, None);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(receiver.recv().await, None, "and again");
}

#[apply(runtime_test)]
async fn close_refuses_new_items_and_gives_the_old(_: Runtime) {
    let (sender, mut receiver) = bounded(some(1));
    sender.send(1).await.unwrap();
    let mut waiting = sender.send(2);
    assert!(futures::poll!(&mut waiting).is_pending());
    receiver.close();
    assert_eq!(waiting.await, Err(SendError::Closed(2)));
    assert_eq!(sender.try_send(3), Err(SendError::Closed(3)));
    assert_eq!(sender.try_reserve(some(1)).unwrap_err(), SendError::Closed(()));
    assert_eq!(receiver.recv().await, Some(1));
    assert_eq!(receiver.recv().await, None);
}

#[test]
fn an_abandoned_receiver_frees_every_pending_sender_at_once() {
    let (sender, receiver) = bounded(some(1));
    sender.try_send(0).unwrap();
    let woken = Woken::new();
    let mut sends: Vec<_> = (0..100).map(|item| sender.send(item)).collect();
    let mut reserve = sender.reserve(some(1));
    let mut closed = sender.closed();
    assert!(sends.iter_mut().all(|send| poll(send, &woken).is_pending()));
    assert!(poll(&mut reserve, &woken).is_pending() && poll(&mut closed, &woken).is_pending());
    drop(receiver);
    assert_eq!(woken.times(), 102);
    for (item, send) in sends.iter_mut().enumerate() {
        assert_eq!(poll(send, &woken), Poll::Ready(Err(SendError::Closed(item))));
    }
    assert!(poll(&mut reserve, &woken).is_ready() && poll(&mut closed, &woken).is_ready());
}

#[test]
fn items_are_dropped_at_once_with_the_last_receiver() {
    let count = Arc::new(());
    let (sender, receiver) = bounded(some(4));
    for _ in 0..4 {
        sender.try_send(Counted::new(&count)).unwrap();
    }
    let other = receiver.clone();
    drop(receiver);
    assert_eq!(live(&count), 4);
    drop(other);
    assert_eq!(live(&count), 0);
    assert!(sender.is_closed());
}

#[apply(runtime_test)]
async fn reserved_room_is_kept(_: Runtime) {
    let (sender, mut receiver) = bounded(some(3));
    let mut permits = sender.reserve(some(2)).await.unwrap();
    assert_eq!(sender.try_send(1), Ok(Sent::Queued));
    assert_eq!(sender.try_send(2), Err(SendError::Full(2)));
    permits.send(3).unwrap();
    assert_eq!(permits.left(), 1);
    drop(permits);
    assert_eq!(sender.try_send(4), Ok(Sent::Queued));
    assert_eq!(receiver.remaining().collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(sender.reserve(some(4)).await.unwrap_err(), SendError::Full(()));
}

#[apply(runtime_test)]
async fn a_big_reservation_waits_and_does_not_stop_try_send(_: Runtime) {
    let (sender, mut receiver) = bounded(some(3));
    sender.send(0).await.unwrap();
    let mut big = sender.reserve(some(3));
    assert!(futures::poll!(&mut big).is_pending());
    assert_eq!(sender.try_send(1), Ok(Sent::Queued), "there is room");
    let mut behind = sender.send(2);
    assert!(futures::poll!(&mut behind).is_pending(), "it came later");
    assert_eq!(receiver.remaining().count(), 2);
    let mut permits = big.await.unwrap();
    assert!(futures::poll!(&mut behind).is_pending());
    permits.send(5).unwrap();
    drop(permits);
    behind.await.unwrap();
    assert_eq!(receiver.remaining().collect::<Vec<_>>(), [5, 2]);
}

#[apply(runtime_test)]
async fn a_reservation_hears_of_the_close(_: Runtime) {
    let (sender, receiver) = bounded(some(2));
    let mut permits = sender.try_reserve(some(2)).unwrap();
    drop(receiver);
    assert_eq!(permits.send(1), Err(Closed(1)));
}

#[apply(runtime_test)]
async fn many_are_sent_as_there_is_room(runtime: Runtime) {
    let (sender, mut receiver) = bounded(some(3));
    let task = runtime.spawn(async move {
        let mut items: VecDeque<_> = (0..20).collect();
        sender.send_all(&mut items).await.unwrap();
        items.len()
    });
    let mut all = Vec::new();
    while receiver.recv_many(&mut all, 2).await > 0 {}
    assert_eq!(all, (0..20).collect::<Vec<_>>());
    assert_eq!(task.await.unwrap(), 0);
    assert!(receiver.stats().high_water <= 3);
}

#[apply(runtime_test)]
async fn a_batch_counts_against_the_bound(_: Runtime) {
    let (sender, receiver) = bounded(some(4));
    for number in 0..4 {
        sender.try_send(number).unwrap();
    }
    let mut batches = receiver.batches(some(3));
    for number in 0..3 {
        assert_eq!(batches.next().await, Some(number));
        assert!(sender.try_send(9).is_err(), "the batch is in hand");
    }
    assert_eq!(batches.next().await, Some(3));
    assert_eq!(sender.stats().len, 1);
    sender.try_send(4).unwrap();
    assert_eq!(batches.next().await, Some(4));
}

#[apply(runtime_test)]
async fn competing_batches_take_their_part(_: Runtime) {
    let (sender, receiver) = bounded(some(8));
    let mut other = receiver.clone();
    let mut batches = receiver.batches(some(8));
    for number in 0..8 {
        sender.try_send(number).unwrap();
    }
    assert_eq!(batches.next().await, Some(0));
    assert_eq!(other.recv().await, Some(4));
    drop(batches);
    assert_eq!(other.remaining().collect::<Vec<_>>(), [1, 2, 3, 5, 6, 7]);
    assert_eq!(sender.stats().received, 8);
}

/// Who would end now would miss what comes back.
#[apply(runtime_test)]
async fn the_end_comes_after_what_others_have_in_hand(_: Runtime) {
    let (sender, receiver) = bounded(some(4));
    let mut other = receiver.clone();
    let last = receiver.clone();
    let mut batches = receiver.batches(some(4));
    sender.send_all(&mut VecDeque::from([1, 2, 3, 4])).await.unwrap();
    drop(last);
    assert_eq!(batches.next().await, Some(1));
    assert_eq!(other.remaining().collect::<Vec<_>>(), [3, 4]);
    drop(sender);
    assert_eq!(other.try_recv(), Err(TryRecvError::Empty));
    let mut waits = Box::pin(other.recv());
    assert!(futures::poll!(&mut waits).is_pending());
    drop(batches);
    assert_eq!(waits.await, Some(2));
    assert_eq!(other.recv().await, None);
}

#[apply(runtime_test)]
async fn a_sink_takes_a_stream(runtime: Runtime) {
    let (sender, receiver) = bounded(some(2));
    let task = runtime.spawn(async move {
        let mut sink = sender.into_sink();
        let mut items = futures::stream::iter(0..10).map(Ok);
        sink.send_all(&mut items).await.unwrap();
        sink.close().await.unwrap();
        assert_eq!(sink.send(11).await, Err(SendError::Closed(11)));
    });
    assert_eq!(receiver.collect::<Vec<_>>().await, (0..10).collect::<Vec<_>>());
    task.await.unwrap();
}

#[test]
fn a_sink_gives_back_the_room_that_it_does_not_use() {
    let (sender, _receiver) = bounded(some(1));
    let mut sink = sender.clone().into_sink();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(sink.poll_ready_unpin(cx).is_ready() && sink.poll_ready_unpin(cx).is_ready());
    assert!(sender.try_send(1).is_err());
    let mut other = sender.clone().into_sink();
    assert!(other.poll_ready_unpin(cx).is_pending());
    drop(sink);
    assert!(other.poll_ready_unpin(cx).is_ready());
    drop(other);
    sender.try_send(1).unwrap();
}

#[test]
fn the_statistics_tell() {
    let (sender, mut receiver) = bounded(some(4));
    for number in 0..3 {
        sender.try_send(number).unwrap();
    }
    receiver.try_recv().unwrap();
    let stats = receiver.stats();
    assert_eq!(stats.to_string(), "2 of 4, at most 3; 3 sent, 1 received");
    let woken = Woken::new();
    assert_eq!(receiver.remaining().count(), 2);
    let mut waits = receiver.recv();
    assert!(poll(&mut waits, &woken).is_pending());
    assert_eq!(sender.stats().receivers_waiting, 1);
    drop(waits);
    assert_eq!(sender.stats().receivers_waiting, 0);
}

#[test]
fn a_receiver_that_gives_up_passes_its_call_on() {
    let (sender, mut receiver) = bounded(some(2));
    let mut other = receiver.clone();
    let (one, two) = (Woken::new(), Woken::new());
    let (mut first, mut second) = (receiver.recv(), other.recv());
    assert!(poll(&mut first, &one).is_pending() && poll(&mut second, &two).is_pending());
    sender.try_send(1).unwrap();
    assert_eq!((one.times(), two.times()), (1, 0));
    drop(first);
    assert_eq!(two.times(), 1);
    assert_eq!(poll(&mut second, &two), Poll::Ready(Some(1)));
}

#[test]
fn a_waker_that_panics_takes_nothing_from_others() {
    let (sender, mut receiver) = bounded(some(1));
    sender.try_send(0).unwrap();
    let bomb = Waker::from(Arc::new(Bomb));
    let woken = Woken::new();
    let mut bombs: Vec<_> = (0..20).map(|item| sender.send(item)).collect();
    for send in &mut bombs {
        assert!(Pin::new(send).poll(&mut Context::from_waker(&bomb)).is_pending());
    }
    let mut last = sender.send(99);
    assert!(poll(&mut last, &woken).is_pending());
    assert_eq!(receiver.try_recv(), Ok(0), "the item is not lost in the panic");
    receiver.close();
    assert_eq!(woken.times(), 1);
}

#[test]
fn a_waker_may_use_the_channel() {
    struct Uses(weirs_channels_utils::Sender<u8>, AtomicUsize);
    impl std::task::Wake for Uses {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1 + self.0.len(), Ordering::Relaxed);
            self.0.close();
        }
    }
    let (sender, mut receiver) = bounded(some(2));
    let uses = Arc::new(Uses(sender.clone(), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&uses));
    let mut waits = receiver.recv();
    assert!(Pin::new(&mut waits).poll(&mut Context::from_waker(&waker)).is_pending());
    sender.try_send(1).unwrap();
    assert_eq!(uses.1.load(Ordering::Relaxed), 2);
    assert!(sender.is_closed());
}

#[apply(runtime_test)]
async fn closed_is_told(runtime: Runtime) {
    let (sender, receiver) = channel::<u8>(some(1)).build();
    let other = sender.clone();
    let task = runtime.spawn(async move { other.closed().await });
    yields(3).await;
    drop(receiver);
    task.await.unwrap();
    assert!(sender.is_closed());
}

#[test]
fn ends_know_each_other() {
    let (sender, receiver) = bounded::<u8>(some(1));
    let (stranger, _other) = bounded::<u8>(some(1));
    assert!(sender.same_channel(&sender.clone()) && !sender.same_channel(&stranger));
    assert!(receiver.same_channel(&receiver.clone()) && receiver.is_from(&sender));
    assert!(!receiver.is_from(&stranger));
}
