//! From any stream into a channel.

mod common;

use common::some;
use futures::StreamExt;
use weirs_channels_utils::{SendError, bounded, forward};
use weirs_runtime::{Runtime, block_on};
use weirs_testing::{apply, cancel_at_every_poll, runtime_test};

#[apply(runtime_test)]
async fn smoke(runtime: Runtime) {
    let (theirs, stream) = async_channel::bounded(1);
    let (sender, receiver) = bounded(some(1));
    let all = runtime.spawn(forward(stream, sender));
    let give = runtime.spawn(async move {
        for number in 0..200 {
            theirs.send(number).await.unwrap();
        }
    });
    assert_eq!(receiver.collect::<Vec<_>>().await, (0..200).collect::<Vec<_>>());
    give.await.unwrap();
    assert_eq!(all.await.unwrap(), Ok(200));
}

#[apply(runtime_test)]
async fn the_item_comes_back_when_nobody_receives(_: Runtime) {
    let (sender, receiver) = bounded(some(1));
    let mut all = forward(futures::stream::iter(0..3), sender);
    assert!(futures::poll!(&mut all).is_pending());
    drop(receiver);
    assert_eq!(all.await, Err(SendError::Closed(Some(1))));
}

#[test]
fn dropped_at_any_time_it_holds_no_room() {
    block_on(cancel_at_every_poll(
        || async {
            let (sender, receiver) = bounded(some(1));
            let spy = sender.clone();
            futures::join!(
                async { assert_eq!(forward(futures::stream::iter(0..3), sender).await, Ok(3)) },
                async { drop(receiver.take(3).collect::<Vec<_>>().await) }
            );
            assert_eq!(spy.stats().senders_waiting, 0);
        },
        async |_| {},
    ));
}
