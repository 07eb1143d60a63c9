//! Conflate, every nth, the last few.

mod routing;

use futures::{StreamExt, stream};
use routing::{panic_of, poll, size, yielding};
use weirs_channels_utils::{StreamUtil, bounded};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, runtime_test};

#[apply(runtime_test)]
async fn what_came_meanwhile_is_one(_runtime: Runtime) {
    let (sender, receiver) = bounded(size(8));
    let mut sums = receiver.conflate(|n| n, |sum, n| *sum += n);
    sender.send(1).await.unwrap();
    assert_eq!(sums.next().await, Some(1));
    for n in [2, 3, 4] {
        sender.send(n).await.unwrap();
    }
    assert_eq!(sums.next().await, Some(9));
    assert!(poll(&mut sums).is_pending());
    sender.send(5).await.unwrap();
    drop(sender);
    assert_eq!((sums.next().await, sums.next().await), (Some(5), None));
}

#[test]
fn a_panic_of_the_fold_keeps_what_was_folded() {
    let fold = |sum: &mut u32, n| if n == 2 { panic!("fold") } else { *sum += n };
    let mut sums = stream::iter([1, 2, 3]).conflate(|n| n, fold);
    assert_eq!(panic_of(&mut sums), "fold");
    assert_eq!(block_on(sums.next()), Some(4));
}

#[test]
fn a_source_that_is_always_ready_does_not_hang() {
    let mut counts = stream::repeat(()).conflate(|()| 1, |count, ()| *count += 1);
    assert_eq!(block_on(counts.next()), Some(1024));
    let mut none = stream::repeat(1).take_last(size(2));
    assert!(poll(&mut none).is_pending());
}

#[apply(runtime_test)]
async fn every_nth_and_the_last(_runtime: Runtime) {
    assert_eq!(yielding(0..10).every_nth(size(4)).collect::<Vec<_>>().await, [0, 4, 8]);
    assert_eq!(yielding(0..3).every_nth(size(1)).collect::<Vec<_>>().await, [0, 1, 2]);
    assert_eq!(yielding(0..10).take_last(size(3)).collect::<Vec<_>>().await, [7, 8, 9]);
    assert_eq!(yielding(0..2).take_last(size(3)).collect::<Vec<_>>().await, [0, 1]);
}
