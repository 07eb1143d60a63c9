//! What becomes of an item for which there is no room, policy by policy.

mod common;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::some;
use futures::{SinkExt, StreamExt};
use weirs_channels_utils::{Overflow, SendError, Sent, TryRecvError, channel};
use weirs_runtime::Runtime;
use weirs_testing::{apply, runtime_test, sim_test};

#[apply(runtime_test)]
async fn the_oldest_goes(_: Runtime) {
    let (sender, mut receiver) = channel(some(2)).overflow(Overflow::DropOldest).build();
    assert_eq!(sender.send(1).await, Ok(Sent::Queued));
    assert_eq!(sender.send(2).await, Ok(Sent::Queued));
    assert_eq!(sender.send(3).await, Ok(Sent::Evicted(1)));
    assert_eq!(receiver.remaining().collect::<Vec<_>>(), [2, 3]);
    assert_eq!((sender.stats().dropped, sender.stats().sent), (1, 3));
}

#[apply(runtime_test)]
async fn the_newest_goes(_: Runtime) {
    let (sender, mut receiver) = channel(some(2)).overflow(Overflow::DropNewest).build();
    sender.send_all(&mut VecDeque::from([1, 2])).await.unwrap();
    assert_eq!(sender.send(3).await, Ok(Sent::Refused(3)));
    assert_eq!(receiver.remaining().collect::<Vec<_>>(), [1, 2]);
    assert_eq!((sender.stats().dropped, sender.stats().sent), (1, 2));
}

#[apply(runtime_test)]
async fn only_the_latest_stays(_: Runtime) {
    let (sender, mut receiver) = channel(some(8)).overflow(Overflow::Latest).build();
    assert_eq!(sender.capacity(), 1);
    for number in 0..5 {
        sender.send(number).await.unwrap();
    }
    assert_eq!(receiver.recv().await, Some(4));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    sender.send(5).await.unwrap();
    drop(sender);
    assert_eq!((receiver.recv().await, receiver.recv().await), (Some(5), None), "the last is always seen");
}

#[apply(runtime_test)]
async fn one_of_some_is_taken(_: Runtime) {
    let (sender, mut receiver) = channel(some(2)).overflow(Overflow::Sample(some(3))).build();
    let sent: Vec<_> = (0..9).map(|number| sender.try_send(number).unwrap()).collect();
    assert!(sent[0].is_queued() && sent[3].is_queued());
    assert_eq!(sent[6], Sent::Refused(6), "it is full");
    assert_eq!(receiver.remaining().collect::<Vec<_>>(), [0, 3]);
    assert_eq!(sender.stats().dropped, 7);
}

#[apply(sim_test)]
async fn one_a_period_is_taken(runtime: Runtime) {
    let clock = runtime.clock();
    let every = Overflow::SampleEvery(Duration::from_millis(10));
    let (sender, mut receiver) = channel(some(100)).overflow(every).clock(clock).build();
    for number in 0..100 {
        sender.send(number).await.unwrap();
        clock.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(receiver.remaining().collect::<Vec<_>>(), (0..10).map(|at| at * 10).collect::<Vec<_>>());
    let forever = Overflow::SampleEvery(Duration::MAX);
    let (sender, mut receiver) = channel(some(100)).overflow(forever).clock(clock).build();
    assert_eq!((0..5).filter(|number| sender.try_send(*number).unwrap().is_queued()).count(), 1);
    assert_eq!(receiver.remaining().collect::<Vec<_>>(), [0]);
}

#[apply(runtime_test)]
async fn the_sender_gets_an_error(_: Runtime) {
    let (sender, mut receiver) = channel(some(2)).overflow(Overflow::Error).build();
    let mut items = VecDeque::from([1, 2, 3, 4]);
    assert_eq!(sender.send_all(&mut items).await, Err(SendError::Full(())));
    assert_eq!(items, [3, 4], "what was not sent is still there");
    assert_eq!(sender.send(3).await, Err(SendError::Full(3)));
    assert_eq!(receiver.remaining().collect::<Vec<_>>(), [1, 2]);
    sender.close();
    assert_eq!(sender.send_all(&mut items).await, Err(SendError::Closed(())));
    assert_eq!(items, [3, 4]);
}

#[apply(runtime_test)]
async fn drops_are_seen(_: Runtime) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&seen);
    let (sender, receiver) = channel(some(1))
        .overflow(Overflow::DropOldest)
        .on_drop(move |item: &u8| inside.lock().unwrap().push(*item))
        .build();
    sender.send_all(&mut VecDeque::from([1, 2])).await.unwrap();
    let mut sink = sender.into_sink();
    sink.send_all(&mut futures::stream::iter([Ok(3), Ok(4)])).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    drop(sink);
    assert_eq!(receiver.collect::<Vec<_>>().await, [4]);
    assert_eq!(seen.lock().unwrap().len(), 3, "what is received was not dropped");
}

#[test]
fn a_panic_in_on_drop_leaves_the_channel_whole() {
    let (sender, mut receiver) = channel(some(1))
        .overflow(Overflow::DropNewest)
        .on_drop(|_: &u8| std::panic::resume_unwind(Box::new("seen")))
        .build();
    sender.try_send(1).unwrap();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sender.try_send(2))).is_err());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(sender.try_send(3), Ok(Sent::Queued));
    assert_eq!(sender.stats().dropped, 1);
}

#[test]
fn reserved_room_is_not_evicted() {
    let (sender, mut receiver) = channel(some(1)).overflow(Overflow::DropOldest).build();
    let mut permit = sender.try_reserve(some(1)).unwrap();
    assert_eq!(sender.try_send(1), Ok(Sent::Refused(1)));
    permit.send(2).unwrap();
    assert_eq!(sender.try_send(3), Ok(Sent::Evicted(2)));
    assert_eq!(receiver.try_recv(), Ok(3));
}
