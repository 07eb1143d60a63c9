//! The token under every interleaving of cancelling it, making and dropping children, and waiting.
//!
//! loom sees the token's own atomics and locks; the counts of [`std::sync::Arc`] are not among them.
#![cfg(loom)]

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;
use weirs_runtime::{Clock, Instant, TimerDriver, TimerKey};
use weirs_scopes::{CancelToken, Reason};

#[test]
fn a_child_made_meanwhile_is_cancelled() {
    for why in [Reason::Shutdown, Reason::from("a text")] {
        loom::model(move || {
            let token = CancelToken::new();
            let other = token.clone();
            let expected = why.clone();
            let why = why.clone();
            let canceller = thread::spawn(move || other.cancel(why));
            let child = token.child();
            let grandchild = child.child();
            assert!(canceller.join().unwrap());
            assert_eq!(child.reason(), Some(expected.clone()));
            assert_eq!(grandchild.reason(), Some(expected));
        });
    }
}

#[test]
fn a_child_may_be_dropped_meanwhile() {
    loom::model(|| {
        let token = CancelToken::new();
        let (child, sibling) = (token.child(), token.child());
        let weak = [token.downgrade(), child.downgrade(), sibling.downgrade()];
        let other = token.clone();
        let canceller = thread::spawn(move || other.cancel(Reason::Requested));
        drop(child);
        canceller.join().unwrap();
        assert!(sibling.is_cancelled());
        drop((sibling, token));
        assert!(weak.iter().all(|weak| weak.upgrade().is_none()));
    });
}

#[test]
fn the_last_token_and_the_last_child_go_together() {
    loom::model(|| {
        let root = CancelToken::new();
        let middle = root.child();
        let leaf = middle.child();
        let weak = middle.downgrade();
        let other = thread::spawn(move || drop(middle));
        drop(leaf);
        other.join().unwrap();
        assert!(weak.upgrade().is_none(), "it has left the root");
        assert!(root.cancel(Reason::Requested));
    });
}

/// A deadline holds no token of its node.
#[test]
fn a_node_that_expires_as_it_loses_its_tokens_leaves() {
    loom::model(|| {
        let time = OneTimer::default();
        let root = CancelToken::with_clock(Clock::new(time.clone()));
        let middle = root.child_until(Instant::from_nanos(1));
        let leaf = middle.child();
        let weak = root.downgrade();
        let other = time.clone();
        let driver = thread::spawn(move || other.strike());
        drop(middle);
        // For loom, which does not see the counts of an `Arc`, to let the timer strike here.
        drop(time.0.1.lock());
        drop(leaf);
        driver.join().unwrap();
        drop(root);
        assert!(weak.upgrade().is_none(), "a child that has not left keeps it");
    });
}

/// A clock of two moments, with one timer. The lock is loom's: where a timer strikes is for it to choose.
#[derive(Clone, Default)]
struct OneTimer(Arc<(AtomicU64, loom::sync::Mutex<Option<Waker>>)>);

impl OneTimer {
    fn strike(&self) {
        self.0.0.store(1, Ordering::Relaxed);
        let waker = self.0.1.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

impl TimerDriver for OneTimer {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.0.load(Ordering::Relaxed))
    }

    fn insert(&self, _: Instant, waker: &Waker) -> Option<TimerKey> {
        *self.0.1.lock().unwrap() = Some(waker.clone());
        Some(TimerKey::new(NonZeroU64::MIN))
    }

    fn refresh(&self, _: TimerKey, _: &Waker) -> bool {
        unreachable!("a token polls its timer once")
    }

    fn remove(&self, _: TimerKey) {
        let waker = self.0.1.lock().unwrap().take();
        drop(waker);
    }
}

#[test]
fn a_weak_token_is_taken_up_or_gone() {
    loom::model(|| {
        let root = CancelToken::new();
        let middle = root.child();
        let leaf = middle.child();
        let weak = middle.downgrade();
        drop(middle);
        let other = thread::spawn(move || drop(leaf));
        let taken = weak.upgrade();
        other.join().unwrap();
        if let Some(taken) = taken {
            let child = taken.child();
            root.cancel(Reason::Requested);
            assert!(taken.is_cancelled() || child.is_cancelled());
            assert_eq!(taken.is_cancelled(), child.is_cancelled());
        } else {
            root.cancel(Reason::Requested);
        }
    });
}

#[test]
fn two_children_dropped_at_once_leave_nothing() {
    loom::model(|| {
        let root = CancelToken::new();
        let (one, two, three) = (root.child(), root.child(), root.child());
        let weak = [one.downgrade(), two.downgrade()];
        let other = thread::spawn(move || drop(one));
        drop(two);
        other.join().unwrap();
        assert!(weak.iter().all(|weak| weak.upgrade().is_none()));
        root.cancel(Reason::Requested);
        assert!(three.is_cancelled());
    });
}

#[test]
fn whoever_waits_is_woken() {
    for why in [Reason::Shutdown, Reason::from("a text")] {
        loom::model(move || {
            let token = CancelToken::new();
            let (other, why) = (token.clone(), why.clone());
            let expected = why.clone();
            let canceller = thread::spawn(move || other.cancel(why));
            let (old, new) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
            let mut waiting = token.cancelled();
            let mut pending = poll(&mut waiting, &old).is_pending();
            if pending {
                pending = poll(&mut waiting, &new).is_pending();
            }
            canceller.join().unwrap();
            if pending {
                assert_eq!(new.times(), 1, "it waited with this waker");
            }
            assert_eq!(poll(&mut waiting, &new), Poll::Ready(expected));
            drop(waiting);
            assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 1), "no waker is kept");
        });
    }
}

#[test]
fn whoever_stops_waiting_leaves_nothing() {
    loom::model(|| {
        let token = CancelToken::new();
        let other = token.clone();
        let (first, second) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let (mut one, mut two) = (token.cancelled(), token.cancelled());
        assert!(poll(&mut one, &first).is_pending());
        assert!(poll(&mut two, &second).is_pending());
        let canceller = thread::spawn(move || other.cancel(Reason::Requested));
        drop(one);
        canceller.join().unwrap();
        assert_eq!(second.times(), 1);
        drop(two);
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 1));
    });
}

#[test]
fn a_callback_is_called_or_taken_out() {
    loom::model(|| {
        let token = CancelToken::new();
        let other = token.clone();
        let calls = Arc::new(AtomicUsize::new(0));
        let inside = Arc::clone(&calls);
        let canceller = thread::spawn(move || other.cancel(Reason::Requested));
        let registration = token.on_cancel(move |_| {
            inside.fetch_add(1, Ordering::Relaxed);
        });
        let taken_out = registration.unregister();
        canceller.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), usize::from(!taken_out));
        assert_eq!(Arc::strong_count(&calls), 1);
    });
}

#[test]
fn one_of_two_cancellers_is_first() {
    for below in [false, true] {
        loom::model(move || {
            let root = CancelToken::new();
            let child = root.child();
            let calls = Arc::new(AtomicUsize::new(0));
            let inside = Arc::clone(&calls);
            let count = move |_: &Reason| {
                inside.fetch_add(1, Ordering::Relaxed);
            };
            let registration = child.on_cancel(count);
            let other = if below { child.clone() } else { root.clone() };
            let canceller = thread::spawn(move || other.cancel("a text"));
            let ours = root.cancel(Reason::Shutdown);
            let theirs = canceller.join().unwrap();
            assert!(if below { ours } else { ours != theirs });
            assert_eq!(calls.load(Ordering::Relaxed), 1);
            assert_eq!(root.reason() == Some(Reason::Shutdown), ours);
            assert_eq!(child.reason() == Some(Reason::Shutdown), !theirs);
            drop(registration);
        });
    }
}

#[test]
fn a_link_is_made_while_its_source_is_cancelled() {
    loom::model(|| {
        let source = CancelToken::new();
        let other = source.clone();
        let canceller = thread::spawn(move || other.cancel(Reason::Shutdown));
        let linked = CancelToken::linked([&source]);
        canceller.join().unwrap();
        assert_eq!(linked.reason(), Some(Reason::Shutdown));
        let weak = [source.downgrade(), linked.downgrade()];
        drop((source, linked));
        assert!(weak.iter().all(|weak| weak.upgrade().is_none()));
    });
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<F: Future + Unpin>(future: &mut F, woken: &Arc<Woken>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(woken));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}
