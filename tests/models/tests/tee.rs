//! One source and two consumers on two threads: who polls it, and who wakes whom, under every interleaving.
#![cfg(loom)]

mod common;

use std::num::NonZeroUsize;

use common::{gate, next};
use loom::future::block_on;
use loom::thread;
use weirs_channels_utils::StreamUtil;

/// Both want the item. One of them polls the source; the other finds it away and waits for the bell.
///
/// Found: the bell not rung by whoever puts items into the queues.
#[test]
fn both_get_the_item() {
    loom::model(|| {
        let (opener, source) = gate(1);
        let [mut here, mut there] = source.tee(NonZeroUsize::MIN);
        opener.open();
        let other = thread::spawn(move || {
            let item = block_on(next(&mut there));
            (item, block_on(next(&mut there)))
        });
        assert_eq!(block_on(next(&mut here)), Some(1));
        assert_eq!(block_on(next(&mut here)), None);
        assert_eq!(other.join().unwrap(), (Some(1), None));
    });
}

/// The item comes while one waits for it.
#[test]
fn the_source_wakes_whoever_waits() {
    loom::model(|| {
        let (opener, source) = gate(1);
        let [mut here, there] = source.tee(NonZeroUsize::MIN);
        drop(there);
        let other = thread::spawn(move || opener.open());
        assert_eq!(block_on(next(&mut here)), Some(1));
        other.join().unwrap();
    });
}

/// The one who polled the source last is gone when the item comes: the other hears of it.
#[test]
fn a_consumer_that_goes_leaves_the_wake_to_the_others() {
    loom::model(|| {
        let (opener, source) = gate(1);
        let [mut here, mut there] = source.tee(NonZeroUsize::MIN);
        let woken = common::Woken::new();
        assert!(woken.poll(&mut next(&mut here)).is_pending());
        assert!(common::Woken::new().poll(&mut next(&mut there)).is_pending());
        let other = thread::spawn(move || opener.open());
        drop(there);
        other.join().unwrap();
        assert!(woken.times() >= 1);
        assert!(woken.poll(&mut next(&mut here)).is_ready());
    });
}

/// Both wait for room that the other makes: with a bound of one they go in step.
#[test]
fn room_wakes_whoever_waits_for_it() {
    loom::model(|| {
        let [mut here, mut there] = common::Ready(vec![2, 1]).tee(NonZeroUsize::MIN);
        let other = thread::spawn(move || {
            let first = block_on(next(&mut there));
            (first, block_on(next(&mut there)))
        });
        assert_eq!(block_on(next(&mut here)), Some(1));
        assert_eq!(block_on(next(&mut here)), Some(2));
        assert_eq!(other.join().unwrap(), (Some(1), Some(2)));
    });
}
