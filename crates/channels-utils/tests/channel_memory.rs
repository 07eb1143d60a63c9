//! In the long run a channel allocates nothing for an item. One test, for the count is of the whole
//! process.

mod common;

use std::collections::VecDeque;
use std::task::{Context, Waker};

use common::some;
use futures::StreamExt;
use weirs_channels_utils::{bounded, broadcast, priority, rendezvous};
use weirs_testing::{Allocations, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn allocates_nothing(what: &str, mut round: impl FnMut()) {
    (0..100).for_each(|_| round());
    let ((), taken) = Allocations::measure(|| (0..10_000).for_each(|_| round()));
    // The test harness has a thread of its own, which may allocate a little at any time.
    assert!(taken.count < 32, "{what}: {taken:?}");
}

/// Polls once; says whether it was ready.
macro_rules! ready {
    ($future:expr) => {
        std::pin::Pin::new(&mut $future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    };
}

#[test]
fn nothing_is_allocated_for_an_item() {
    let (sender, mut receiver) = bounded::<u64>(some(8));
    allocates_nothing("without waiting", || {
        assert!(ready!(sender.send(1)));
        assert!(ready!(receiver.recv()));
    });
    allocates_nothing("waiting at both ends", || {
        assert!(!ready!(receiver.recv()));
        (0..8).for_each(|_| assert!(ready!(sender.send(1))));
        let mut waits = sender.send(2);
        assert!(!ready!(waits));
        (0..8).for_each(|_| assert!(ready!(receiver.recv())));
        assert!(ready!(waits) && ready!(receiver.recv()));
    });
    let (sender, receiver) = bounded::<u64>(some(8));
    let mut batches = receiver.batches(some(8));
    let mut items = VecDeque::new();
    allocates_nothing("batches", || {
        items.extend(0..8);
        assert!(ready!(sender.send_all(&mut items)));
        (0..8).for_each(|_| assert!(ready!(batches.next())));
        assert!(!ready!(batches.next()));
    });
    let (sender, mut receiver) = rendezvous::channel::<u64>();
    allocates_nothing("rendezvous", || {
        let mut send = sender.send(1);
        assert!(!ready!(send) && ready!(receiver.recv()) && ready!(send));
        assert!(!ready!(receiver.recv()));
    });
    let (sender, mut receiver) = priority::channel::<u64>(some(3), some(4));
    allocates_nothing("priority", || {
        (0..4).for_each(|number| assert!(ready!(sender.send(number % 3, 1))));
        (0..4).for_each(|_| assert!(ready!(receiver.recv())));
        assert!(!ready!(receiver.recv()));
    });
    let (sender, mut one) = broadcast::channel::<u64>(some(8));
    let mut two = sender.subscribe().batches(some(8));
    let mut items = VecDeque::new();
    allocates_nothing("broadcast", || {
        assert!(!ready!(one.recv()) && !ready!(two.next()));
        assert!(ready!(sender.send(1)));
        items.extend(0..7);
        assert!(ready!(sender.send_all(&mut items)));
        (0..8).for_each(|_| assert!(ready!(one.recv()) && ready!(two.next())));
    });
}
