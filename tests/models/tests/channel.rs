//! The bounded channel under every interleaving of what two threads do with it.
//!
//! A model that is stuck, because a call was lost, is one that loom ends with a failure: all wait by
//! loom's own `block_on`.
#![cfg(loom)]

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::future::block_on;
use loom::thread;
use weirs_channels_utils::{SendError, bounded, rendezvous};

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

#[test]
fn what_is_sent_is_received() {
    loom::model(|| {
        let (sender, mut receiver) = bounded(one());
        let other = thread::spawn(move || {
            block_on(async {
                for item in 0..2 {
                    sender.send(item).await.unwrap();
                }
            });
        });
        assert_eq!(block_on(receiver.recv()), Some(0));
        assert_eq!(block_on(receiver.recv()), Some(1));
        assert_eq!(block_on(receiver.recv()), None);
        assert_eq!(receiver.stats().high_water, 1);
        other.join().unwrap();
    });
}

/// A sender that gives up as it is called: the next in the queue is called in its place.
#[test]
fn a_grant_is_not_lost() {
    loom::model(|| {
        let (sender, mut receiver) = bounded(one());
        sender.try_send(0).unwrap();
        let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
        let clone = sender.clone();
        let (mut first, mut second) = (clone.send(1), sender.send(2));
        assert!(poll(&mut first, &woken[0]).is_pending());
        assert!(poll(&mut second, &woken[1]).is_pending());
        let taker = thread::spawn(move || {
            assert_eq!(receiver.try_recv(), Ok(0));
            receiver
        });
        drop(first);
        let mut receiver = taker.join().unwrap();
        assert_eq!(woken[1].times(), 1);
        assert!(poll(&mut second, &woken[1]).is_ready());
        assert_eq!(receiver.try_recv(), Ok(2));
        assert_eq!(Arc::strong_count(&woken[0]), 1, "its waker is not kept");
    });
}

#[test]
fn a_close_meets_a_send() {
    loom::model(|| {
        let (sender, mut receiver) = bounded(one());
        sender.try_send(0).unwrap();
        let other = thread::spawn(move || block_on(sender.send(1)));
        receiver.close();
        assert_eq!(receiver.try_recv(), Ok(0));
        let sent = other.join().unwrap();
        assert_eq!(sent, Err(SendError::Closed(1)));
        assert_eq!(block_on(receiver.recv()), None);
    });
}

#[test]
fn the_last_receiver_meets_a_send() {
    loom::model(|| {
        let count = Arc::new(());
        let (sender, receiver) = bounded(one());
        sender.try_send(Arc::clone(&count)).unwrap();
        let item = Arc::clone(&count);
        let other = thread::spawn(move || block_on(sender.send(item)).is_err());
        drop(receiver);
        assert!(other.join().unwrap());
        assert_eq!(Arc::strong_count(&count), 1);
    });
}

#[test]
fn two_receivers_take_what_two_send() {
    loom::model(|| {
        let (sender, mut receiver) = bounded(one());
        let mut other = receiver.clone();
        let taker = thread::spawn(move || block_on(other.recv()).unwrap());
        let clone = sender.clone();
        let giver = thread::spawn(move || block_on(clone.send(1)).is_ok());
        assert!(block_on(sender.send(2)).is_ok());
        let ours = block_on(receiver.recv()).unwrap();
        assert_eq!(ours + taker.join().unwrap(), 3);
        assert!(giver.join().unwrap());
    });
}

/// A receiver that gives up as it is called: another one is called in its place.
#[test]
fn a_call_is_not_lost() {
    loom::model(|| {
        let (sender, mut receiver) = bounded(one());
        let mut other = receiver.clone();
        let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
        let (mut first, mut second) = (receiver.recv(), other.recv());
        assert!(poll(&mut first, &woken[0]).is_pending());
        assert!(poll(&mut second, &woken[1]).is_pending());
        let giver = thread::spawn(move || {
            sender.try_send(1).unwrap();
            sender
        });
        drop(first);
        let sender = giver.join().unwrap();
        assert_eq!(woken[1].times(), 1);
        assert_eq!(poll(&mut second, &woken[1]), Poll::Ready(Some(1)));
        drop(sender);
    });
}

/// Handed over or taken back, never both and never neither.
#[test]
fn an_offer_is_taken_or_taken_back() {
    loom::model(|| {
        let (sender, mut receiver) = rendezvous::channel();
        let woken = Arc::new(Woken::default());
        let taker = thread::spawn(move || (receiver.try_recv().ok(), receiver));
        let mut send = sender.send(1);
        let sent = poll(&mut send, &woken).is_ready();
        let back = if sent { None } else { send.take_back() };
        let (taken, _receiver) = taker.join().unwrap();
        assert_eq!(taken.is_some(), back.is_none());
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
