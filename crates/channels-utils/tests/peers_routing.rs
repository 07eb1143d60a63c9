//! What went wrong in other libraries, so that it does not here.

mod routing;

use futures::{StreamExt, stream};
use routing::{Polls, poll, size};
use weirs_channels_utils::{Merge, Merged2, ReceiveAny, Slow, StreamUtil, bounded, merge, merge_tuple};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, runtime_test, yields};

/// A group that begins each look at its lowest key serves nobody else: 8000, 0, 0, 0, 0, 0, 0, 0.
#[test]
fn a_group_that_begins_at_the_lowest_key_starves_the_others() {
    let items = block_on(merge((0..8).map(stream::repeat)).take(8_000).collect::<Vec<_>>());
    let counts: Vec<_> = (0..8).map(|n| items.iter().filter(|item| **item == n).count()).collect();
    assert!(counts.iter().all(|count| (984..=1_016).contains(count)), "{counts:?}");
}

/// Merges of merges give the first stream 1 of 2^n: 63, 62, 125, 250, 500, 1000, 2000, 4000.
#[test]
fn chained_merges_fall_off_and_a_flat_one_does_not() {
    let mut merged = Merge::new();
    for n in 0..8 {
        merged.push(stream::repeat(n).take(1_000));
    }
    let first = block_on(merged.take(1_280).collect::<Vec<_>>());
    assert!((0..8).all(|n| first.iter().filter(|item| **item == n).count() >= 144));
}

/// A map that asks every input for every item: a thousand polls each.
#[test]
fn a_thousand_idle_inputs_cost_no_polls() {
    let polls = Polls::default();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..1_000).map(|_| bounded(size(1))).unzip();
    let mut merged = merge(receivers.into_iter().map(|receiver| polls.of(receiver)));
    (0..20).for_each(|_| assert!(poll(&mut merged).is_pending()));
    assert_eq!(polls.now(), 1_000);
    for n in 0..100 {
        senders[n * 7].try_send(n).unwrap();
        assert_eq!(block_on(merged.next()), Some(n));
    }
    assert!(polls.now() <= 1_200, "{}", polls.now());
}

/// A choice that always looks left first never sees the right.
#[test]
fn a_stream_that_is_always_ready_does_not_starve_the_other() {
    let merged = merge_tuple((stream::repeat(1), stream::iter(0..50)));
    let items = block_on(merged.take(100).collect::<Vec<_>>());
    assert_eq!(items.iter().filter(|item| matches!(item, Merged2::Second(_))).count(), 50);
}

/// One slow consumer of a broadcast stops all, and nothing can be done about it.
#[apply(runtime_test)]
async fn one_slow_consumer_of_a_tee_does_what_its_policy_says(_runtime: Runtime) {
    for (slow, left) in [(Slow::DropOldest, 5), (Slow::DropNewest, 5), (Slow::Disconnect, 5)] {
        let hub = stream::iter(0..100).tee_hub(size(4));
        let idle = hub.subscribe_with(slow);
        assert_eq!(hub.subscribe().count().await, 100);
        assert_eq!(idle.count().await, left);
    }
}

/// A receive that lost a select took its message with it.
#[apply(runtime_test)]
async fn no_message_is_lost_when_a_receive_loses_a_select(runtime: Runtime) {
    let (sender, receiver) = bounded(size(1));
    let mut any = ReceiveAny::new([receiver]);
    let task = runtime.spawn(async move {
        for n in 0..200 {
            sender.send(n).await.unwrap();
        }
    });
    let mut items = Vec::new();
    loop {
        let receive = async { Some(any.recv().await) };
        let other = async {
            yields(1).await;
            None
        };
        match futures_lite::future::or(receive, other).await {
            Some(Some((_, n))) => items.push(n),
            Some(None) => break,
            None => {}
        }
    }
    task.await.unwrap();
    assert!(items.into_iter().eq(0..200));
}

/// A channel that is read as a stream wakes everybody who reads for each message.
#[test]
fn one_item_does_not_wake_every_stream_of_a_channel() {
    let (sender, receiver) = bounded(size(4));
    let wakes: Vec<_> = (0..16).map(|_| std::sync::Arc::new(Wakes::default())).collect();
    let mut streams: Vec<_> = wakes.iter().map(|_| receiver.clone()).collect();
    for (stream, wakes) in streams.iter_mut().zip(&wakes) {
        let waker = std::task::Waker::from(wakes.clone());
        assert!(stream.poll_next_unpin(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    sender.try_send(1).unwrap();
    let woken: usize = wakes.iter().map(|wakes| wakes.0.load(std::sync::atomic::Ordering::Relaxed)).sum();
    assert_eq!(woken, 1);
}

#[derive(Default)]
struct Wakes(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}
