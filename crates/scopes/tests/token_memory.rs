//! What tokens allocate and what they leave behind. One test, for the count is of the whole process.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use weirs_scopes::{CancelToken, Reason};
use weirs_testing::{Allocations, CountingAllocator, ManualClock};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const MANY: usize = 10_000;

#[test]
fn nothing_is_left_and_little_is_taken() {
    let time = ManualClock::new();
    let root = CancelToken::with_clock(time.clock().clone());

    // A first child makes the parent's list; from then on it is there.
    leaves_nothing("children", || drop((0..MANY).map(|_| root.child()).collect::<Vec<_>>()));
    leaves_nothing("children, the first first", || {
        let mut children: Vec<_> = (0..MANY).map(|_| root.child()).collect();
        children.reverse();
    });
    leaves_nothing("children one by one", || (0..MANY).for_each(|_| drop(root.child().child())));
    leaves_nothing("deadlines", || (0..MANY).for_each(|_| drop(root.child_after(Duration::from_secs(1)))));
    leaves_nothing("links", || {
        (0..MANY).for_each(|_| drop(CancelToken::linked([&root, &CancelToken::new()])));
    });
    leaves_nothing("cancelled links", || {
        (0..MANY).for_each(|_| assert!(CancelToken::linked([&root, &root]).cancel(Reason::Requested)));
    });
    leaves_nothing("callbacks", || {
        drop((0..MANY).map(|_| root.on_cancel(|_| {})).collect::<Vec<_>>());
    });
    leaves_nothing("cancelled children", || {
        let children: Vec<_> = (0..MANY).map(|_| root.child()).collect();
        children.iter().for_each(|child| assert!(child.cancel("with a text")));
    });
    leaves_nothing("waiters", || {
        let mut waiting: Vec<_> = (0..MANY).map(|_| root.cancelled()).collect();
        let mut cx = Context::from_waker(Waker::noop());
        waiting.iter_mut().for_each(|one| assert!(pin!(one).poll(&mut cx).is_pending()));
    });
    leaves_nothing("a tree that is cancelled", || {
        let root = CancelToken::new();
        let children: Vec<_> = (0..MANY).map(|_| root.child()).collect();
        let kept: Vec<_> = children.iter().map(|child| child.on_cancel(|_| {})).collect();
        assert!(root.cancel("all"));
        drop((children, kept));
    });

    let children = Vec::with_capacity(MANY);
    let (children, taken) = Allocations::measure(|| {
        let mut children = children;
        children.extend((0..MANY).map(|_| root.child()));
        children
    });
    assert!(taken.leaked_bytes as usize <= 108 * MANY, "{taken:?}");
    assert!(taken.leaked <= MANY as i64 + HARNESS, "one each: {taken:?}");
    drop(children);

    let token = root.child();
    let ((), one_waiter) = Allocations::measure(|| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..MANY {
            assert!(pin!(token.cancelled()).poll(&mut cx).is_pending());
        }
    });
    assert!(one_waiter.count < HARNESS as u64, "a single waiter needs no memory: {one_waiter:?}");
}

/// The test harness has a thread of its own, which may allocate a little at any time. What is looked for
/// here comes by the thousand.
const HARNESS: i64 = 32;

/// The third round as against the second.
#[track_caller]
fn leaves_nothing(what: &str, round: impl Fn()) {
    round();
    round();
    let ((), third) = Allocations::measure(&round);
    assert!(third.leaked < HARNESS, "{what}: {third:?}");
    // The room of a short list of children differs from round to round.
    assert!(third.leaked_bytes <= 4_096, "{what}: {third:?}");
}
