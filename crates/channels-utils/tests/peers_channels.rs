//! What bit the users of other channels, each a named test.

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use common::{Counted, Woken, live, poll, some};
use futures::{SinkExt, StreamExt};
use weirs_channels_utils::broadcast::{self, Missed, Slow};
use weirs_channels_utils::{
    Overflow, SendError, Sent, bounded, channel, oneshot, priority, rendezvous, watch,
};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, yields};

// Cancel safety.

/// kanal#24: a `recv` that is dropped as an item is handed to it destroys the item.
#[test]
fn an_item_is_not_lost_with_a_receive_that_was_just_woken() {
    let woken = Woken::new();
    let (sender, mut receiver) = bounded(some(1));
    let mut lost = 0;
    for number in 0..200 {
        let mut receive = receiver.recv();
        assert!(poll(&mut receive, &woken).is_pending());
        sender.try_send(number).unwrap();
        drop(receive);
        lost += usize::from(receiver.try_recv() != Ok(number));
    }
    assert_eq!(lost, 0);
}

/// kanal#63: a stream of a channel with `buffer_unordered` freed twice.
#[apply(runtime_test)]
async fn a_stream_may_be_buffered(runtime: Runtime) {
    let (sender, receiver) = bounded(some(2));
    let task = runtime.spawn(async move { sender.send_all(&mut (0..100).map(Box::new).collect()).await });
    let doubled = receiver.map(|item| async move {
        yields(*item % 3).await;
        *item * 2
    });
    let mut all: Vec<_> = doubled.buffer_unordered(8).collect().await;
    all.sort_unstable();
    assert_eq!(all, (0..100).map(|item| item * 2).collect::<Vec<_>>());
    task.await.unwrap().unwrap();
}

/// flume, found by iroh: a notification is lost with a receive that is dropped.
#[test]
fn a_dropped_receive_passes_its_call_on() {
    let (sender, mut one) = bounded(some(4));
    let mut two = one.clone();
    let woken = Woken::new();
    for number in 0..100 {
        let (mut first, mut second) = (one.recv(), two.recv());
        assert!(poll(&mut first, &Woken::new()).is_pending() && poll(&mut second, &woken).is_pending());
        sender.try_send(number).unwrap();
        drop(first);
        assert_eq!(poll(&mut second, &woken), Poll::Ready(Some(number)));
    }
    assert_eq!(woken.times(), 100);
}

/// crossfire#70: an item is lost between `try_recv` and the drop of the sender.
#[apply(runtime_test)]
async fn the_last_item_is_seen_though_its_sender_is_gone(runtime: Runtime) {
    for _ in 0..50 {
        let (sender, mut receiver) = bounded(some(1));
        let task = runtime.spawn(async move { sender.send(1).await.unwrap() });
        let mut got = 0;
        loop {
            match receiver.try_recv() {
                Ok(item) => got += item,
                Err(weirs_channels_utils::TryRecvError::Closed) => break,
                Err(_) => yields(1).await,
            }
        }
        assert_eq!(got, 1);
        task.await.unwrap();
    }
}

/// crossfire#72: a send that is never polled leaks its item.
#[test]
fn a_send_that_is_never_polled_drops_its_item() {
    let count = Arc::new(());
    let (sender, _receiver) = bounded(some(1));
    drop(sender.send(Counted::new(&count)));
    let (sender, _receiver) = rendezvous::channel();
    drop(sender.send(Counted::new(&count)));
    assert_eq!(live(&count), 0);
}

/// thingbuf#83: senders hang when it is full.
#[apply(runtime_test)]
async fn many_senders_of_a_full_channel_all_get_through(runtime: Runtime) {
    let (sender, mut receiver) = bounded(some(1));
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let sender = sender.clone();
            runtime.spawn(async move {
                for _ in 0..10 {
                    sender.send(number).await.unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    let mut sum = 0;
    while let Some(number) = receiver.recv().await {
        sum += number;
    }
    assert_eq!(sum, 1_900);
    for task in tasks {
        task.await.unwrap();
    }
}

/// thingbuf 0.1.6 dropped a stored waker twice, which ends the process on smol.
#[test]
fn each_waker_is_dropped_once() {
    let (woken, waits_for_end) = (Woken::new(), Woken::new());
    let (sender, mut receiver) = bounded(some(1));
    let mut end = sender.closed();
    assert!(poll(&mut end, &waits_for_end).is_pending());
    for number in 0..100 {
        let mut receive = receiver.recv();
        assert!(poll(&mut receive, &woken).is_pending());
        assert!(poll(&mut receive, &Woken::new()).is_pending(), "with another waker");
        sender.try_send(number).unwrap();
        assert!(poll(&mut receive, &woken).is_ready());
    }
    assert_eq!(Arc::strong_count(&woken), 1);
    drop(receiver);
    drop(end);
    assert_eq!((Arc::strong_count(&waits_for_end), waits_for_end.times()), (1, 1));
}

// Rendezvous.

/// async-std#419, flume#145: what a cancelled receiver was offered has not been sent.
#[apply(runtime_test)]
async fn an_offer_to_a_receiver_that_goes_was_not_sent(_: Runtime) {
    let (sender, mut receiver) = rendezvous::channel();
    let mut receive = Box::pin(receiver.recv());
    assert!(futures::poll!(&mut receive).is_pending());
    let mut send = sender.send("precious");
    assert!(futures::poll!(&mut send).is_pending());
    drop(receive);
    assert!(futures::poll!(&mut send).is_pending());
    assert_eq!(receiver.recv().await, Some("precious"));
    assert_eq!(send.await, Ok(()));
}

// Dropped receivers.

/// async-channel#23: a reply channel in an item that nobody will take keeps whoever asked waiting.
#[apply(runtime_test)]
async fn a_queued_request_is_cancelled_with_the_last_receiver(_: Runtime) {
    let (sender, receiver) = bounded::<oneshot::Request<u8, u8>>(some(4));
    let mut call = sender.call(1);
    assert!(futures::poll!(&mut call).is_pending());
    drop(receiver);
    assert_eq!(call.await, Err(oneshot::CallError::Canceled));
}

// Overflow.

/// async-channel#44: the oldest makes room, and is given back.
#[test]
fn the_evicted_item_comes_back() {
    let (sender, _receiver) = channel(some(1)).overflow(Overflow::DropOldest).build();
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2), Ok(Sent::Evicted(1)));
}

/// kotlinx#2391: a buffer of nothing that drops silently means one of one. Here there is no zero.
#[test]
fn a_capacity_is_what_it_says() {
    for capacity in 1..5 {
        let (sender, _receiver) = channel(some(capacity)).overflow(Overflow::DropNewest).build();
        let queued = (0..9).filter(|number| sender.try_send(*number).unwrap().is_queued()).count();
        assert_eq!(queued, capacity);
    }
}

/// reactor#2013: prefetching makes a policy look as if it did nothing.
#[apply(runtime_test)]
async fn a_batch_in_hand_leaves_the_policy_its_room(_: Runtime) {
    let (sender, receiver) = channel(some(2)).overflow(Overflow::DropNewest).build();
    let mut batches = receiver.batches(some(2));
    sender.send_all(&mut VecDeque::from([1, 2])).await.unwrap();
    assert_eq!(batches.next().await, Some(1));
    assert_eq!(sender.try_send(3), Ok(Sent::Refused(3)), "two are in, as the capacity says");
}

// watch.

/// tokio#7228: a value that is sent when nobody listens is dropped.
#[test]
fn a_value_is_stored_though_nobody_watches() {
    let (sender, receiver) = watch::channel(1);
    drop(receiver);
    sender.send(2);
    assert_eq!(*sender.subscribe().latest(), 2);
}

/// tokio#4246: a value that is borrowed across a send deadlocks.
#[test]
fn a_value_may_be_held_while_another_is_sent() {
    let (sender, receiver) = watch::channel(1);
    let held = receiver.latest();
    sender.send(2);
    sender.update(|old| old + *held);
    assert_eq!((*held, *receiver.latest()), (1, 3));
}

// mpsc reservation.

/// tokio#7709: room that is held stops others though there is more.
#[apply(runtime_test)]
async fn held_room_does_not_stop_others(_: Runtime) {
    let (sender, mut receiver) = bounded(some(3));
    let mut held = sender.reserve(some(1)).await.unwrap();
    for number in 0..10 {
        sender.send(number).await.unwrap();
        assert_eq!(receiver.recv().await, Some(number));
    }
    held.send(10).unwrap();
}

/// tokio#8075, #8260: who waits is not woken by a close while room is reserved.
#[test]
fn a_close_is_heard_while_room_is_reserved() {
    let (sender, mut receiver) = bounded(some(1));
    let mut permit = sender.try_reserve(some(1)).unwrap();
    let woken = Woken::new();
    let mut waits = sender.send(1);
    let mut receive = receiver.recv();
    assert!(poll(&mut waits, &woken).is_pending() && poll(&mut receive, &woken).is_pending());
    sender.close();
    assert_eq!(woken.times(), 2);
    assert_eq!(poll(&mut waits, &woken), Poll::Ready(Err(SendError::Closed(1))));
    assert_eq!(poll(&mut receive, &woken), Poll::Ready(None));
    assert!(permit.send(2).is_err());
}

/// tokio#8062, #8074: `try_recv` and `len` count room that is reserved.
#[test]
fn reserved_room_is_no_item() {
    let (sender, mut receiver) = bounded::<u8>(some(4));
    let _permits = sender.try_reserve(some(3)).unwrap();
    assert!(receiver.is_empty() && sender.is_empty());
    assert_eq!(receiver.try_recv(), Err(weirs_channels_utils::TryRecvError::Empty));
}

// Broadcast.

/// ibapi#779, async-broadcast#55: the stream swallows what says that items are missing.
#[apply(runtime_test)]
async fn a_stream_says_what_is_missing(_: Runtime) {
    let (sender, receiver) = broadcast::builder(some(1)).slow(Slow::DropOldest).build();
    (0..3).for_each(|number| assert_eq!(sender.try_send(number), Ok(1)));
    drop(sender);
    assert_eq!(receiver.collect::<Vec<_>>().await, [Err(Missed::Lagged(2)), Ok(2)]);
}

/// async-broadcast#34, #45: with the last receiver it is closed for good.
#[test]
fn a_broadcast_lives_without_receivers() {
    let (sender, receiver) = broadcast::channel(some(1));
    drop(receiver);
    assert_eq!(sender.try_send(1), Ok(0));
    let mut receiver = sender.subscribe();
    assert_eq!(sender.try_send(2), Ok(1));
    assert_eq!(receiver.try_recv(), Ok(Ok(2)));
}

/// akka#25069, kotlinx#4224, vector#19938: one slow consumer stalls all, and cannot be let go.
#[apply(runtime_test)]
async fn one_slow_receiver_may_be_let_go(_: Runtime) {
    let (sender, mut good) = broadcast::channel(some(2));
    let mut slow = sender.subscribe_with(Slow::Disconnect);
    for number in 0..10 {
        sender.send(number).await.unwrap();
        assert_eq!(good.recv().await, Some(Ok(number)));
    }
    assert_eq!((slow.recv().await, slow.recv().await), (Some(Ok(0)), Some(Ok(1))));
    assert_eq!((slow.recv().await, slow.recv().await), (Some(Err(Missed::Disconnected)), None));
}

// Priority.

/// async-priority-channel#75: equals come in any order.
#[test]
fn equals_come_in_order() {
    let (sender, mut receiver) = priority::channel(some(1), some(100));
    (0..100).for_each(|number| sender.try_send(0, number).unwrap());
    (0..100).for_each(|number| assert_eq!(receiver.try_recv(), Ok(number)));
}

/// telcoin-network#992: what is less urgent starves.
#[test]
fn what_is_less_urgent_has_its_turn() {
    let (sender, mut receiver) = priority::channel(some(2), some(2));
    sender.try_send(1, "later").unwrap();
    let turn = (0..1_000).find(|_| {
        sender.try_send(0, "now").unwrap();
        receiver.try_recv() == Ok("later")
    });
    assert_eq!(turn, Some(64));
}

/// A sink that was made ready and is not used holds its place for ever.
#[test]
fn a_sink_that_is_dropped_gives_its_place() {
    let (sender, mut receiver) = bounded(some(1));
    let mut sink = sender.clone().into_sink();
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    assert!(sink.poll_ready_unpin(cx).is_ready());
    drop(sink);
    assert_eq!(sender.try_send(1), Ok(Sent::Queued));
    assert_eq!(receiver.try_recv(), Ok(1));
}
