//! The set of woken inputs of a merge: whoever sets a bit and whoever looks, under every interleaving.
//!
//! A model that is stuck, because a wake was lost, is one that loom ends with a failure: all wait by loom's
//! own `block_on`.
#![cfg(loom)]

mod common;

use common::{gate, next};
use loom::future::block_on;
use loom::thread;
use weirs_channels_utils::merge;

/// An input is woken while the merge looks, or is about to wait, or waits.
///
/// Found: `waits` set after the last look at the bits instead of before it.
#[test]
fn an_input_that_is_woken_is_polled() {
    loom::model(|| {
        let (opener, input) = gate(1);
        let mut merged = merge([input]);
        let other = thread::spawn(move || opener.open());
        assert_eq!(block_on(next(&mut merged)), Some(1));
        assert_eq!(block_on(next(&mut merged)), None);
        other.join().unwrap();
    });
}

/// Two inputs of one block are woken by two threads: the second finds the first one's bit and says nothing.
///
/// Found: the same.
#[test]
fn two_that_are_woken_at_once_are_both_polled() {
    loom::model(|| {
        let (first, one) = gate(1);
        let (second, two) = gate(2);
        let mut merged = merge([one, two]);
        let others = [first, second].map(|opener| thread::spawn(move || opener.open()));
        let sum = block_on(async {
            let mut sum = 0;
            while let Some(item) = next(&mut merged).await {
                sum += item;
            }
            sum
        });
        assert_eq!(sum, 3);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// The merge is dropped while an input is woken: nobody's waker is kept.
#[test]
fn a_merge_that_is_dropped_keeps_no_waker() {
    loom::model(|| {
        let (opener, input) = gate(1);
        let mut merged = merge([input]);
        let woken = common::Woken::new();
        let ready = woken.poll(&mut next(&mut merged)).is_ready();
        let other = thread::spawn(move || opener.open());
        drop(merged);
        other.join().unwrap();
        assert!(!ready);
        assert!(woken.times() <= 1);
        assert!(woken.is_free());
    });
}
