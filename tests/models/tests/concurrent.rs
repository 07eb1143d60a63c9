//! The hub of several futures in one task: whoever wakes one of them and the task that takes the list, under
//! every interleaving.
#![cfg(loom)]

mod common;

use std::num::NonZeroUsize;

use common::{Gate, Ready, gate, next};
use loom::future::block_on;
use loom::thread;
use weirs_channels_utils::StreamUtil;

async fn opened(mut gate: Gate) -> u32 {
    next(&mut gate).await.unwrap_or_default()
}

/// A child is woken while it is polled, or while the task is about to wait.
///
/// Found: the task's waker put down without another look at the list.
#[test]
fn a_child_that_is_woken_is_polled() {
    loom::model(|| {
        let (opener, gate) = gate(1);
        let two = NonZeroUsize::new(2).unwrap();
        let mut results = Box::pin(Ready(vec![gate]).map_concurrent(two, opened));
        let other = thread::spawn(move || opener.open());
        assert_eq!(block_on(next(&mut results)), Some(1));
        assert_eq!(block_on(next(&mut results)), None);
        other.join().unwrap();
    });
}

/// Two children are woken by two threads: each gets its poll.
///
/// Found: `some` set back after the lock is given up, and not under it.
#[test]
fn two_that_are_woken_at_once_are_both_polled() {
    loom::model(|| {
        let (first, one) = gate(1);
        let (second, two) = gate(2);
        let both = NonZeroUsize::new(2).unwrap();
        let mut results = Box::pin(Ready(vec![one, two]).map_concurrent_unordered(both, opened));
        let others = [first, second].map(|opener| thread::spawn(move || opener.open()));
        let (a, b) = (block_on(next(&mut results)), block_on(next(&mut results)));
        assert_eq!(a.unwrap() + b.unwrap(), 3);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// All are dropped while one is woken: nobody's waker is kept.
#[test]
fn what_is_dropped_keeps_no_waker() {
    loom::model(|| {
        let (opener, gate) = gate(1);
        let mut results = Box::pin(Ready(vec![gate]).map_concurrent(NonZeroUsize::MIN, opened));
        let woken = common::Woken::new();
        assert!(woken.poll(&mut next(&mut results)).is_pending());
        let other = thread::spawn(move || opener.open());
        drop(results);
        other.join().unwrap();
        assert!(woken.is_free());
    });
}
